"""
Tests of L{socks6.machine}.
"""
