"""
Tests of L{socks6.outbound.names}.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IHostnameResolver, IReactorThreads, IResolutionReceiver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import OutboundFailed
from socks6.outbound.names import lookUp
from socks6.outbound.resolver import ThreadedResolver
from socks6.values.address import DomainName, IPAddress
from socks6.values.codes import ReplyCode


class Resolver:
    """
    A resolver that answers when the test wants it to.

    @ivar asked: The names, in their order.
    @ivar receiver: Who waits for the last one.
    @ivar cancelled: How often a resolution was cancelled.
    @ivar cancel: What cancelling does.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.receiver: Any = None
        self.cancelled = 0
        self.refusal: OutboundFailed | None = None
        self.cancel: Callable[[], None] = self._cancel

    def resolveHostName(self, receiver: IResolutionReceiver, hostName: str) -> Any:
        """
        Take note.
        """
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(hostName)
        self.receiver = receiver
        receiver.resolutionBegan(cast("Any", self))
        return self

    def _cancel(self) -> None:
        """
        Take note.
        """
        self.cancelled += 1

    def refuseToCancel(self) -> None:
        """
        Do as Twisted's own resolver.
        """
        self.cancelled += 1
        raise NotImplementedError


class LookUpTests(SynchronousTestCase):
    """
    The addresses of a name.
    """

    def setUp(self) -> None:
        self.resolver = Resolver()

    def lookUp(self, name: bytes) -> Deferred[list[IPAddress]]:
        """
        Look up a name.
        """
        return lookUp(cast("IHostnameResolver", self.resolver), DomainName(name))

    def test_addresses(self) -> None:
        """
        All addresses are found, in the resolver's order, and nothing else that it knows.
        """
        found = self.lookUp(b"example.org")
        self.assertTrue(verifyObject(IResolutionReceiver, self.resolver.receiver))
        for address in (
            IPv6Address("TCP", "2001:db8::1", 0),
            UNIXAddress("/run/name"),
            IPv4Address("TCP", "192.0.2.1", 0),
            IPv6Address("TCP", "fe80::1%2", 0),
        ):
            self.resolver.receiver.addressResolved(address)
        self.assertNoResult(found)
        self.resolver.receiver.resolutionComplete()
        expected = [ip_address(each) for each in ("2001:db8::1", "192.0.2.1", "fe80::1")]
        self.assertEqual(self.successResultOf(found), expected)
        self.assertEqual(self.resolver.asked, ["example.org"])

    def test_none(self) -> None:
        """
        There may be none.
        """
        found = self.lookUp(b"example.org")
        self.resolver.receiver.resolutionComplete()
        self.assertEqual(self.successResultOf(found), [])

    def test_owner(self) -> None:
        """
        Our own resolver learns whom a name counts against.
        """
        asked: list[tuple[str, bytes | None]] = []

        def note(name: str, owner: bytes | None) -> Deferred[list[IPAddress]]:
            asked.append((name, owner))
            return succeed([])

        resolver = ThreadedResolver(cast("IReactorThreads", None))
        self.patch(resolver, "lookUp", note)
        name = DomainName(b"host.example")
        self.successResultOf(lookUp(resolver, name, b"ada"))
        self.successResultOf(lookUp(resolver, name))
        self.assertEqual(asked, [("host.example", b"ada"), ("host.example", None)])

    def test_textForm(self) -> None:
        """
        Nobody is asked for an address in text form.
        """
        found = self.successResultOf(self.lookUp(b"192.0.2.1"))
        self.assertEqual(found, [ip_address("192.0.2.1")])
        self.assertEqual(self.resolver.asked, [])

    def test_impossible(self) -> None:
        """
        Nor for what no host can be called.
        """
        for name in (b"a b", b"a\nb", b"a..b", b".", b"-\xff", b"[::1]", b"x" * 64):
            failure = self.failureResultOf(self.lookUp(name), OutboundFailed)
            self.assertEqual(failure.value.replyCode, ReplyCode.HOST_UNREACHABLE, repr(name))
        self.assertEqual(self.resolver.asked, [])

    def test_refused(self) -> None:
        """
        A resolver that has too much to do says so.
        """
        self.resolver.refusal = OutboundFailed(ReplyCode.GENERAL_FAILURE, "too many names")
        failure = self.failureResultOf(self.lookUp(b"example.org"))
        self.assertIs(failure.value, self.resolver.refusal)

    def test_cancel(self) -> None:
        """
        Who waits no more hears nothing more, whether the resolver can stop or not.
        """
        for cancel in (self.resolver.cancel, self.resolver.refuseToCancel):
            self.resolver.cancel = cancel
            self.resolver.cancelled = 0
            found = self.lookUp(b"example.org")
            found.cancel()
            self.failureResultOf(found, CancelledError)
            self.assertEqual(self.resolver.cancelled, 1)
            self.resolver.receiver.addressResolved(IPv4Address("TCP", "192.0.2.1", 0))
            self.resolver.receiver.resolutionComplete()
