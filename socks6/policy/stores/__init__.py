"""
Where sessions are kept: one module for each L{ISessionStore
<socks6.interfaces.ISessionStore>}.
"""
