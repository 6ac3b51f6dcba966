"""
Tests for L{socks6.outbound.direct}: all addresses of a name are tried, one
beside the other, and nothing is left behind whatever comes of it.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet import address as addresses
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.interfaces import FirstOctets, IOutbound, OutboundFailed, OutboundRequest
from socks6.outbound import attempt as attempts
from socks6.outbound import direct as module
from socks6.outbound.direct import ATTEMPT_DELAY, DirectOutbound, interleave
from socks6.outbound.resolver import ThreadedResolver
from socks6.sockets import socketOf
from socks6.values.address import Address, DomainName, IPAddress
from socks6.values.codes import ReplyCode
from tests.outbound.loopback import listen, refusingPort, requireIPv6


@implementer(IHostnameResolver)
class Resolver:
    """
    A resolver that answers when the test wants it to.

    @ivar asked: The names, in their order.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._receivers: list[IResolutionReceiver] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = cast(IHostResolution, None)
        self.asked.append(hostName)
        self._receivers.append(resolutionReceiver)
        resolutionReceiver.resolutionBegan(resolution)
        return resolution

    def answer(self, *hosts: str) -> None:
        """
        Answer the oldest question.
        """
        receiver = self._receivers.pop(0)
        for host in hosts:
            kind = addresses.IPv6Address if ":" in host else addresses.IPv4Address
            receiver.addressResolved(kind("TCP", host, 0))
        receiver.resolutionComplete()


