"""
DTLS in memory: a proxy's door, and the clients that knock at it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

from socks6.dtls import DTLSConversation, DTLSDoor, clientConversation, newContext
from socks6.server.tls import datagramContext
from tests.integration.certificates import Authority, Party

#: Where a client is.
ADDRESS = ("192.0.2.2", 40000)

#: What may happen to a datagram on its way: it comes as these.
Way = Callable[[bytes], list[bytes]]


def straight(datagram: bytes) -> list[bytes]:
    """
    Nothing happens to it.
    """
    return [datagram]


def clientContext(party: Party | None = None) -> SSL.Context:
    """
    Make the context of a client that trusts everybody.

    @param party: Who it is.
    """
    context = newContext()
    if party is not None:
        context.use_certificate_chain_file(str(party.path))
        context.use_privatekey_file(str(party.path))
    return context


class Pair:
    """
    A client and the proxy.

    @ivar client: The client's side.
    @ivar server: The proxy's side; L{None}: it has not shown its cookie.
    @ivar toServer: What the client has sent, in all.
    @ivar toClient: What the proxy has sent.
    """

    def __init__(
        self, door: DTLSDoor, context: SSL.Context | None = None, address: object = ADDRESS
    ) -> None:
        """
        @param context: The client's.
        @param address: Where it is.
        """
        self.door = door
        self.client = clientConversation(context or clientContext())
        self.server: DTLSConversation | None = None
        self.toServer: list[bytes] = []
        self.toClient: list[bytes] = []
        self._address = address

    @property
    def isEstablished(self) -> bool:
        """
        Whether both sides have agreed.
        """
        return self.client.isEstablished and self.isHalfEstablished

    @property
    def isHalfEstablished(self) -> bool:
        """
        Whether the proxy has agreed.
        """
        return self.server is not None and self.server.isEstablished

    def handshake(self, up: Way = straight, down: Way = straight) -> None:
        """
        Let the client begin, and pass datagrams until there are no more.

        @param up: What happens to those of the client.
        @param down: What happens to those of the proxy.
        @raise DTLSFailed: One side gives up.
        """
        self.client.start()
        self.exchange(up, down)

    def exchange(self, up: Way = straight, down: Way = straight) -> None:
        """
        Pass datagrams until there are no more.

        @see: L{handshake}
        """
        while questions := list(self.client.outgoing()):
            self.toServer += questions
            answers = [answer for each in questions for one in up(each) for answer in self.ask(one)]
            self.toClient += answers
            for answer in answers:
                for one in down(answer):
                    list(self.client.receive(one))

    def ask(self, datagram: bytes) -> list[bytes]:
        """
        Let the proxy take a datagram of the client.

        @return: What it answers.
        """
        if self.server is not None:
            list(self.server.receive(datagram))
            return list(self.server.outgoing())
        self.server, answer = self.door.knock(self._address, datagram)
        if self.server is None:
            return [answer] if answer else []
        self.server.start()
        return list(self.server.outgoing())


def makeDoor(folder: Path, clientCA: Path | None = None) -> DTLSDoor:
    """
    Make a door, with a certificate of its own.
    """
    return DTLSDoor(datagramContext(Authority(folder).server().path, clientCA=clientCA))
