"""
Tests of L{socks6.policy.stores}.
"""
