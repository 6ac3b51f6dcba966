"""
Tests of L{socks6.metrics.sample}.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import fail

from socks6.interfaces import OutboundFailed, SessionStoreFailed
from socks6.linefile import LineFile
from socks6.local.factory import LocalFactory
from socks6.measurements import Measurements
from socks6.metrics.families import FAMILIES, Kind
from socks6.metrics.sample import SESSION_EVENTS, sample
from socks6.policy.sessions import SessionService
from socks6.policy.stores.memory import MemorySessionStore
from socks6.serving.limits import Limits
from socks6.serving.requestlines import FileAccessLog
from socks6.values.codes import ReplyCode, TokenOutcome
from tests.local.harness import LocalTestCase
from tests.server.datagrams import REMOTE, REMOTE_PLACE, deliver
from tests.server.harness import (
    ADA,
    CONNECT,
    CONNECTED,
    EVE,
    NOOP,
    SESSION_ID,
    WELCOME,
    ProxyTestCase,
    authenticationData,
    passwords,
    request,
)
from tests.server.test_associate import AssociateTestCase


class SampleTests(ProxyTestCase):
    """
    What is told of a proxy.
    """

    def prepare(self, *checkers: Any, **options: Any) -> None:
        """
        Make a proxy that is measured.
        """
        self.measurements = Measurements()
        self.factory = self.makeFactory(*checkers, **options)
        self.factory.measurements = self.measurements

    def sample(self) -> dict[str, Any]:
        """
        Look at it.
        """
        return sample([self.factory], self.measurements)

    def test_nothing(self) -> None:
        """
        Each metric has as many labels as it should, and counters begin at nothing.
        """
        self.prepare()
        values = self.sample()
        self.assertEqual(values.keys(), FAMILIES.keys())
        for name, family in FAMILIES.items():
            value = values[name]
            if family.kind is Kind.HISTOGRAM:
                self.assertEqual(sum(value.counts), 0, name)
            else:
                self.assertEqual({len(each) for each in value} - {len(family.labels)}, set(), name)
                if name != "socks6_build_info":
                    self.assertEqual(sum(value.values()), 0, name)
        self.assertEqual(
            set(values["socks6_sessions_total"]), {(event,) for event in SESSION_EVENTS}
        )
        self.assertEqual(len(values["socks6_tokens_total"]), len(TokenOutcome))

    def test_tunnel(self) -> None:
        """
        The octets of a tunnel are told while it is open, and not forgotten or counted
        twice when it is not.
        """
        self.prepare()
        client = self.network.accept(self.factory)
        self.network.advance(0.2)
        client.send(CONNECT)
        self.network.advance(2.0)
        remote = self.attempt.succeed()
        self.assertEqual(client.take(), WELCOME + CONNECTED)
        client.send(b"question")
        remote.send(b"answer")
        values = self.sample()
        octets = {("to_remote",): 8, ("to_client",): 6}
        self.assertEqual(values["socks6_octets_total"], octets)
        self.assertEqual(values["socks6_connections_open"], {(): 1})
        self.assertEqual(values["socks6_tunnels_open"], {(): 1})
        self.assertEqual(values["socks6_requests_total"], {})
        self.assertAlmostEqual(values["socks6_handshake_seconds"].total, 0.2)
        self.assertAlmostEqual(values["socks6_connect_seconds"].total, 2.0)
        client.end()
        remote.end()
        values = self.sample()
        self.assertEqual(values["socks6_octets_total"], octets)
        self.assertEqual(values["socks6_connections_open"], {(): 0})
        self.assertEqual(values["socks6_tunnels_open"], {(): 0})
        self.assertEqual(values["socks6_connections_total"], {(): 1})
        self.assertEqual(values["socks6_requests_total"], {("connect", "success"): 1})

    def test_results(self) -> None:
        """
        Requests are told apart by what they want and what they were answered; there are
        few of both, whatever clients make up.
        """
        self.prepare()
        for number in (77, 78):
            self.network.accept(self.factory).send(request(command=number))
        self.network.accept(self.factory).send(NOOP)
        client = self.network.accept(self.factory)
        client.send(CONNECT)
        client.reset()
        self.assertEqual(
            self.sample()["socks6_requests_total"],
            {
                ("other", "command not supported"): 2,
                ("noop", "success"): 1,
                ("connect", "unanswered"): 1,
            },
        )

    def test_authentication(self) -> None:
        """
        Wrong passwords are counted, right ones are not; who is not let in has no
        handshake.
        """
        self.prepare(passwords())
        for words in (EVE, ADA):
            option = authenticationData(words)
            self.network.accept(self.factory).send(
                request(option, 0, bytes.fromhex("0000 01 00000000"))
            )
        values = self.sample()
        self.assertEqual(values["socks6_authentication_failures_total"], {(): 1})
        self.assertEqual(sum(values["socks6_handshake_seconds"].counts), 1)
        self.assertEqual(
            values["socks6_requests_total"], {("noop", "unanswered"): 1, ("noop", "success"): 1}
        )

    def test_refused(self) -> None:
        """
        Those who are not let in are counted: connections by reason, and logins from where
        too many were wrong.
        """
        self.prepare(passwords(), limits=Limits(handshakes=1))
        self.network.accept(self.factory)
        self.factory.gate.admits(("198.51.100.7", 4711))
        self.factory.gate.exhausted(errno.EMFILE)
        self.network.spin()
        self.factory.authenticator.barred = 3
        values = self.sample()
        self.assertEqual(
            {
                reason: count
                for (reason,), count in values["socks6_connections_refused_total"].items()
            },
            {"connections": 0, "client": 0, "handshakes": 0, "silent": 1, "system": 1},
        )
        self.assertEqual(values["socks6_authentication_barred_total"], {(): 3})

    def test_sessions(self) -> None:
        """
        Sessions that are opened, found and not found are counted.
        """
        self.prepare()
        nothing = bytes.fromhex("0000 01 00000000")
        self.network.accept(self.factory).send(request(SESSION_ID, 0, nothing))
        client = self.network.accept(self.factory)
        client.send(request(bytes.fromhex("04 0004 01"), 0, nothing))
        # The reply's header, and the option that has the ID.
        identifier = client.take()[6 : 6 + 20]
        spends = bytes.fromhex("05 0008 03 00000001")
        self.network.accept(self.factory).send(request(identifier + spends, 0, nothing))
        values = self.sample()
        counted = {event: values["socks6_sessions_total"][event,] for event in SESSION_EVENTS}
        self.assertEqual(
            counted, {"opened": 1, "resumed": 1, "invalid": 1, "declined": 0, "failed": 0}
        )
        self.assertEqual(values["socks6_tokens_total"]["no window",], 1)

    def test_noSession(self) -> None:
        """
        Sessions that there cannot be are counted, and so are stores that fail.
        """
        nothing = bytes.fromhex("0000 01 00000000")
        store = MemorySessionStore(self.network)
        self.patch(store, "use", lambda *arguments: fail(SessionStoreFailed("broken")))
        self.prepare(sessions=SessionService(self.network, store, maxSessions=0))
        for option in (bytes.fromhex("04 0004 01"), SESSION_ID):
            self.network.accept(self.factory).send(request(option, 0, nothing))
        values = self.sample()["socks6_sessions_total"]
        self.assertEqual(
            [values[event,] for event in SESSION_EVENTS],
            [0, 0, 0, 1, 1],
        )

    def test_malformed(self) -> None:
        """
        Clients that break the protocol are counted by how.
        """
        self.prepare()
        client = self.network.accept(self.factory)
        client.send(CONNECT[:4])
        client.end()
        self.assertEqual(self.sample()["socks6_malformed_total"], {("UnexpectedEnd",): 1})

    def test_together(self) -> None:
        """
        What several proxies do is added; a log that they share is asked once.
        """
        self.prepare()
        other = LocalFactory(self.network, self.outbound)
        other.accessLog = self.factory.accessLog = FileAccessLog(
            self.network, LineFile(self.network, None)
        )
        other.accessLog.file.lost = 3
        other.accessLog.malformed["UnexpectedEnd"] = 2
        other.dropped["not sent"] = 5
        self.network.accept(self.factory)
        self.network.accept(other)
        values: dict[str, Any] = sample([self.factory, other], self.measurements)
        self.assertEqual(values["socks6_connections_open"], {(): 2})
        self.assertEqual(values["socks6_access_log_lost_total"], {(): 3})
        self.assertEqual(values["socks6_malformed_total"], {("UnexpectedEnd",): 2})
        self.assertEqual(values["socks6_datagrams_dropped_total"], {("not sent",): 5})

    def test_unmeasured(self) -> None:
        """
        Where nobody wants to know, nothing is measured.
        """
        self.prepare()
        self.factory.measurements = None
        self.network.accept(self.factory).send(NOOP)
        values = self.sample()
        self.assertEqual(sum(values["socks6_handshake_seconds"].counts), 0)


class LocalTests(LocalTestCase):
    """
    What is told of the local proxifier.
    """

    def test_results(self) -> None:
        """
        What programs are told counts as the proxy's reply codes do; only hosts that are
        connected count for the time that this takes.
        """
        measurements = Measurements()
        factory = self.makeFactory()
        factory.measurements = measurements
        connectRequest = bytes.fromhex("050100 05010001cb00710101bb")
        for refused in (True, False):
            self.outbound.attempts.clear()
            program = self.network.accept(factory)
            program.send(connectRequest)
            self.network.advance(2.0)
            if refused:
                self.attempt.fail(OutboundFailed(ReplyCode.CONNECTION_REFUSED, "no"))
            else:
                remote = self.attempt.succeed()
                program.end()
                remote.end()
        values: dict[str, Any] = sample([factory], measurements)
        self.assertEqual(
            values["socks6_requests_total"],
            {("connect", "connection refused"): 1, ("connect", "success"): 1},
        )
        self.assertEqual(values["socks6_connect_seconds"].total, 2.0)
        self.assertEqual(sum(values["socks6_handshake_seconds"].counts), 2)


class AssociationTests(AssociateTestCase):
    """
    What is told of UDP associations.
    """

    def test_datagrams(self) -> None:
        """
        Datagrams and their octets are told while an association is open, and not forgotten
        or counted twice when it is not; those that are dropped are told by reason.
        """
        measurements = Measurements()
        client, header = self.associate()
        (factory,) = self.factories
        factory.measurements = measurements
        self.send(header + REMOTE + b"question")
        self.send(header + REMOTE + b"more")
        self.send(b"rubbish")
        deliver(self.network, self.relay, b"answer", REMOTE_PLACE)
        for isOpen in (1, 0):
            values: dict[str, Any] = sample([factory], measurements)
            self.assertEqual(values["socks6_associations_open"], {(): isOpen})
            self.assertEqual(values["socks6_octets_total"], {("to_remote",): 12, ("to_client",): 6})
            self.assertEqual(
                values["socks6_datagrams_total"], {("to_remote",): 2, ("to_client",): 1}
            )
            self.assertEqual(sum(values["socks6_datagrams_dropped_total"].values()), 1)
            client.end()
        self.assertEqual(values["socks6_requests_total"], {("udp associate", "success"): 1})
