"""
Tests of L{socks6.metrics}.
"""
