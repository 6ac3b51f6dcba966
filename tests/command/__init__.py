"""
Tests of L{socks6.command}.
"""
