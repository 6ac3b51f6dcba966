"""
The local proxifier: programs speak SOCKS 4, SOCKS 5 or HTTP to it, or know nothing of
it, and a SOCKS 6 proxy is the way out.
"""
