"""
A local proxifier in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress

from socks6.local.factory import LocalFactory
from tests.doubles import CLIENT_ADDRESS, Attempt, MemoryOutbound, Peer
from tests.server.harness import MemoryTestCase

#: How the log lines of requests end for which no octet has passed.
NO_OCTETS = ", 0 octets to the remote host, 0 to the client, 0.000 s"


class LocalTestCase(MemoryTestCase):
    """
    A test of a local proxifier, from both sides.
    """

    def setUp(self) -> None:
        super().setUp()
        self.outbound = MemoryOutbound(self.network)
        self.factories: list[LocalFactory] = []

    def assertOver(self, case: str = "") -> None:
        """
        Check, besides, that no connection is remembered.
        """
        super().assertOver(case)
        for factory in self.factories:
            self.successResultOf(factory.cutAll())

    def makeFactory(
        self, kind: Callable[..., LocalFactory] = LocalFactory, **options: Any
    ) -> LocalFactory:
        """
        Make a proxifier.
        """
        options.setdefault("outbound", self.outbound)
        factory = kind(self.network, **options)
        self.factories.append(factory)
        return factory

    def dial(self, peer: IAddress = CLIENT_ADDRESS, **options: Any) -> Peer:
        """
        Connect to a new one.
        """
        return self.network.accept(self.makeFactory(**options), peer)

    def ask(self, sent: bytes, **options: Any) -> Peer:
        """
        Ask a new one for something, by the only request to connect so far.
        """
        self.outbound.attempts.clear()
        program = self.dial(**options)
        program.send(sent)
        return program

    @property
    def attempt(self) -> Attempt:
        """
        The only request to connect so far.
        """
        (attempt,) = self.outbound.attempts
        return attempt

    def assertNobodyWaits(self, program: Peer) -> None:
        """
        Check that what was done about a program's wish has come to its end.
        """
        self.assertIsNone(self.successResultOf(program.protocol._conversation._work))

    def leave(self, program: Peer, case: str = "") -> None:
        """
        End a connection that we are about to end, as a program does that has read the
        last answer.
        """
        self.assertTrue(program.ended, f"{case}: we end our direction")
        program.end()
        self.assertFalse(program.wasReset, case)
        self.assertOver(case)
