"""
Tests of L{socks6.local.factory}.
"""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory
from zope.interface.verify import verifyObject

from socks6.local.conversation import LocalConversation, TransparentConversation
from socks6.local.dialects import (
    Dialect,
    HTTPDialect,
    SilentDialect,
    SOCKS4Dialect,
    SOCKS5Dialect,
)
from socks6.local.factory import LocalFactory, TransparentFactory
from socks6.local.isolation import Isolation
from tests.local.harness import LocalTestCase
from tests.local.programs import FIVE, FIVE_GRANTED, NO_NEED


class FactoryTests(LocalTestCase):
    """
    L{LocalFactory} and L{TransparentFactory}.
    """

    def test_interface(self) -> None:
        """
        They are factories.
        """
        for kind in (LocalFactory, TransparentFactory):
            self.assertTrue(verifyObject(IProtocolFactory, self.makeFactory(kind)))

    def test_defaults(self) -> None:
        """
        Without more words, user names and passwords tell sessions apart, programs have
        10 seconds to ask, and tunnels may be idle for ever.
        """
        factory = LocalFactory(self.network, self.outbound)
        self.assertIs(factory.outbound, self.outbound)
        self.assertEqual(factory.isolations, {Isolation.AUTH})
        self.assertEqual(factory.requestTimeout, 10.0)
        self.assertIsNone(factory.idleTimeout)
        self.assertFalse(factory.noisy)

    def test_options(self) -> None:
        """
        All of that can be otherwise.
        """
        factory = self.makeFactory(
            isolations=[Isolation.CLIENT, Isolation.CLIENT], requestTimeout=2.5, idleTimeout=30.0
        )
        self.assertEqual(factory.isolations, {Isolation.CLIENT})
        self.assertEqual((factory.requestTimeout, factory.idleTimeout), (2.5, 30.0))

    def test_optimism(self) -> None:
        """
        Whether a program is answered early depends on its dialect, or on nothing.
        """
        early: list[Dialect] = [SOCKS5Dialect(), HTTPDialect()]
        late: list[Dialect] = [SOCKS4Dialect(), SilentDialect()]
        for kind in (LocalFactory, TransparentFactory):
            for optimistic, earlier, later in (
                (None, True, False),
                (True, True, True),
                (False, False, False),
            ):
                factory = self.makeFactory(kind, optimistic=optimistic)
                for dialects, expected in ((early, earlier), (late, later)):
                    for dialect in dialects:
                        self.assertIs(factory.answersEarly(dialect), expected)
        self.assertIs(self.makeFactory().answersEarly(early[0]), True)
        self.assertIs(self.makeFactory().answersEarly(late[0]), False)

    def test_conversations(self) -> None:
        """
        Each has its kind of conversation.
        """
        for kind, conversation in (
            (LocalFactory, LocalConversation),
            (TransparentFactory, TransparentConversation),
        ):
            program = self.dial(kind=kind)
            self.assertIs(type(program.protocol._conversation), conversation)

    def test_idleTimeout(self) -> None:
        """
        A tunnel that nobody uses is cut.
        """
        program = self.ask(FIVE, idleTimeout=30.0)
        remote = self.attempt.succeed()
        self.assertEqual(program.received, NO_NEED + FIVE_GRANTED)
        self.network.elapse(30)
        self.assertTrue(program.wasReset and remote.wasReset)
        self.assertOver()
        self.assertIn(": idle, ", self.lines[0])
