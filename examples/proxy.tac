"""
A web server and a SOCKS 6 proxy in one application.

Run it with C{twistd -ny examples/proxy.tac}: the web server listens on
127.0.0.1, port 8080, the proxy on port 1080.
"""

from twisted.application.service import Application
from twisted.application.strports import service as webService
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Site
from twisted.web.static import Data

from socks6.server.service import proxyService
from socks6.staleevents import ignoreStaleEvents

ignoreStaleEvents(reactor)
application = Application("web server and proxy")

page = Data(b"You came through, or straight here.\n", "text/plain")
page.isLeaf = True
webService("tcp:8080:interface=127.0.0.1", Site(page)).setServiceParent(application)

proxyService(
    reactor,
    [serverFromString(reactor, "tcp:1080:interface=127.0.0.1")],
    idleTimeout=3600.0,
).setServiceParent(application)
