"""
Tests for L{socks6.outbound}.
"""
