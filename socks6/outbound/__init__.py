"""
How a proxy reaches remote hosts: the implementations of
L{IOutbound<socks6.interfaces.IOutbound>}.
"""
