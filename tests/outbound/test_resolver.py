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
from twisted.internet.interfaces import IHostnameResolver, IHostResolution
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.outbound.resolver import ThreadedResolver
from tests.outbound.resolving import Receiver, ResolverTestCase


class ThreadedResolverTests(ResolverTestCase):
    """
    Names are looked up by the system, in threads.
    """

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
