"""
What Twisted finds of this package: C{twistd socks6}, C{twistd socks6-local} and the
C{socks6:} endpoint strings.

Nothing here may import the reactor, or C{twistd --reactor} breaks.
"""

from twisted.application.service import ServiceMaker

from socks6.client.parsers import SOCKS6ClientParser, SOCKS6ServerParser

socks6Proxy = ServiceMaker("SOCKS 6 proxy", "socks6.tap", "A SOCKS 6 proxy (draft -06).", "socks6")
socks6Local = ServiceMaker(
    "SOCKS 6 local proxy",
    "socks6.tap.local",
    "A SOCKS 4, SOCKS 5 and HTTP proxy in front of a SOCKS 6 proxy.",
    "socks6-local",
)
socks6Client = SOCKS6ClientParser()
socks6Server = SOCKS6ServerParser()