@implementer(IReactorPluggableNameResolver)
class Reactor(MemoryReactorClock):
    """
    A reactor that has a resolver, and waits for real sockets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resolver = Resolver()
        self.nameResolver = self.resolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError

    def spin(self) -> None:
        """
        Wait for the sockets of all attempts, and tell these.
        """
        while writers := self.getWriters():
            poll = select.poll()
            for each in writers:
                poll.register(cast(Any, each).fileno(), select.POLLOUT)
            ready = {descriptor for descriptor, _ in poll.poll(10_000)}
            assert ready, "nothing happens"
            for each in writers:
                if cast(Any, each).fileno() in ready:
                    cast(Any, each).doWrite()


class ScriptedAttempt:
    """
    A connection attempt that ends as the test wants it to.

    @ivar cancelled: Whether it was given up.
    @ivar taken: Octets that it has sent in its SYN.
    """

    def __init__(self, finished: Callable[[Any, OutboundFailed | None], None]) -> None:
        self._finished = finished
        self.cancelled = False
        self.taken = 0

    def cancel(self) -> None:
        """
        Take note.
        """
        self.cancelled = True

    def take(self) -> socket.socket:
        """
        Give a socket; whether it is connected does not matter here.
        """
        return socket.socket()

    def succeed(self) -> None:
        """
        Connect.
        """
        self._finished(self, None)

    def fail(self, replyCode: ReplyCode) -> None:
        """
        Do not.
        """
        self._finished(self, OutboundFailed(replyCode, replyCode.name))


class DirectTestCase(SynchronousTestCase):
    """
    A test with a way out.
    """

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.resolver = self.reactor.resolver
        self.protocol = Protocol()
        self.outbound = DirectOutbound(self.reactor, 30.0)

    def connect(
        self,
        host: str,
        port: int = 80,
        typeOfService: int | None = None,
        first: FirstOctets | None = None,
    ) -> Any:
        """
        Begin to connect.

        @param host: An IP address, or a name.
        @param first: What may leave in the first packet.
        @return: The Deferred.
        """
        destination: IPAddress | DomainName
        try:
            destination = ip_address(host)
        except ValueError:
            destination = DomainName(host.encode("ascii"))
        request = OutboundRequest(Address(destination, port), typeOfService, first=first)
        return self.outbound.connect(request, self.protocol)

    def assertNothingLeft(self) -> None:
        """
        Check that nothing is under way.
        """
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.getWriters(), [])

    def failure(self, done: Any) -> OutboundFailed:
        """
        Give the failure of a Deferred, after which nothing is left.
        """
        failed: OutboundFailed = self.failureResultOf(done, OutboundFailed).value
        self.assertNothingLeft()
        self.assertIsNone(self.protocol.transport)
        return failed


class SocketTests(DirectTestCase):
    """
    With real sockets, of hosts that do not answer at once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(attempts, "_isConnected", lambda handle: False)

    def handle(self) -> socket.socket:
        """
        Give the socket of the connection that was made, until the test ends.
        """
        handle = socketOf(cast(Any, self.protocol.transport))
        assert handle is not None
        self.addCleanup(handle.close)
        return handle

    def test_interface(self) -> None:
        """
        It is what the proxy expects of a way out.
        """
        self.assertTrue(verifyObject(IOutbound, self.outbound))

    def test_IPv4(self) -> None:
        """
        An IPv4 address is connected to.
        """
        listener = listen(self)
        done = self.connect(*listener.getsockname())
        self.assertNoResult(done)
        self.reactor.spin()
        bound = self.successResultOf(done)
        handle = self.handle()
        self.assertEqual((str(bound.host), bound.port), handle.getsockname()[:2])
        self.assertEqual(handle.getpeername(), listener.getsockname())
        self.assertEqual(self.resolver.asked, [])
        self.assertNothingLeft()

    def test_IPv6(self) -> None:
        """
        An IPv6 address is connected to.
        """
        requireIPv6(self)
        listener = listen(self, "::1")
        done = self.connect(*listener.getsockname()[:2])
        self.reactor.spin()
        bound = self.successResultOf(done)
        handle = self.handle()
        self.assertEqual((str(bound.host), bound.port), handle.getsockname()[:2])
        self.assertEqual(handle.getpeername(), listener.getsockname())

    def test_typeOfService(self) -> None:
        """
        The socket has the IP type of service that was asked for.
        """
        done = self.connect("127.0.0.1", listen(self).getsockname()[1], 0xB8)
        self.reactor.spin()
        self.successResultOf(done)
        handle = self.handle()
        self.assertEqual(handle.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), 0xB8)

    def test_refused(self) -> None:
        """
        A refusal has its reply code.
        """
        done = self.connect("127.0.0.1", refusingPort(self))
        self.reactor.spin()
        self.assertEqual(self.failure(done).replyCode, ReplyCode.CONNECTION_REFUSED)

    def test_allAddresses(self) -> None:
        """
        Where the first addresses of a name refuse, the next is connected to.
        """
        listener = listen(self)
        done = self.connect("several.example", listener.getsockname()[1])
        self.resolver.answer("127.0.0.2", "127.0.0.3", "127.0.0.1")
        self.reactor.spin()
        self.successResultOf(done)
        handle = self.handle()
        self.assertEqual(handle.getpeername(), listener.getsockname())
        self.assertNothingLeft()

    def test_cancel(self) -> None:
        """
        A cancelled attempt leaves no socket.
        """
        done = self.connect(*listen(self).getsockname())
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertNothingLeft()

    def test_notAdopted(self) -> None:
        """
        A socket of which no transport can be made is closed, and that is a
        failure.
        """

        def refuse(*arguments: object) -> None:
            raise OSError(errno.ENOMEM, "")

        self.patch(module, "adopt", refuse)
        listener = listen(self)
        done = self.connect(*listener.getsockname())
        self.reactor.spin()
        self.assertEqual(self.failure(done).replyCode, ReplyCode.GENERAL_FAILURE)
        server, _ = listener.accept()
        with server:
            self.assertEqual(server.recv(1), b"")


