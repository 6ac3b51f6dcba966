"""
Tests of L{socks6.relay}.
"""
