"""
Tests of L{socks6.tap}.
"""
