"""
Tests of L{socks6.workers}.
"""
