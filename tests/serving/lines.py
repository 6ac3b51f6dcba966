"""
A small protocol for tests of what serves all protocols: a client says in one line that
it wants something, and what follows is for a remote host.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred

from socks6.relay.legs import LegProtocol
from socks6.serving.conversation import Conversation
from socks6.serving.factory import ClientProtocol, ServingFactory
from socks6.serving.limits import NO_LIMITS, Limits
from socks6.values.address import Address
from socks6.values.codes import Command
from socks6.wire.errors import MalformedMessage, PeerError, UnexpectedEnd
from tests.doubles import REMOTE_ADDRESS, Peer
from tests.server.harness import MemoryTestCase

#: Where all clients want to go.
DESTINATION = Address(IPv4Address("203.0.113.1"), 443)

#: How their lines begin in the log.
CONNECT_LINE = "192.0.2.2:40000 - connect 203.0.113.1:443: "

#: Does what a client wants.
Work = Callable[["LineConversation"], Coroutine[Any, Any, None]]


class LineConversation(Conversation):
    """
    The conversation with a client.

    @ivar isKnown: Whether the factory knew of the connection when it was started.
    @ivar waitedNoMore: How often nothing more was to be waited for.
    @ivar words: What the client gets to hear if the remote host is lost.
    """

    factory: LineFactory

    def __init__(self, factory: LineFactory, leg: ClientProtocol) -> None:
        super().__init__(factory, leg)
        self._buffer = bytearray()
        self.isKnown = False
        self.waitedNoMore = 0

    @property
    def heldLength(self) -> int:
        """
        Count the octets.
        """
        return len(self._buffer)

    def started(self) -> None:
        """
        Take note.
        """
        super().started()
        self.isKnown = self.leg in self.factory.connections()

    def feed(self, octets: bytes) -> None:
        """
        Read the line.
        """
        self._buffer += octets
        if self.record is None and b"\n" in self._buffer:
            line, _, self._buffer[:] = self._buffer.partition(b"\n")
            if line != b"please":
                raise MalformedMessage("it does not say please")
            self.factory.gate.asked(self.leg)
            self.begin(Command.CONNECT, DESTINATION, self.factory.work(self))
        elif b"!" in octets:
            raise MalformedMessage("it shouts")

    def endOfInput(self) -> None:
        """
        Expect the line.
        """
        if self.record is None:
            raise UnexpectedEnd("it says nothing")

    def answer(self, error: PeerError) -> bytes:
        """
        Say that something is wrong.
        """
        return f"{type(error).__name__}\n".encode()

    def takeData(self) -> bytes:
        """
        Hand it over.
        """
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def workFailed(self) -> None:
        """
        Be sorry.
        """
        self.write(b"sorry\n")
        self.end("failed")

    def waitNoMore(self) -> None:
        """
        Take note.
        """
        super().waitNoMore()
        self.waitedNoMore += 1


class LineFactory(ServingFactory):
    """
    Makes such conversations.

    @ivar work: What is done.
    """

    def __init__(self, *arguments: Any, work: Work) -> None:
        super().__init__(*arguments)
        self.work = work

    def converse(self, protocol: ClientProtocol) -> LineConversation:
        """
        Begin one.
        """
        return LineConversation(self, protocol)


class LineTestCase(MemoryTestCase):
    """
    A test of a server of that protocol.

    @ivar waiting: What the work waits for that is done by default; it gets a
        connection to the remote host, which octets are then passed to.
    @ivar givenUp: What of that is waited for no more.
    @ivar factories: Those that were made.
    """

    def setUp(self) -> None:
        super().setUp()
        self.waiting: list[Deferred[LegProtocol]] = []
        self.givenUp: list[Deferred[LegProtocol]] = []
        self.factories: list[LineFactory] = []

    async def relayLater(self, conversation: LineConversation) -> None:
        """
        Wait for the remote host.
        """
        waiting: Deferred[LegProtocol] = Deferred(self.givenUp.append)
        self.waiting.append(waiting)
        remote = await waiting
        conversation.forgetDeadline()
        conversation.write(b"welcome\n")
        conversation.relay(remote)

    def assertOver(self, case: str = "") -> None:
        """
        Check, besides, that no connection is remembered.
        """
        super().assertOver(case)
        for factory in self.factories:
            self.successResultOf(factory.cutAll())

    def makeFactory(
        self,
        work: Work | None = None,
        requestTimeout: float = 10.0,
        idleTimeout: float | None = None,
        limits: Limits = NO_LIMITS,
    ) -> LineFactory:
        """
        Make a server.
        """
        factory = LineFactory(
            self.network, requestTimeout, idleTimeout, limits, work=work or self.relayLater
        )
        self.factories.append(factory)
        return factory

    def dial(self, work: Work | None = None, **options: Any) -> Peer:
        """
        Connect to a new one.
        """
        return self.network.accept(self.makeFactory(work, **options))

    def conversation(self, client: Peer) -> LineConversation:
        """
        Find the conversation with a client.
        """
        conversation: LineConversation = client.protocol._conversation
        return conversation

    def succeed(self) -> Peer:
        """
        Connect the remote host that was asked for last.
        """
        leg = LegProtocol()
        remote = self.network.attach(leg, peer=REMOTE_ADDRESS)
        self.waiting[-1].callback(leg)
        self.network.spin()
        return remote

    def tunnel(self, **options: Any) -> tuple[Peer, Peer]:
        """
        Connect a client to a remote host.
        """
        client = self.dial(**options)
        client.send(b"please\n")
        remote = self.succeed()
        self.assertEqual(client.take(), b"welcome\n")
        return client, remote