class AtOnceTests(DirectTestCase):
    """
    With real sockets, of hosts that have answered as soon as they were asked, as those of
    this machine do.
    """

    def test_connected(self) -> None:
        """
        There is a connection at once, and nothing is waited for.
        """
        self.patch(attempts, "_isConnected", lambda handle: bool(handle.getpeername()))
        first = FirstOctets(b"hello")
        self.patch(attempts, "connectWith", self._connectWith)
        host, port = listen(self).getsockname()
        done = self.connect(host, port, first=first)
        self.successResultOf(done)
        self.assertNothingLeft()
        self.assertEqual(first.taken, 3)
        transport: Any = self.protocol.transport
        transport.socket.close()

    @staticmethod
    def _connectWith(handle: socket.socket, where: tuple[str, int], octets: bytes) -> int:
        """
        Connect, and wait for that, however long it takes the kernel.
        """
        handle.setblocking(True)
        handle.connect(where)
        return 3


class ScriptedTestCase(DirectTestCase):
    """
    A test whose attempts end as it wants them to.

    @ivar refusal: Why no transport is made of a socket, in case.
    """

    def setUp(self) -> None:
        super().setUp()
        #: The hosts that were tried, and their attempts.
        self.tried: list[str] = []
        self.attempts: list[ScriptedAttempt] = []
        #: What each may send in its SYN.
        self.offered: list[bytes | None] = []
        #: Hosts that the system refuses to try, and why.
        self.refused: dict[str, ReplyCode] = {}
        case = self

        class Attempt(ScriptedAttempt):
            def __init__(self, reactor: Any, finished: Any, multipath: bool) -> None:
                super().__init__(finished)

            def start(
                self,
                host: IPAddress,
                port: int,
                typeOfService: int | None,
                octets: bytes | None,
            ) -> bool:
                case.tried.append(str(host))
                case.offered.append(octets)
                if (code := case.refused.get(str(host))) is not None:
                    raise OutboundFailed(code, code.name)
                case.attempts.append(self)
                return False

        self.patch(module, "ConnectAttempt", Attempt)
        self.refusal: OSError | None = None
        self.patch(module, "adopt", self._adopt)

    def _adopt(self, reactor: object, handle: socket.socket, protocol: Protocol) -> None:
        """
        Make a transport that has nothing to do with the socket.
        """
        handle.close()
        if self.refusal is not None:
            raise self.refusal
        protocol.makeConnection(StringTransport())

    def begin(self, *hosts: str, first: FirstOctets | None = None) -> Any:
        """
        Begin to connect to a name.

        @param hosts: Its addresses.
        @param first: What may leave in the first packet.
        """
        done = self.connect("several.example", first=first)
        self.resolver.answer(*hosts)
        return done


