"""
Tests of L{socks6.client.datagrams}.
"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address
from typing import Any

from socks6.client.datagrams import SOCKS6DatagramEndpoint
from socks6.values.address import Address
from socks6.values.codes import Command
from socks6.values.options import OptionList, UsernamePassword
from tests.client.associations import AssociationTestCase
from tests.raising import errorOf


class DatagramEndpointTests(AssociationTestCase):
    """
    L{SOCKS6DatagramEndpoint} asks the proxy for a port.
    """

    def test_request(self) -> None:
        """
        The request is for a port, any if nothing else is said, and says who we are.
        """
        self.negotiate(username="ada", password="s3cret")
        request = self.transport.request
        self.assertEqual(request.command, Command.UDP_ASSOCIATE)
        self.assertEqual(str(request.address), "0.0.0.0:0")
        self.assertEqual(request.options, OptionList([UsernamePassword(b"ada", b"s3cret")]))
        self.assertEqual(self.transport.data, b"")
        self.listen(port=4000, interface="2001:db8::1")
        self.acceptNext()
        self.assertEqual(self.transport.request.address, Address(IPv6Address("2001:db8::1"), 4000))

    def test_arguments(self) -> None:
        """
        Arguments that cannot be are mistakes at once.
        """

        def make(**arguments: Any) -> object:
            proxy = arguments.pop("proxy", self.proxyEndpoint)
            return SOCKS6DatagramEndpoint(self.reactor, proxy, **arguments)

        for arguments in (
            {"port": -1},
            {"port": 65536},
            {"interface": "proxy.example"},
            {"interface": "fe80::1%eth0"},
            {"username": "ada"},
            {"proxy": self.session, "username": "ada", "password": "s3cret"},
            {"timeout": 0.0},
            {"datagrams": ("proxy.example", 1080)},
            {"datagrams": ("192.0.2.5", 0)},
            {"datagrams": (None, 65536)},
        ):
            self.assertIsNotNone(errorOf(ValueError, partial(make, **arguments)), repr(arguments))

    def test_repr(self) -> None:
        """
        The endpoint tells the way, and no secrets.
        """
        endpoint = SOCKS6DatagramEndpoint(
            self.reactor, self.proxyEndpoint, 4000, username="ada", password="s3cret"
        )
        self.assertIn("SOCKS6DatagramEndpoint 0.0.0.0:4000 at <", repr(endpoint))
        self.assertNotIn("ada", repr(endpoint))
        self.assertNotIn("s3cret", repr(endpoint))
