"""
Tunnels with both their ends in the test.
"""

from __future__ import annotations

import socket
from unittest import TestCase

from tests.integration.peers import Place, accept, dial, listen, openTunnel, placeOf, receive


class TunnelMixin(TestCase):
    """
    A test with tunnels.

    @cvar passed: What passes through one, to see whether it does.
    """

    passed = b"something"

    def tunnelThrough(self, place: Place) -> tuple[socket.socket, socket.socket]:
        """
        Open a tunnel that ends with the test.

        @param place: Where the proxy is.
        @return: The client's socket and the remote host's.
        """
        with listen() as listener:
            client = openTunnel(dial(place), placeOf(listener))
            self.addCleanup(client.close)
            server = accept(listener)
            self.addCleanup(server.close)
        return client, server

    def assertPasses(self, client: socket.socket, server: socket.socket) -> None:
        """
        Check that a tunnel passes octets, both ways.
        """
        for source, destination in ((client, server), (server, client)):
            source.sendall(self.passed)
            self.assertEqual(receive(destination, len(self.passed)), self.passed)
