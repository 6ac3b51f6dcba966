"""
Tests of L{socks6.server}.
"""
