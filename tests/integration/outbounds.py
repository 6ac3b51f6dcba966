"""
Proxies that go through other ones, and their clients.
"""

from __future__ import annotations

import socket

from tests.integration.chain import ChainTestCase
from tests.integration.peers import (
    NOOP,
    SESSION_REQUEST,
    Place,
    accept,
    dial,
    encodeRequest,
    encodeSessionID,
    exchange,
    openTunnel,
    pattern,
    receive,
    receiveAll,
    receiveReply,
    receiveVerdict,
)
from tests.integration.twistd import Twistd

#: Octets of what is big.
SIZE = 4_000_000

#: What C{NOOP} asks for.
_NOWHERE = ("0.0.0.0", 0)


class OutboundTestCase(ChainTestCase):
    """
    A test with a proxy that goes through another one.
    """

    def startProxy(self, outbound: str, *arguments: str) -> Twistd:
        """
        Start the proxy.
        """
        return Twistd(self, "--port=0", f"--outbound={outbound}", *arguments)

    def request(
        self,
        place: Place,
        destination: tuple[str, int],
        options: bytes = b"",
        command: int = 1,
    ) -> bytes | None:
        """
        Make a request that succeeds.

        @return: The ID of the session that was opened.
        """
        with dial(place) as client:
            client.sendall(encodeRequest(*destination, options, command) + b"\r\n")
            verdict = receiveVerdict(client)
            self.assertEqual(verdict.kind, 0)
            self.assertEqual(receiveReply(client).code, 0)
        return verdict.identifier

    def openSession(self, place: Place) -> bytes:
        """
        Open a session.

        @return: The option that names it.
        """
        identifier = self.request(place, _NOWHERE, SESSION_REQUEST, NOOP)
        assert identifier is not None
        return encodeSessionID(identifier)

    def checkTunnel(
        self, place: Place, destination: tuple[str, int], server: socket.socket
    ) -> None:
        """
        Check that octets pass both ways, and that each direction ends alone.

        @param server: Who listens at the destination.
        """
        up, down = pattern(SIZE), pattern(SIZE)
        with openTunnel(dial(place), destination) as client, accept(server) as remote:
            client.sendall(b"first")
            self.assertEqual(receive(remote, 5), b"first")
            remote.sendall(b"second")
            self.assertEqual(receive(client, 6), b"second")
            for sender, receiver, data in (client, remote, up), (remote, client, down):
                self.assertTrue(self._transfer(sender, receiver, data) == data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(remote), b"")
            remote.sendall(b"last")
            remote.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(client), b"last")

    @staticmethod
    def _transfer(sender: socket.socket, receiver: socket.socket, data: bytes) -> bytes:
        """
        Send, and receive in pieces meanwhile.
        """
        arrived = b""
        for start in range(0, len(data), 65536):
            piece = data[start : start + 65536]
            exchange(sender, piece, 0)
            arrived += receive(receiver, len(piece))
        return arrived
