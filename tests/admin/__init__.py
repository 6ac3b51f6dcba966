"""
Tests of L{socks6.admin}.
"""
