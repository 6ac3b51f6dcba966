"""
Tests of L{socks6.local}.
"""
