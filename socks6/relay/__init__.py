"""
Octets between two connections: what comes when all has been negotiated.
"""
