"""
Tests for a connection to the proxy, which changes hands but stays the same.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
)
from twisted.internet.protocol import Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.client.line import Line, abort
from socks6.client.receivers import NOBODY
from tests.client.doubles import (
    SUCCESS,
    Application,
    ClientTestCase,
    HalfCloseableApplication,
    ProxyTransport,
)


class LineTests(ClientTestCase):
    """
    What the proxy's endpoint sees.
    """

    @property
    def line(self) -> Line:
        """
        The line, as L{accept} has connected it.
        """
        line = self.transport.protocol._wrappedProtocol
        assert isinstance(line, Line)
        return line

    def test_interfaces(self) -> None:
        """
        It is a protocol; it can be half-closed if the user's protocol can, and
        listens for no handshakes.
        """

        @implementer(IHandshakeListener)
        class Listener(HalfCloseableApplication):
            """
            A protocol that wants to hear of everything.
            """

            def handshakeCompleted(self) -> None:
                """
                Nobody calls this.
                """

        for application, halfCloseable in (
            (Application(), False),
            (HalfCloseableApplication(), True),
            (Listener(), True),
        ):
            self.application = application
            self.negotiate()
            verifyObject(IProtocol, self.line)
            verifyObject(ILoggingContext, self.line)
            self.assertIsInstance(self.line, Protocol)
            self.assertEqual(IHalfCloseableProtocol.providedBy(self.line), halfCloseable)
            self.assertFalse(IHandshakeListener.providedBy(self.line))

    def test_logPrefix(self) -> None:
        """
        It logs in the name of the user's protocol.
        """
        self.application.logPrefix = lambda: "a name of its own"  # type: ignore[method-assign]
        self.negotiate()
        self.assertEqual(self.line.logPrefix(), "a name of its own")

    def test_hands(self) -> None:
        """
        It is the negotiation's at first, then the user's protocol's, and at last
        nobody's.
        """
        self.negotiate()
        self.assertNotIn(self.line.receiver, (self.application, NOBODY))
        self.transport.receive(SUCCESS)
        self.assertIs(self.line.receiver, self.application)
        self.transport.lose()
        self.assertIs(self.line.receiver, NOBODY)

    def test_afterTheEnd(self) -> None:
        """
        What a transport does although it has lost the connection reaches nobody.
        """
        self.application = HalfCloseableApplication()
        self.establish()
        error = ConnectionDone()
        self.transport.lose(error)
        self.line.dataReceived(b"from beyond")
        self.line.readConnectionLost()
        self.line.writeConnectionLost()
        self.line.connectionLost()
        self.assertEqual(self.application.events, ["made", error])

    def test_abort(self) -> None:
        """
        It can be aborted.
        """
        self.negotiate()
        self.line.abort()
        self.assertTrue(self.transport.disconnected)


class AbortTests(ClientTestCase):
    """
    L{abort}
    """

    def test_abort(self) -> None:
        """
        A transport is closed at once.
        """
        transport = ProxyTransport()
        abort(transport)
        self.assertTrue(transport.disconnected)

    def test_cannotAbort(self) -> None:
        """
        One that cannot be is closed as it can.
        """

        class Pipe:
            """
            Such a transport.
            """

            closed = False

            def loseConnection(self) -> None:
                """
                Take note.
                """
                self.closed = True

        pipe = Pipe()
        abort(pipe)
        self.assertTrue(pipe.closed)
