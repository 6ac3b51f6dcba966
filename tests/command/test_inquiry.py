"""
Tests for L{socks6.command.inquiry}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IHandshakeListener, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from socks6.command.inquiry import Answer, ask
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import AuthenticationMethod, Command, ReplyCode
from socks6.values.messages import Request
from socks6.values.options import (
    AuthenticationMethods,
    OptionList,
    SessionID,
    SessionInvalid,
    UsernamePassword,
)
from socks6.wire import DRAFT_06
from tests.client.doubles import BOUND, authenticationReply, operationReply, refusal
from tests.command.harness import CommandTestCase

TIMEOUT = 8.0

REQUEST = Request(Command.NOOP, UNSPECIFIED_IPV4, OptionList())


class InquiryTests(CommandTestCase):
    """
    What comes of a request.
    """

    def begin(self, request: Request = REQUEST) -> Deferred[Answer]:
        """
        Make a request.
        """
        endpoint = HostnameEndpoint(self.network, "127.0.0.1", 1080)
        return self.start(ask(self.network, endpoint, request, TIMEOUT))

    def end(self, asking: Deferred[Answer]) -> Answer:
        """
        Take what came of it, and see that nothing is left.
        """
        answer = self.successResultOf(asking)
        self.assertNothingLeft()
        return answer

    def test_success(self) -> None:
        """
        Both replies are kept, with the time that each took, and the connection ends.
        """
        request = Request(Command.CONNECT, BOUND, OptionList([UsernamePassword(b"ada", b"x")]))
        asking = self.begin(request)
        self.network.elapse(1)
        peer = self.proxy.accept()
        self.assertEqual(peer.take(), DRAFT_06.encodeRequest(request))
        self.network.elapse(2)
        options = OptionList([SessionID(b"session")])
        peer.send(authenticationReply(options=options))
        self.network.elapse(4)
        self.assertNoResult(asking)
        peer.send(operationReply(ReplyCode.CONNECTION_REFUSED))
        answer = self.end(asking)
        assert answer.authentication is not None and answer.operation is not None
        self.assertEqual(answer.authentication.options, options)
        self.assertEqual(answer.operation.code, ReplyCode.CONNECTION_REFUSED)
        self.assertEqual((answer.fault, answer.tls, answer.demandsCredentials), ("", None, False))
        self.assertEqual(answer.times, {"connect": 1.0, "authentication": 3.0, "operation": 7.0})
        self.assertEqual(list(answer.times), ["connect", "authentication", "operation"])
        self.assertEqual(answer.roundTrip, 1.0)

    def test_together(self) -> None:
        """
        Both replies may come together, with data behind them.
        """
        asking = self.begin()
        self.proxy.accept().send(authenticationReply() + operationReply() + b"data")
        answer = self.end(asking)
        self.assertEqual(answer.fault, "")
        self.assertIsNotNone(answer.operation)

    def test_refused(self) -> None:
        """
        The proxy does not let us in.
        """
        asking = self.begin()
        self.proxy.accept().send(refusal(OptionList([SessionInvalid()])))
        answer = self.end(asking)
        self.assertEqual(answer.fault, "the proxy does not let us in")
        assert answer.authentication is not None
        self.assertEqual(answer.authentication.options, OptionList([SessionInvalid()]))
        self.assertIsNone(answer.operation)
        self.assertEqual(list(answer.times), ["connect", "authentication"])

    def test_credentials(self) -> None:
        """
        The proxy wants to be told a user name and password, which it is not.
        """
        methods = AuthenticationMethods(0, (AuthenticationMethod.USERNAME_PASSWORD,))
        asking = self.begin(Request(Command.NOOP, UNSPECIFIED_IPV4, OptionList([methods])))
        peer = self.proxy.accept()
        peer.take()
        peer.send(bytes.fromhex("0600 01 02 0000"))
        answer = self.end(asking)
        self.assertTrue(answer.demandsCredentials)
        self.assertIsNone(answer.authentication)
        self.assertIn("user name and password", answer.fault)
        self.assertEqual(peer.take(), b"")

    def test_malformed(self) -> None:
        """
        It is no proxy.
        """
        asking = self.begin()
        self.proxy.accept().send(b"HTTP/1.1 400 Bad Request\r\n")
        answer = self.end(asking)
        self.assertEqual(answer.fault, "not a SOCKS 6 proxy: its first octet is 72")
        self.assertEqual(list(answer.times), ["connect"])

    def test_ended(self) -> None:
        """
        The connection ends before both replies are there.
        """
        for replies in (b"", authenticationReply(), authenticationReply() + b"\0"):
            asking = self.begin()
            peer = self.proxy.accept()
            peer.send(replies)
            peer.end()
            answer = self.end(asking)
            self.assertEqual(answer.fault, "the connection ended before the proxy's replies did")
            self.assertEqual(answer.authentication is not None, bool(replies))

    def test_broken(self) -> None:
        """
        The connection breaks.
        """
        asking = self.begin()
        self.proxy.accept().reset()
        self.assertIn("non-clean", self.end(asking).fault)

    def test_unreachable(self) -> None:
        """
        There is no connection.
        """
        asking = self.begin()
        self.proxy.refuse()
        self.network.elapse(1)
        answer = self.end(asking)
        self.assertEqual(answer.fault, "Connection was refused by other side")
        self.assertEqual((answer.times, answer.roundTrip), ({}, None))

    def test_slow(self) -> None:
        """
        Neither connecting nor answering may take longer than it may.
        """
        asking = self.begin()
        self.network.elapse(TIMEOUT)
        self.assertEqual(self.end(asking).fault, "no answer within 8 s")
        asking = self.begin()
        self.network.elapse(TIMEOUT - 1)
        peer = self.proxy.accept()
        peer.send(authenticationReply())
        self.network.elapse(TIMEOUT - 1)
        self.assertNoResult(asking)
        self.network.elapse(1)
        answer = self.end(asking)
        self.assertEqual(answer.fault, "no answer within 8 s")
        self.assertIsNotNone(answer.authentication)

    def test_cancelled(self) -> None:
        """
        It can be broken off while it connects, and while it waits for answers.
        """
        asking = self.begin()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertNothingLeft()
        asking = self.begin()
        peer = self.proxy.accept()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertNothingLeft()
        self.assertTrue(peer.wasReset)

    def test_tls(self) -> None:
        """
        Of TLS, it is told what was agreed on, and when.
        """
        network = self.network

        class Transport(StringTransport):
            """
            Knows what was agreed on.
            """

            def getHandle(self) -> Any:
                return SimpleNamespace(
                    get_protocol_version_name=lambda: "TLSv1.3", get_cipher_name=lambda: "CIPHER"
                )

        @implementer(IStreamClientEndpoint)
        class Endpoint:
            """
            Speaks TLS.
            """

            def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
                protocol: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
                network.rightNow += 1
                protocol.makeConnection(Transport())
                network.rightNow += 2
                listens: bool = IHandshakeListener.providedBy(protocol)
                assert listens
                protocol.handshakeCompleted()
                network.callLater(
                    4, protocol.dataReceived, authenticationReply() + operationReply()
                )
                return succeed(protocol)

        asking = self.start(ask(network, Endpoint(), REQUEST, TIMEOUT))
        network.elapse(4)
        answer = self.end(asking)
        self.assertEqual(answer.tls, {"version": "TLSv1.3", "cipher": "CIPHER"})
        self.assertEqual(
            list(answer.times.items()),
            [("connect", 1.0), ("tls", 3.0), ("authentication", 7.0), ("operation", 7.0)],
        )
