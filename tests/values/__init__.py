"""
Tests of L{socks6.values}.
"""
