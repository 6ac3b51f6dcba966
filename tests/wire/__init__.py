"""
Tests of L{socks6.wire}.
"""
