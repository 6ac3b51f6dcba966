"""
The proxy's side: from an accepted connection to a finished tunnel.
"""
