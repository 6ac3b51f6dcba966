"""
SOCKS 6 (draft-olteanu-intarea-socks-6-06) for Twisted: proxy and client.

Octets pass through stages, and a stage imports only those named before it:

  - L{socks6.values}: what is said, as immutable values
  - L{socks6.wire}: how it is spelled: SOCKS 6 in one folder per draft, and what else
    programs speak to proxies
  - L{socks6.machine}: what may follow what; no input, no output
  - L{socks6.interfaces}: what a user may implement
  - L{socks6.relay}: octets between two connections
  - L{socks6.client}: the client's side; needs no policy and no server
  - L{socks6.policy}: who may do what
  - L{socks6.outbound}: how the proxy reaches remote hosts
  - L{socks6.serving}: clients' connections, whatever they speak
  - L{socks6.server}: the proxy's side of a connection
  - L{socks6.local}: the local proxifier
  - L{socks6.command}: the program C{socks6}
  - L{socks6.workers}: several processes as one proxy
  - L{socks6.tap}: the command lines of C{twistd socks6} and C{twistd socks6-local}

This module imports nothing, so that a plugin which names it costs nothing.
"""

__version__ = "0.1.0"