class RaceTests(ScriptedTestCase):
    """
    Which address is tried when.
    """

    def test_order(self) -> None:
        """
        The families take turns; an address that stands twice is tried once.
        """
        done = self.begin(
            "2001:db8::1", "2001:db8::2", "2001:db8::1", "192.0.2.1", "2001:db8::3", "192.0.2.2"
        )
        for _ in range(4):
            self.attempts[-1].fail(ReplyCode.CONNECTION_REFUSED)
        self.assertNoResult(done)
        self.assertEqual(
            self.tried, ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]
        )
        self.attempts[-1].fail(ReplyCode.CONNECTION_REFUSED)
        self.failure(done)

    def test_delay(self) -> None:
        """
        An address that says nothing for a while gets company; the first that
        answers ends the others.
        """
        done = self.begin("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.reactor.advance(ATTEMPT_DELAY * 0.99)
        self.assertEqual(len(self.attempts), 1)
        self.reactor.advance(ATTEMPT_DELAY * 0.01)
        self.assertEqual(len(self.attempts), 2)
        self.assertFalse(self.attempts[0].cancelled)
        self.attempts[1].succeed()
        self.successResultOf(done)
        self.assertEqual([each.cancelled for each in self.attempts], [True, False])
        self.assertNothingLeft()
        self.reactor.advance(100)
        self.assertEqual(len(self.attempts), 2)

    def test_firstMayStillWin(self) -> None:
        """
        An address that answers late wins if no other one has.
        """
        done = self.begin("192.0.2.1", "192.0.2.2")
        self.reactor.advance(ATTEMPT_DELAY)
        self.attempts[0].succeed()
        self.successResultOf(done)
        self.assertEqual([each.cancelled for each in self.attempts], [False, True])

    def test_failureHurries(self) -> None:
        """
        Behind a failure, the next address is tried at once, and the one after
        it has to wait from then.
        """
        self.begin("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.reactor.advance(ATTEMPT_DELAY / 2)
        self.attempts[0].fail(ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(len(self.attempts), 2)
        self.reactor.advance(ATTEMPT_DELAY * 0.9)
        self.assertEqual(len(self.attempts), 2)
        self.reactor.advance(ATTEMPT_DELAY * 0.1)
        self.assertEqual(len(self.attempts), 3)

    def test_refusedAtOnce(self) -> None:
        """
        An address that the system refuses to try costs no time.
        """
        self.refused["2001:db8::1"] = ReplyCode.NETWORK_UNREACHABLE
        self.refused["2001:db8::2"] = ReplyCode.NETWORK_UNREACHABLE
        done = self.begin("2001:db8::1", "192.0.2.1", "2001:db8::2")
        self.assertEqual(self.tried, ["2001:db8::1", "192.0.2.1"])
        self.reactor.advance(ATTEMPT_DELAY)
        self.assertEqual(len(self.tried), 3)
        self.assertNoResult(done)
        self.attempts[0].succeed()
        self.successResultOf(done)
        self.assertNothingLeft()

    def test_allRefusedAtOnce(self) -> None:
        """
        The system may refuse to try any.
        """
        self.refused["2001:db8::1"] = ReplyCode.NETWORK_UNREACHABLE
        done = self.connect("2001:db8::1")
        self.assertEqual(self.failure(done).replyCode, ReplyCode.NETWORK_UNREACHABLE)

    def test_failureWhileAnotherLasts(self) -> None:
        """
        As long as one attempt lasts, nothing has failed.
        """
        done = self.begin("192.0.2.1", "192.0.2.2")
        self.reactor.advance(ATTEMPT_DELAY)
        self.attempts[1].fail(ReplyCode.CONNECTION_REFUSED)
        self.assertNoResult(done)
        self.attempts[0].fail(ReplyCode.HOST_UNREACHABLE)
        self.failure(done)

    def test_mostTelling(self) -> None:
        """
        Of several failures, the one from farthest away is reported, whatever
        their order.
        """
        for near, far in (
            (ReplyCode.NETWORK_UNREACHABLE, ReplyCode.CONNECTION_REFUSED),
            (ReplyCode.HOST_UNREACHABLE, ReplyCode.TTL_EXPIRED),
            (ReplyCode.TTL_EXPIRED, ReplyCode.TIMED_OUT),
            (ReplyCode.GENERAL_FAILURE, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED),
            (ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED, ReplyCode.NETWORK_UNREACHABLE),
        ):
            for codes in (near, far), (far, near):
                done = self.begin("192.0.2.1", "192.0.2.2")
                for code in codes:
                    self.attempts[-1].fail(code)
                self.assertEqual(self.failure(done).replyCode, far)

    def test_timeout(self) -> None:
        """
        All attempts together have so much time.
        """
        done = self.begin("192.0.2.1", "192.0.2.2")
        self.reactor.pump([ATTEMPT_DELAY, 29.0, 0.7])
        self.assertNoResult(done)
        self.reactor.advance(0.1)
        self.assertEqual(self.failure(done).replyCode, ReplyCode.TIMED_OUT)
        self.assertEqual([each.cancelled for each in self.attempts], [True, True])

    def test_cancel(self) -> None:
        """
        Cancelling gives up all attempts.
        """
        done = self.begin("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.reactor.advance(ATTEMPT_DELAY)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual([each.cancelled for each in self.attempts], [True, True])
        self.assertNothingLeft()

    def test_cancelAfterSuccess(self) -> None:
        """
        Cancelling too late does nothing.
        """
        done = self.begin("192.0.2.1")
        self.attempts[0].succeed()
        done.cancel()
        self.successResultOf(done)

    def test_notAdopted(self) -> None:
        """
        Where no transport can be made of the socket, the next address is tried.
        """
        self.refusal = OSError(errno.ENOTCONN, "")
        done = self.begin("192.0.2.1", "192.0.2.2")
        self.attempts[0].succeed()
        self.assertNoResult(done)
        self.refusal = None
        self.attempts[1].succeed()
        self.successResultOf(done)
        self.assertNothingLeft()


class NameTests(ScriptedTestCase):
    """
    What is asked of the resolver, and what is made of its answers.
    """

    def test_asked(self) -> None:
        """
        The resolver gets the name as it is.
        """
        for name in ("example.org", "Example.ORG.", "a_b.example", "xn--bcher-kva.example", "7"):
            self.connect(name).addErrback(lambda failure: None)
            self.assertEqual(self.resolver.asked.pop(), name)

    def test_longNames(self) -> None:
        """
        Labels of 63 letters and names of 253 are fine, and not more.
        """
        longest = ".".join(["a" * 63] * 3 + ["a" * 61])
        self.connect(longest)
        self.connect(longest + ".")
        self.assertEqual(self.resolver.asked, [longest, longest + "."])
        for name in ("a" * 64, longest + "aa"):
            failed = self.failureResultOf(self.connect(name), OutboundFailed).value
            self.assertEqual(failed.replyCode, ReplyCode.HOST_UNREACHABLE)
        self.assertEqual(len(self.resolver.asked), 2)

    def test_owner(self) -> None:
        """
        Our own resolver learns whom a request counts against.
        """
        resolver = ThreadedResolver(cast(Any, self.reactor))
        asked: list[bytes | None] = []

        def note(name: str, owner: bytes | None) -> Deferred[list[IPAddress]]:
            asked.append(owner)
            return succeed([])

        self.patch(resolver, "lookUp", note)
        outbound = DirectOutbound(self.reactor, 30.0, resolver)
        destination = Address(DomainName(b"host.example"), 80)
        done = outbound.connect(OutboundRequest(destination, owner=b"ada"), self.protocol)
        self.assertEqual(self.failure(done).replyCode, ReplyCode.HOST_UNREACHABLE)
        self.assertEqual(asked, [b"ada"])

    def test_impossibleNames(self) -> None:
        """
        A name that no host can have is not asked for.
        """
        for octets in (b"a b", b"a..b", b".a", b".", b"a/b", b"b\xfccher", b"::1", b"a\nb", b"a\n"):
            destination = Address(DomainName(octets), 80)
            done = self.outbound.connect(OutboundRequest(destination), self.protocol)
            self.assertEqual(self.failure(done).replyCode, ReplyCode.HOST_UNREACHABLE, octets)
        self.assertEqual(self.resolver.asked, [])

    def test_addressAsName(self) -> None:
        """
        A name that is an IPv4 address is taken for one.
        """
        self.connect("several.example").addErrback(lambda failure: None)
        self.resolver.asked.clear()
        destination = Address(DomainName(b"192.0.2.1"), 80)
        done = self.outbound.connect(OutboundRequest(destination), self.protocol)
        self.assertEqual(self.tried, ["192.0.2.1"])
        self.attempts[-1].succeed()
        self.successResultOf(done)
        self.assertEqual(self.resolver.asked, [])

    def test_unspecified(self) -> None:
        """
        The unspecified address is no destination, however it is written.
        """
        for host in ("0.0.0.0", "::", "::ffff:0.0.0.0"):
            done = self.connect(host)
            self.assertEqual(self.failure(done).replyCode, ReplyCode.GENERAL_FAILURE, host)
        request = OutboundRequest(Address(DomainName(b"0.0.0.0"), 80))
        done = self.outbound.connect(request, self.protocol)
        self.assertEqual(self.failure(done).replyCode, ReplyCode.GENERAL_FAILURE)
        # The system's resolver takes "0" for an address.
        done = self.connect("0")
        self.resolver.answer("0.0.0.0", "::")
        self.assertEqual(self.failure(done).replyCode, ReplyCode.GENERAL_FAILURE)
        self.assertEqual(self.tried, [])

    def test_noAddresses(self) -> None:
        """
        A name without addresses does not resolve.
        """
        done = self.begin()
        self.assertEqual(self.failure(done).replyCode, ReplyCode.HOST_UNREACHABLE)

    def judged(self, *refused: str) -> Any:
        """
        Begin to connect to a name, where something speaks against some addresses.
        """

        def objection(host: IPAddress) -> str | None:
            self.judgedHosts.append(str(host))
            return f"{host} is bad" if str(host) in refused else None

        self.judgedHosts: list[str] = []
        destination = Address(DomainName(b"several.example"), 80)
        return self.outbound.connect(
            OutboundRequest(destination, objection=objection), self.protocol
        )

    def test_objections(self) -> None:
        """
        Addresses that something speaks against are not connected to, and the others are;
        what is heard is what becomes of these.
        """
        done = self.judged("192.0.2.1")
        self.resolver.answer("192.0.2.1", "192.0.2.2")
        self.assertEqual(self.judgedHosts, ["192.0.2.1", "192.0.2.2"])
        self.assertEqual(self.tried, ["192.0.2.2"])
        self.attempts[-1].fail(ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(self.failure(done).replyCode, ReplyCode.CONNECTION_REFUSED)

    def test_onlyObjections(self) -> None:
        """
        If something speaks against all of them, that is not allowed.
        """
        done = self.judged("192.0.2.1", "2001:db8::1")
        self.resolver.answer("192.0.2.1", "2001:db8::1", "0.0.0.0")
        failure = self.failure(done)
        self.assertEqual(failure.replyCode, ReplyCode.NOT_ALLOWED)
        self.assertEqual(failure.reason, "192.0.2.1 is bad; 2001:db8::1 is bad")
        self.assertEqual(self.tried, [])

    def test_rebinding(self) -> None:
        """
        What was judged is what is connected to: a name is looked up once, so that another
        answer the second time changes nothing.
        """
        done = self.judged("10.0.0.1")
        self.resolver.answer("192.0.2.1", "192.0.2.2")
        self.attempts[-1].fail(ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(self.resolver.asked, ["several.example"])
        self.assertEqual(self.tried, ["192.0.2.1", "192.0.2.2"])
        self.attempts[-1].succeed()
        self.successResultOf(done)
        # The name leads elsewhere now.
        done = self.judged("10.0.0.1")
        self.resolver.answer("10.0.0.1")
        self.assertEqual(self.tried, ["192.0.2.1", "192.0.2.2"])
        self.failureResultOf(done, OutboundFailed)

    def test_refusingResolver(self) -> None:
        """
        A resolver that has too much to do says so, and the client hears it at
        once.
        """

        def resolveHostName(*arguments: object) -> IHostResolution:
            raise OutboundFailed(ReplyCode.GENERAL_FAILURE, "too many names to look up")

        self.patch(self.resolver, "resolveHostName", resolveHostName)
        failure = self.failure(self.connect("several.example"))
        self.assertEqual(failure.replyCode, ReplyCode.GENERAL_FAILURE)
        self.assertEqual(failure.reason, "too many names to look up")

    def test_otherAddresses(self) -> None:
        """
        Addresses that are no IP addresses are left out; so is the zone of those
        that have one.
        """
        done = self.connect("several.example")
        (receiver,) = self.resolver._receivers
        receiver.addressResolved(addresses.UNIXAddress(b"/nowhere"))
        self.resolver.answer("fe80::1%lo")
        self.assertEqual(self.tried, ["fe80::1"])
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_timeoutWhileResolving(self) -> None:
        """
        The time that resolving takes counts; an answer that comes after that is
        thrown away.
        """
        done = self.connect("several.example")
        self.reactor.advance(30)
        self.assertEqual(self.failure(done).replyCode, ReplyCode.TIMED_OUT)
        self.resolver.answer("192.0.2.1")
        self.assertEqual(self.tried, [])
        self.assertNothingLeft()

    def test_cancelWhileResolving(self) -> None:
        """
        Cancelling does not wait for the resolver.
        """
        done = self.connect("several.example")
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertNothingLeft()
        self.resolver.answer("192.0.2.1")
        self.assertEqual(self.tried, [])

    def test_ownResolver(self) -> None:
        """
        A resolver that was handed in is asked, and not the reactor's.
        """
        resolver = Resolver()
        self.outbound = DirectOutbound(self.reactor, 30.0, resolver)
        self.connect("several.example")
        self.assertEqual((resolver.asked, self.resolver.asked), (["several.example"], []))


class InterleaveTests(SynchronousTestCase):
    """
    L{interleave}.
    """

    def _check(self, hosts: Iterable[str], expected: Sequence[str]) -> None:
        """
        Check an order.
        """
        self.assertEqual(
            [str(each) for each in interleave(ip_address(host) for host in hosts)], expected
        )

    def test_none(self) -> None:
        """
        Nothing stays nothing.
        """
        self._check([], [])

    def test_oneFamily(self) -> None:
        """
        One family keeps its order, without what stands in it twice.
        """
        self._check(
            ["192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
            ["192.0.2.2", "192.0.2.1", "192.0.2.3"],
        )

    def test_twoFamilies(self) -> None:
        """
        Two take turns, the first one's first.
        """
        self._check(
            ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"],
            ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"],
        )
        self._check(
            ["2001:db8::1", "192.0.2.1", "192.0.2.2"], ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
        )


class FirstOctetsTests(ScriptedTestCase):
    """
    What may leave in the SYN.
    """

    def setUp(self) -> None:
        super().setUp()
        self.first = FirstOctets(b"hello")

    def test_none(self) -> None:
        """
        Without the wish, there is no Fast Open.
        """
        self.begin("192.0.2.1")
        self.attempts[0].succeed()
        self.assertEqual(self.offered, [None])

    def test_firstAddress(self) -> None:
        """
        Only the first address gets it in its SYN, whatever becomes of that; what is
        counted is what the connection that was made has taken.
        """
        for winner, taken in ((0, 5), (1, 0)):
            self.setUp()
            done = self.begin("192.0.2.1", "192.0.2.2", first=self.first)
            self.reactor.advance(ATTEMPT_DELAY)
            self.assertEqual(self.offered, [b"hello", None])
            self.attempts[0].taken = 5
            self.attempts[winner].succeed()
            self.successResultOf(done)
            self.assertEqual(self.first.taken, taken)

    def test_afterFailure(self) -> None:
        """
        What the first address has taken and lost is all still to be sent.
        """
        done = self.begin("192.0.2.1", "192.0.2.2", first=self.first)
        self.attempts[0].taken = 5
        self.attempts[0].fail(ReplyCode.CONNECTION_REFUSED)
        self.attempts[1].succeed()
        self.successResultOf(done)
        self.assertEqual(self.offered, [b"hello", None])
        self.assertEqual(self.first.taken, 0)

    def test_notTried(self) -> None:
        """
        An address that the system does not even try has got nothing.
        """
        self.refused["2001:db8::1"] = ReplyCode.NETWORK_UNREACHABLE
        self.begin("2001:db8::1", "192.0.2.1", first=self.first)
        self.assertEqual(self.offered, [b"hello", b"hello"])
        self.attempts[0].succeed()
