"""
Tests of L{socks6.outbound.resolver}.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from ipaddress import ip_address
from threading import Event
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import OutboundFailed
from socks6.outbound.resolver import ThreadedResolver
from socks6.values.address import IPAddress
from socks6.values.codes import ReplyCode


class FakePool:
    """
    A thread pool whose threads run when the test wants them to.
    """

    started = False

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []
        self.error: RuntimeError | None = None

    def start(self) -> None:
        """
        Take note.
        """
        self.started = True

    def callInThread(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Keep the work.
        """
        if self.error is not None:
            raise self.error
        self.work.append(lambda: function(*arguments))

    def run(self) -> None:
        """
        Do the first piece of work.
        """
        self.work.pop(0)()


class Receiver:
    """
    Takes note of what it is told.
    """

    def __init__(self) -> None:
        self.found: list[object] = []
        self.complete = False
        self.resolution: IHostResolution

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """
        Keep the resolution.
        """
        self.resolution = resolution

    def addressResolved(self, address: IAddress) -> None:
        """
        Keep the address.
        """
        self.found.append(address)

    def resolutionComplete(self) -> None:
        """
        Take note of the end.
        """
        self.complete = True


class Reactor:
    """
    Takes results out of threads.

    @ivar calls: What came of those that there were not.
    """

    def __init__(self, pool: FakePool) -> None:
        """
        @param pool: Where the threads are.
        """
        self.calls: list[Callable[[], object]] = []
        self._pool = pool

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Take them, at once if there are threads.
        """
        if self._pool.error is None:
            function(*arguments)
        else:
            self.calls.append(lambda: function(*arguments))

    def runCalls(self) -> int:
        """
        Take what is left.

        @return: How many these were.
        """
        for call in self.calls:
            call()
        return len(self.calls)


class ThreadedResolverTests(SynchronousTestCase):
    """
    Names are looked up by the system, in threads.
    """

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.answer: Any = []
        self.patch(socket, "getaddrinfo", self.getaddrinfo)
        self.pool = FakePool()
        self.reactor = Reactor(self.pool)
        reactor: Any = self.reactor
        self.resolver = ThreadedResolver(reactor, threads=4, maxWaiting=3)
        self.patch(self.resolver, "_pool", self.pool)

    def getaddrinfo(self, name: str, *arguments: object, **options: object) -> Any:
        """
        Answer as the test wants it.
        """
        self.asked.append(name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def ask(self, name: str = "host.example") -> Receiver:
        """
        Ask for a name.
        """
        receiver: Any = Receiver()
        resolution = self.resolver.resolveHostName(receiver, name)
        self.assertIs(receiver.resolution, resolution)
        self.assertEqual(resolution.name, name)
        asked: Receiver = receiver
        return asked

    def test_interfaces(self) -> None:
        """
        It is a resolver, and what it gives can be cancelled.
        """
        verifyObject(IHostnameResolver, self.resolver)
        verifyObject(IHostResolution, self.ask().resolution)

    def test_addresses(self) -> None:
        """
        All IP addresses come, in the system's order, and then the end.
        """
        self.answer = [
            (socket.AF_INET6, 1, 6, "", ("2001:db8::1", 0, 0, 0)),
            (socket.AF_UNIX, 1, 0, "", "/nowhere"),
            (socket.AF_INET, 1, 6, "", ("192.0.2.1", 0)),
        ]
        receiver = self.ask()
        self.assertEqual((receiver.found, self.asked), ([], []))
        self.pool.run()
        self.assertEqual(
            receiver.found,
            [IPv6Address("TCP", "2001:db8::1", 0), IPv4Address("TCP", "192.0.2.1", 0)],
        )
        self.assertTrue(receiver.complete)

    def test_noSuchName(self) -> None:
        """
        A name that does not resolve has no addresses, and that is not worth a
        line.
        """
        self.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        receiver = self.ask()
        self.pool.run()
        self.assertEqual((receiver.found, receiver.complete), ([], True))

    def test_systemFails(self) -> None:
        """
        Whoever waits hears at once that the system cannot look up names now,
        and so does the log.
        """
        messages: list[str] = []
        log: Any = type(self.resolver)._log
        self.patch(type(log), "warn", lambda _, text, **fields: messages.append(fields["error"]))
        for error in (OSError(24, "Too many open files"), UnicodeError("label too long")):
            self.answer = error
            receiver = self.ask()
            self.pool.run()
            self.assertEqual((receiver.found, receiver.complete), ([], True), repr(error))
        self.assertEqual(messages, ["[Errno 24] Too many open files", "label too long"])

    def lookUp(self, name: str, owner: bytes | None = None) -> Deferred[list[IPAddress]]:
        """
        Look a name up for somebody.
        """
        found = self.resolver.lookUp(name, owner)
        found.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return found

    def runAll(self) -> None:
        """
        Let the system answer all that it is asked.
        """
        while self.pool.work:
            self.pool.run()

    def test_begin(self) -> None:
        """
        There are no threads before a name is looked up.
        """
        self.assertFalse(self.pool.started)
        self.ask()
        self.assertTrue(self.pool.started)

    def test_list(self) -> None:
        """
        Those who share a look-up have a list of their own each.
        """
        self.answer = [(socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 0, 0, 2))]
        found = [self.lookUp("a.example"), self.lookUp("a.example", b"ada")]
        self.pool.run()
        hosts = [self.successResultOf(each) for each in found]
        self.assertEqual(hosts, [[ip_address("fe80::1")]] * 2)
        self.assertIsNot(hosts[0], hosts[1])

    def test_shared(self) -> None:
        """
        Those who ask for the same name at the same time share one look-up.
        """
        self.answer = [(socket.AF_INET, 1, 6, "", ("192.0.2.1", 0))]
        receivers = [self.ask(), self.ask()]
        self.assertEqual(len(self.pool.work), 1)
        self.pool.run()
        for receiver in receivers:
            self.assertEqual(len(receiver.found), 1)
        self.assertEqual(self.asked, ["host.example"])
        self.ask()
        self.pool.run()
        self.assertEqual(self.asked, ["host.example"] * 2)

    def test_cancelled(self) -> None:
        """
        Who has cancelled hears nothing more, others do.
        """
        first, second = self.ask(), self.ask()
        first.resolution.cancel()
        first.resolution.cancel()
        self.pool.run()
        self.assertEqual((first.complete, second.complete), (False, True))

    def test_half(self) -> None:
        """
        Nobody gets more than half of the threads, though nobody else wants them; and what
        has been asked counts until the system answers, though nobody waits for it.
        """
        waiting = [self.lookUp(f"{number}.example", b"eve") for number in range(5)]
        self.assertEqual(len(self.pool.work), 2)
        for each in waiting[:2]:
            each.cancel()
        self.assertEqual(len(self.pool.work), 2)
        self.pool.run()
        self.assertEqual(len(self.pool.work), 2)
        self.runAll()
        for each in waiting[2:]:
            self.assertEqual(self.successResultOf(each), [])
        self.assertEqual(self.asked, [f"{number}.example" for number in range(5)])

    def test_newcomer(self) -> None:
        """
        Who comes behind somebody with much to ask has a thread at once or, if all are
        taken, the next one.
        """
        for owner, names in ((b"eve", 3), (b"eva", 2)):
            for number in range(names):
                self.lookUp(f"{number}.{owner.decode()}.example", owner)
        first = self.lookUp("first.example", b"ada")
        self.assertEqual(len(self.pool.work), 4)
        second = self.lookUp("second.example", b"zoe")
        self.pool.run()
        self.assertEqual(len(self.pool.work), 4)
        del self.pool.work[:2]
        self.pool.run()
        self.pool.run()
        self.assertEqual(self.asked, ["0.eve.example", "first.example", "second.example"])
        self.successResultOf(first)
        self.successResultOf(second)

    def test_othersLine(self) -> None:
        """
        Who asks for a name for which somebody else waits does not wait in his line.
        """
        for number in range(4):
            self.lookUp(f"{number}.example", b"eve")
        found = self.lookUp("3.example", b"ada")
        self.assertEqual(len(self.pool.work), 3)
        self.pool.work.pop()()
        self.successResultOf(found)
        self.runAll()
        self.assertEqual(self.asked.count("3.example"), 1)

    def test_abandoned(self) -> None:
        """
        A name that nobody waits for any more when it is its turn is not looked up.
        """
        for number in range(2):
            self.lookUp(f"{number}.example")
        first, second = self.lookUp("2.example"), self.lookUp("2.example")
        other = self.lookUp("3.example")
        other.cancel()
        first.cancel()
        self.runAll()
        self.assertEqual(self.asked, ["0.example", "1.example", "2.example"])
        self.successResultOf(second)
        self.assertEqual(self.resolver._lookups, {})

    def test_rejoined(self) -> None:
        """
        Who asks for a name that is being looked up though nobody waits for it takes no
        second thread.
        """
        self.ask().resolution.cancel()
        later = self.ask()
        self.assertEqual(len(self.pool.work), 1)
        self.pool.run()
        self.assertEqual((self.asked, later.complete), (["host.example"], True))

    def test_bounded(self) -> None:
        """
        When too many names wait, one more is refused, and taken again when there are
        fewer.
        """
        for number in range(5):
            self.lookUp(f"{number}.example", b"eve")
        refused = [self.resolver.lookUp("5.example", b"eve") for _ in range(2)]
        for each in refused:
            error = self.failureResultOf(each, OutboundFailed).value
            self.assertEqual(error.replyCode, ReplyCode.GENERAL_FAILURE)
            self.assertIn("too many names", error.reason)
        joined = self.lookUp("4.example", b"eve")
        self.pool.run()
        taken = self.lookUp("5.example", b"eve")
        self.runAll()
        self.successResultOf(joined)
        self.successResultOf(taken)
        self.assertEqual(self.resolver._lookups, {})

    def test_longestLine(self) -> None:
        """
        A newcomer is not the one who is refused, but the last name of whoever has most.
        """
        waiting = [self.resolver.lookUp(f"{number}.example", b"eve") for number in range(5)]
        self.lookUp("first.example", b"ada")
        self.lookUp("second.example", b"ada")
        self.failureResultOf(waiting.pop(), OutboundFailed)
        self.runAll()
        for each in waiting:
            self.successResultOf(each)
        self.assertIn("second.example", self.asked)

    def test_refusedReceiver(self) -> None:
        """
        A receiver can only be told that there are no addresses.
        """
        for number in range(5):
            self.ask(f"{number}.example")
        refused = self.ask("5.example")
        self.assertEqual((refused.found, refused.complete), ([], True))

    def test_noThread(self) -> None:
        """
        Where the system has no thread for us, names are refused, and looked up again when
        it has.
        """
        self.pool.error = RuntimeError("can't start new thread")
        found = [self.resolver.lookUp("a.example"), self.resolver.lookUp("b.example", b"ada")]
        self.assertEqual(self.reactor.runCalls(), 2)
        for each in found:
            error = self.failureResultOf(each, OutboundFailed).value
            self.assertEqual(error.replyCode, ReplyCode.GENERAL_FAILURE)
        self.pool.error = None
        later = self.resolver.lookUp("a.example")
        self.runAll()
        self.successResultOf(later)


class ThreadsTests(SynchronousTestCase):
    """
    The real threads.
    """

    def test_lookup(self) -> None:
        """
        A look-up happens in a thread, which does not keep the process alive.
        """
        finished = Event()
        results: list[tuple[Callable[..., object], tuple[object, ...]]] = []

        class ThreadReactor:
            def callFromThread(self, *call: Any) -> None:
                results.append((call[0], call[1:]))
                finished.set()

        reactor: Any = ThreadReactor()
        resolver = ThreadedResolver(reactor, threads=1)
        self.addCleanup(resolver._pool.stop)
        receiver: Any = Receiver()
        resolver.resolveHostName(receiver, "localhost")
        self.assertTrue(finished.wait(30))
        self.assertEqual([thread.daemon for thread in resolver._pool.threads], [True])
        ((function, arguments),) = results
        function(*arguments)
        self.assertTrue(receiver.complete)
        self.assertTrue(receiver.found)

    def test_end(self) -> None:
        """
        The threads end when nobody knows of the resolver any more, those included that
        are at work by then.
        """
        for isIdle in (True, False):
            begun, mayEnd, finished = Event(), Event(), Event()

            def getaddrinfo(
                *arguments: object,
                begun: Event = begun,
                mayEnd: Event = mayEnd,
                **options: object,
            ) -> list[object]:
                begun.set()
                mayEnd.wait(30)
                return []

            class ThreadReactor:
                def callFromThread(self, *call: Any, finished: Event = finished) -> None:
                    finished.set()

            self.patch(socket, "getaddrinfo", getaddrinfo)
            reactor: Any = ThreadReactor()
            receiver: Any = Receiver()
            resolver = ThreadedResolver(reactor, threads=1)
            resolver.resolveHostName(receiver, "localhost")
            self.assertTrue(begun.wait(30))
            threads = list(resolver._pool.threads)
            if isIdle:
                mayEnd.set()
                self.assertTrue(finished.wait(30))
            del resolver
            gc.collect()
            mayEnd.set()
            (thread,) = threads
            thread.join(30)
            self.assertFalse(thread.is_alive(), repr(isIdle))
