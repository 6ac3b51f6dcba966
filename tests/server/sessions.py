"""
What clients and proxy say of sessions and tokens, proxies that share a store of
sessions, and a store that the test plays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocolFactory
from zope.interface import implementer

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionTrust,
)
from socks6.policy.sessions import SessionService
from socks6.policy.stores.memory import MemorySessionStore
from socks6.server.protocol import SOCKS6ServerFactory
from tests.doubles import CLIENT_ADDRESS, Network
from tests.server.harness import (
    CONNECTED,
    DONE,
    NOOP,
    SESSION_INVALID,
    ProxyTestCase,
    authenticationData,
    credentials,
    passwords,
    request,
)
from tests.server.test_negotiation import ADA_DATA, Conversation

# --- what clients say ---

#: Ada's name with a wrong password.
MALLORY = credentials(b"ada", b"hunter2")
MALLORY_DATA = authenticationData(MALLORY)

#: Stands in tables where the session's ID stands on the wire.
PLACEHOLDER = b"the session's ID"


def noop(options: bytes = b"") -> bytes:
    """
    Write a NOOP request.
    """
    return request(options, NOOP[2], NOOP[3:-2])


def unknown(options: bytes) -> bytes:
    """
    Write a request with a command that nobody knows.
    """
    return request(options, 9)


SESSION_REQUEST = bytes.fromhex("04 0004 01")
TEARDOWN = bytes.fromhex("04 0004 03")


def sessionID(identifier: bytes) -> bytes:
    """
    Write a Session ID option; the proxy's reads the same.
    """
    return b"\4" + (4 + len(identifier)).to_bytes(2, "big") + b"\2" + identifier


ID = sessionID(PLACEHOLDER)


def tokenRequest(size: int) -> bytes:
    """
    Write a Token Request option.
    """
    return bytes.fromhex("05 0008 01") + size.to_bytes(4, "big")


def expenditure(token: int) -> bytes:
    """
    Write a Token Expenditure option.
    """
    return bytes.fromhex("05 0008 03") + token.to_bytes(4, "big")


# --- what the proxy says ---

SESSION_OK = bytes.fromhex("04 0004 04")
SESSION_UNTRUSTED = bytes.fromhex("04 0004 06")


def window(base: int, size: int) -> bytes:
    """
    Write a Token Window Advertisement option.
    """
    return bytes.fromhex("05 000c 02") + base.to_bytes(4, "big") + size.to_bytes(4, "big")


def outcome(code: int) -> bytes:
    """
    Write a Token Expenditure Reply option: 1 success, 2 no window, 3 out of window,
    4 duplicate.
    """
    return bytes.fromhex("05 0005 04") + bytes([code])


def admitted(*options: bytes, method: int = 0) -> bytes:
    """
    Write an Authentication Reply that reports success.
    """
    octets = b"".join(options)
    return b"\6\0\0" + bytes([method]) + len(octets).to_bytes(2, "big") + octets


#: The session is opened; the request belongs to it.
OPENED = admitted(ID)
WITHIN = admitted(SESSION_OK)


def identifierIn(reply: bytes) -> bytes:
    """
    Find the session's ID, of 16 octets, in an Authentication Reply that begins with it.

    @raise AssertionError: It does not.
    """
    _, option, rest = reply[:6], reply[6:10], reply[10:]
    if option != sessionID(bytes(16))[:4] or len(rest) < 16:
        raise AssertionError(f"no session ID: {reply.hex()}")
    return rest[:16]


class SessionTestCase(ProxyTestCase):
    """
    A test with proxies that know ada and eve, or let everybody in, and whose
    sessions are in one store.
    """

    def setUp(self) -> None:
        super().setUp()
        self.store = MemorySessionStore(self.network)

    def proxy(self, *checkers: Any, **options: Any) -> SOCKS6ServerFactory:
        """
        Make a proxy.

        @param options: Those of its L{SessionService}.
        """
        options.setdefault("store", self.store)
        return self.makeFactory(*checkers, sessions=SessionService(self.network, **options))

    def strictProxy(self, **options: Any) -> SOCKS6ServerFactory:
        """
        Make a proxy that wants passwords.
        """
        return self.proxy(passwords(ada=b"s3cret", eve=b"gu3ss"), **options)

    def hear(
        self,
        factory: IProtocolFactory,
        sent: bytes,
        name: str = "",
        peer: IAddress = CLIENT_ADDRESS,
    ) -> bytes:
        """
        Send a request, and listen until the proxy ends the connection.
        """
        client = self.network.accept(factory, peer)
        client.send(sent)
        self.assertTrue(client.ended, name)
        client.end()
        self.assertTrue(client.isClosed, name)
        return client.received

    def open(
        self, factory: IProtocolFactory, options: bytes = b"", peer: IAddress = CLIENT_ADDRESS
    ) -> bytes:
        """
        Open a session.

        @return: Its ID.
        """
        return identifierIn(self.hear(factory, noop(SESSION_REQUEST + options), peer=peer))

    def tearDownSession(self, factory: IProtocolFactory, identifier: bytes) -> None:
        """
        End a session, as ada.
        """
        heard = self.hear(factory, noop(sessionID(identifier) + TEARDOWN + ADA_DATA))
        self.assertEqual(heard[4:].hex(), (WITHIN[4:] + DONE).hex())

    def assertAlive(self, factory: IProtocolFactory, identifier: bytes, name: str = "") -> None:
        """
        Check that a session can be used: by its ID, or by ada.
        """
        heard = self.hear(factory, noop(sessionID(identifier) + ADA_DATA), name)
        self.assertEqual(heard[4:].hex(), (WITHIN[4:] + DONE).hex(), name)

    def assertGone(self, factory: IProtocolFactory, identifier: bytes, name: str = "") -> None:
        """
        Check that there is no such session, not even for ada.
        """
        heard = self.hear(factory, noop(sessionID(identifier) + ADA_DATA), name)
        self.assertEqual(heard.hex(), SESSION_INVALID.hex(), name)

    def converse(
        self,
        factory: SOCKS6ServerFactory,
        case: Conversation,
        identifier: bytes = PLACEHOLDER,
        size: int = 20000,
    ) -> bytes:
        """
        Play a conversation, with some octets at a time.

        @param identifier: The ID of the session; if the conversation opens one,
            it has none yet.
        @return: The session's ID.
        """
        name = f"{case.name}, {size} at a time"
        self.outbound.attempts.clear()
        client = self.network.accept(factory)
        sent = case.sent.replace(PLACEHOLDER, identifier)
        for place in range(0, len(sent), size):
            client.send(sent[place : place + size])
        heard = client.take()
        place = case.heard.find(PLACEHOLDER)
        if place >= 0:
            identifier = heard[place : place + len(PLACEHOLDER)]
        expected = case.heard.replace(PLACEHOLDER, identifier)
        self.assertEqual(heard.hex(), expected.hex(), name)
        if case.arrives is None:
            self.assertEqual(self.outbound.attempts, [], name)
            self.leave(client)
        else:
            remote = self.attempt.succeed()
            self.assertEqual(client.received.hex(), CONNECTED.hex(), name)
            self.assertEqual(remote.received, case.arrives, name)
            remote.end()
            client.end()
        self.assertTrue(client.isClosed, name)
        return identifier


@dataclass(frozen=True)
class Call:
    """
    One call of a store.

    @ivar name: The method's.
    @ivar answer: What it returned.
    """

    name: str
    answer: Deferred[Any]


@implementer(ISessionStore)
class PatientStore:
    """
    A store that answers when the test wants it to.

    @ivar calls: Those that were not answered, in their order.
    @ivar cancelled: How many were given up.
    @ivar whenCancelled: What is done with the answer of one that was.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.calls: list[Call] = []
        self.cancelled = 0
        self.whenCancelled: Callable[[Deferred[Any]], object] = lambda answer: None

    def _call(self, name: str) -> Deferred[Any]:
        """
        Wait for the test.
        """
        answer: Deferred[Any] = Deferred(self._cancel)
        self.calls.append(Call(name, answer))
        return answer

    def _cancel(self, answer: Deferred[Any]) -> None:
        """
        Take note.
        """
        self.cancelled += 1
        self.whenCancelled(answer)

    def open(
        self, key: bytes, record: SessionRecord, windowSize: int | None, limits: SessionLimits
    ) -> Deferred[Any]:
        """
        Begin a session.
        """
        return self._call("open")

    def use(
        self, key: bytes, demand: SessionDemand, trusts: Collection[SessionTrust], timeout: float
    ) -> Deferred[Any]:
        """
        Use one.
        """
        return self._call("use")

    def start(self) -> None:
        """
        Do nothing.
        """

    def close(self) -> Deferred[None]:
        """
        Do not end either.
        """
        return self._call("close")

    def answer(self, name: str, result: object) -> None:
        """
        Answer the only call that waits.

        @param name: Which method that should be.
        @param result: A value, or an exception to fail with.
        """
        (call,) = self.calls
        assert call.name == name, call.name
        self.calls.clear()
        if isinstance(result, Exception):
            call.answer.errback(result)
        else:
            call.answer.callback(result)
        self._network.spin()
