"""
Clients' connections, whatever protocol they speak: from accepting one to the end of
its tunnel.
"""
