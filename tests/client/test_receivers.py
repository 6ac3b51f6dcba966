"""
Tests for those who take what comes while the user's protocol does not.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from socks6.client.errors import AuthenticationRefused
from socks6.client.receivers import CLOSE_TIMEOUT, NOBODY
from tests.client.doubles import (
    SUCCESS,
    Application,
    ClientTestCase,
    HalfCloseableApplication,
    refusal,
)


class NobodyTests(ClientTestCase):
    """
    L{NOBODY}.
    """

    def test_takesEverything(self) -> None:
        """
        It can be told all that a protocol can be told.
        """
        verifyObject(IProtocol, NOBODY)
        receiver = type(NOBODY)()
        alsoProvides(receiver, IHalfCloseableProtocol)
        verifyObject(IHalfCloseableProtocol, receiver)
        receiver.dataReceived(b"hello")
        receiver.readConnectionLost()
        receiver.writeConnectionLost()
        receiver.connectionLost()


class ClosingTests(ClientTestCase):
    """
    A connection is closed in good manners, but not for ever.
    """

    def setUp(self) -> None:
        """
        Have a connection that is being closed.
        """
        super().setUp()
        self.negotiate()
        self.transport.receive(refusal())
        self.failureResultOf(self.result, AuthenticationRefused)
        self.assertTrue(self.transport.disconnecting)

    def test_closes(self) -> None:
        """
        A proxy that closes in time is not aborted.
        """
        self.reactor.advance(CLOSE_TIMEOUT - 0.1)
        self.assertFalse(self.transport.disconnected)
        self.transport.lose()
        self.assertNothingLeft()

    def test_staysOpen(self) -> None:
        """
        One that does not loses the connection.
        """
        self.reactor.advance(CLOSE_TIMEOUT)
        self.assertTrue(self.transport.disconnected)
        self.transport.lose(ConnectionAborted())
        self.assertNothingLeft()


class HeldDataTests(ClientTestCase):
    """
    Data that came together with the replies waits for a protocol that is paused.
    """

    def setUp(self) -> None:
        """
        Have a protocol that pauses at once.
        """
        super().setUp()
        self.application.whenMade = lambda application: application.transport.pauseProducing()

    def hold(self, application: Application | None = None) -> None:
        """
        Connect, with data that waits.
        """
        if application is not None:
            application.whenMade = self.application.whenMade
            self.application = application
        self.negotiate()
        self.transport.receive(SUCCESS + b"one ")
        self.assertEqual(self.application.events, ["made"])
        self.assertEqual(self.transport.producerState, "paused")

    def test_resume(self) -> None:
        """
        It comes when the protocol resumes, but not within that call, and before
        anything is read.
        """
        self.hold()
        self.application.transport.resumeProducing()
        self.application.transport.resumeProducing()
        self.assertEqual(self.application.events, ["made"])
        self.assertEqual(self.transport.producerState, "paused")
        self.reactor.advance(0)
        self.assertEqual(self.application.events, ["made", b"one "])
        self.assertEqual(self.transport.producerState, "producing")
        self.transport.receive(b"two")
        self.assertEqual(self.application.events, ["made", b"one ", b"two"])
        self.application.transport.pauseProducing()
        self.application.transport.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")
        self.assertNothingLeft()

    def test_pausedByConnector(self) -> None:
        """
        It does not matter whether the protocol or who connected it has paused.
        """
        self.application.whenMade = None
        self.negotiate()
        self.result.addCallback(lambda protocol: protocol.transport.pauseProducing())
        self.transport.receive(SUCCESS + b"one")
        self.assertEqual(self.application.events, ["made"])

    def test_order(self) -> None:
        """
        What TLS delivers although it has been paused comes behind.
        """
        self.hold()
        self.transport.receive(b"two")
        self.application.transport.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(self.application.events, ["made", b"one two"])

    def test_pausedAgain(self) -> None:
        """
        A protocol that pauses again in the meantime is left alone.
        """
        self.hold()
        self.application.transport.resumeProducing()
        self.application.transport.pauseProducing()
        self.reactor.advance(0)
        self.assertEqual(self.application.events, ["made"])
        self.application.transport.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(self.application.events, ["made", b"one "])

    def test_pausedByData(self) -> None:
        """
        One that pauses because of the data is not read for.
        """
        self.hold()

        def dataReceived(data: bytes) -> None:
            self.application.transport.pauseProducing()

        self.patch(self.application, "dataReceived", dataReceived)
        self.application.transport.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(self.transport.producerState, "paused")

    def test_lost(self) -> None:
        """
        Data that waits is not lost when the connection is.
        """
        for resumed in (False, True):
            self.setUp()
            self.hold()
            if resumed:
                self.application.transport.resumeProducing()
            error = ConnectionDone()
            self.transport.lose(error)
            self.assertEqual(self.application.events, ["made", b"one ", error])
            self.assertNothingLeft()

    def test_readLost(self) -> None:
        """
        Nor when one direction ends.
        """
        self.hold(HalfCloseableApplication())
        self.transport.endInput()
        self.assertEqual(self.application.events, ["made", b"one ", "read lost"])

    def test_closed(self) -> None:
        """
        A protocol that has closed the connection wants no data.
        """
        self.hold()
        self.application.transport.loseConnection()
        error = ConnectionDone()
        self.transport.lose(error)
        self.assertEqual(self.application.events, ["made", error])
