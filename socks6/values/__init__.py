"""
What is said: the protocol's numbers, addresses, options and messages.

Plain immutable values that check themselves when they are built, so that a
value that exists can be encoded.  Nothing here knows how a value is spelled in
octets; that is L{socks6.wire}.
"""
