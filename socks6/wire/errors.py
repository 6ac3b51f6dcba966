"""
What can go wrong between two peers, and whose fault it is.
"""

from __future__ import annotations


class SOCKS6Error(Exception):
    """
    Anything that this package raises on purpose.
    """


class UsageError(SOCKS6Error):
    """
    Our caller made a mistake: asked for what the state does not allow.
    """


class PeerError(SOCKS6Error):
    """
    The peer broke the protocol.

    Its text never holds what the peer sent beyond single numbers, so that it
    can be logged.
    """


class VersionMismatch(PeerError):
    """
    The peer speaks the protocol in another version, or told us that we do.
    """


class AnotherProtocol(PeerError):
    """
    The peer speaks another protocol altogether.
    """


#: What that is called where SOCKS 6 is expected.
NotSOCKS6 = AnotherProtocol


class MalformedMessage(PeerError):
    """
    A message cannot be what it claims to be.
    """


class UnknownAddressType(MalformedMessage):
    """
    An address is of a type that we do not know, so that nothing behind it can
    be read.
    """


class UnexpectedEnd(PeerError):
    """
    The connection ended in the middle of the exchange.
    """
