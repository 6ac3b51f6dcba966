"""
Tests of L{socks6.local.isolation}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from itertools import chain, combinations, product

from twisted.trial.unittest import SynchronousTestCase

from socks6.local.dialects import Wish
from socks6.local.isolation import Isolation, sessionKey
from socks6.values.address import Address, DomainName, Host
from socks6.values.codes import Command
from socks6.wire.password import ProgramCredentials

#: Who programs say they are; each somebody else.
WHO = (
    None,
    ProgramCredentials(b"", b""),
    ProgramCredentials(b"ada", b""),
    ProgramCredentials(b"", b"ada"),
    ProgramCredentials(b"ada", b"s3cret"),
    ProgramCredentials(b"ada", b"S3cret"),
    ProgramCredentials(b"adas3", b"cret"),
    ProgramCredentials(b"ada', b's3cret", b""),
    ProgramCredentials(b"None", b"None"),
    ProgramCredentials(b"\xff", b"\0"),
)

#: Where they want to go.
HOSTS: tuple[Host, ...] = (
    IPv4Address("192.0.2.1"),
    IPv6Address("::ffff:192.0.2.1"),
    DomainName(b"192.0.2.1"),
    DomainName(b"example.com"),
    DomainName(b"Example.com"),
)
DESTINATIONS = tuple(Address(host, port) for host in HOSTS for port in (80, 8080))

#: Where they are.
CLIENTS = ("127.0.0.1", "127.0.0.2", "::1", "")

KINDS = tuple(
    frozenset(kinds)
    for kinds in chain.from_iterable(
        combinations(Isolation, count) for count in range(len(Isolation) + 1)
    )
)


class SessionKeyTests(SynchronousTestCase):
    """
    L{sessionKey}.
    """

    def test_names(self) -> None:
        """
        They have the names that the command line knows.
        """
        self.assertEqual(
            {isolation.value for isolation in Isolation}, {"auth", "destination", "client"}
        )
        self.assertEqual(len(KINDS), 8)

    def test_equality(self) -> None:
        """
        Two requests have the same key exactly if they are equal in everything that was
        chosen, whatever they are in the rest.
        """
        for kinds in KINDS:
            keys: dict[tuple[object, ...], bytes] = {}
            for who, where, client in product(WHO, DESTINATIONS, CLIENTS):
                chosen = (
                    who if Isolation.AUTH in kinds else "",
                    where if Isolation.DESTINATION in kinds else "",
                    client if Isolation.CLIENT in kinds else "",
                )
                key = sessionKey(kinds, Wish(Command.CONNECT, where, who), client)
                self.assertEqual(keys.setdefault(chosen, key), key, f"{kinds}: {chosen}")
            self.assertEqual(len(set(keys.values())), len(keys), f"{kinds}")

    def test_none(self) -> None:
        """
        If nothing was chosen, all are the same.
        """
        keys = {
            sessionKey(frozenset(), Wish(Command.CONNECT, where, who), client)
            for who, where, client in product(WHO, DESTINATIONS, CLIENTS)
        }
        self.assertEqual(len(keys), 1)

    def test_secret(self) -> None:
        """
        A key tells nothing of who it is, and has the same size for everybody.
        """
        wish = Wish(Command.CONNECT, DESTINATIONS[0], ProgramCredentials(b"ada" * 85, b"s3cret"))
        key = sessionKey(frozenset(Isolation), wish, CLIENTS[0])
        self.assertEqual(len(key), 32)
        self.assertNotIn(b"s3cret", key)
