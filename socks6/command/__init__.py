"""
The command line program C{socks6}.
"""
