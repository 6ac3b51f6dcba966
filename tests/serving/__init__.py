"""
Tests of L{socks6.serving}.
"""
