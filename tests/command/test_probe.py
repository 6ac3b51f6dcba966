"""
Tests for L{socks6.command.probe}.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from socks6.command import probe as module
from socks6.command.guess import TIMEOUT as GUESS_TIMEOUT
from socks6.command.probe import ANSWER_TIMEOUT, CONNECT_TIMEOUT, probe
from socks6.values.address import UNSPECIFIED_IPV4, addressFromText
from socks6.values.codes import (
    AuthenticationMethod,
    Command,
    Leg,
    ReplyCode,
    TokenOutcome,
)
from socks6.values.messages import Request
from socks6.values.options import (
    AuthenticationMethods,
    IPTypeOfService,
    MultipathTCP,
    Option,
    OptionList,
    SessionID,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UsernamePassword,
)
from tests.client.doubles import BOUND, authenticationReply, operationReply, refusal
from tests.command.harness import PROXY, CommandTestCase, parse, written

ADA = UsernamePassword(b"ada", b"s3cret")

#: The proxy of a user.
ADAS_PROXY = "socks6://ada:s3cret@127.0.0.1"

SESSION = SessionID(b"a session")

#: The first token of the window that the proxy grants.
BASE = 77

#: Gives the octets that the proxy answers; and what it answers to whom.
Script = Callable[[Request], bytes]


def admission(*options: Option) -> bytes:
    """
    Write a successful Authentication Reply.
    """
    return authenticationReply(options=OptionList(options))


def generous(request: Request) -> bytes:
    """
    Answer as a proxy does that offers everything, and knows Ada.
    """
    options: list[Option] = []
    if request.options.first(SessionRequest):
        options += [SESSION, TokenWindowAdvertisement(BASE, 64)]
    if request.options.first(SessionID) is not None:
        options += [SessionOK(), TokenExpenditureReply(TokenOutcome.SUCCESS)]
    bound = UNSPECIFIED_IPV4 if request.command == Command.NOOP else BOUND
    stack = OptionList([IPTypeOfService(Leg.PROXY_REMOTE, 0xB8), MultipathTCP()])
    return admission(*options) + operationReply(
        bound=bound, options=stack if request.command == Command.CONNECT else OptionList()
    )


class ProbeTests(CommandTestCase):
    """
    What is found out.
    """

    def setUp(self) -> None:
        super().setUp()
        #: All that the proxy was asked.
        self.requests: list[Request] = []

    def serve(self, script: Script) -> None:
        """
        Answer all requests.
        """
        while self.proxy.unanswered:
            peer, request = self.accept()
            self.requests.append(request)
            peer.send(script(request))
            peer.end()

    def begin(self, *arguments: str, proxy: str = PROXY) -> Deferred[int]:
        """
        Run the command.
        """
        options = parse("probe", "--proxy", proxy, *arguments)
        return self.start(probe(self.network, options))

    def probe(
        self, script: Script, *arguments: str, proxy: str = PROXY, status: int = 0
    ) -> dict[str, Any]:
        """
        Run the command to its end.

        @return: The report.
        """
        with written() as (output, errors):
            probing = self.begin("--json", *arguments, proxy=proxy)
            self.serve(script)
        self.assertEqual(self.successResultOf(probing), status)
        self.assertNothingLeft()
        self.assertEqual(errors.getvalue(), "")
        report: dict[str, Any] = json.loads(output.getvalue())
        return report

    def test_everything(self) -> None:
        """
        A proxy that offers everything is asked for everything once, and ends the
        session.
        """
        report = self.probe(generous, "host.example", "443")
        del report["timing"]
        self.assertEqual(
            report,
            {
                "proxy": PROXY,
                "tls": None,
                "authentication": {"required": False, "methods": [], "accepted": True},
                "sessions": {"offered": True, "trusted": True, "usable": True},
                "tokens": {"offered": True, "window": 64, "usable": True},
                "commands": {"bind": "yes", "udpAssociate": "yes", "connect": "yes"},
                "bound": str(BOUND),
                "stackOptions": {"ipTypeOfService": {"proxyRemote": 0xB8}, "multipathTCP": True},
            },
        )
        nowhere, there = UNSPECIFIED_IPV4, addressFromText("host.example", 443)
        self.assertEqual(
            [(each.command, each.address, list(each.options)) for each in self.requests],
            [
                (Command.NOOP, nowhere, []),
                (Command.NOOP, nowhere, [SessionRequest(), TokenRequest(64)]),
                (
                    Command.NOOP,
                    nowhere,
                    [SESSION, TokenExpenditure(BASE), SessionTeardown()],
                ),
                (Command.BIND, nowhere, []),
                (Command.UDP_ASSOCIATE, nowhere, []),
                (Command.CONNECT, there, [IPTypeOfService(Leg.BOTH, 0xB8)]),
            ],
        )

    def test_nothing(self) -> None:
        """
        A proxy that offers nothing but to connect, and fails at that.
        """

        def meagre(request: Request) -> bytes:
            if request.command == Command.NOOP:
                return admission() + operationReply(bound=UNSPECIFIED_IPV4)
            known = request.command == Command.CONNECT
            code = ReplyCode.HOST_UNREACHABLE if known else ReplyCode.COMMAND_NOT_SUPPORTED
            return admission() + operationReply(code)

        report = self.probe(meagre, "host.example", "443", status=2)
        self.assertEqual(
            (report["sessions"], report["tokens"]), ({"offered": False}, {"offered": False})
        )
        self.assertEqual(
            report["commands"],
            {"bind": "no", "udpAssociate": "no", "connect": "host unreachable"},
        )
        self.assertNotIn("bound", report)
        self.assertNotIn("stackOptions", report)

    def test_authentication(self) -> None:
        """
        Where one must say who one is, all requests but the first two do.
        """

        def strict(request: Request) -> bytes:
            if request.options.first(AuthenticationMethods) is not None:
                return bytes.fromhex("0600 01 02 0000")
            if ADA not in list(request.options) and SESSION not in list(request.options):
                return refusal()
            return generous(request)

        report = self.probe(strict, "host.example", "443", proxy=ADAS_PROXY)
        self.assertEqual(
            report["authentication"],
            {"required": True, "methods": ["username password"], "accepted": True},
        )
        self.assertEqual(report["commands"]["connect"], "yes")
        self.assertNotIn("s3cret", json.dumps(report))
        self.assertEqual(
            [ADA in list(each.options) for each in self.requests],
            [False, False, True, False, True, True, True],
        )
        methods = AuthenticationMethods(0, (AuthenticationMethod.USERNAME_PASSWORD,))
        self.assertEqual(list(self.requests[1].options), [methods])

    def test_notAccepted(self) -> None:
        """
        Who is not let in hears so; it may be that the proxy knows no passwords at all.
        """
        report = self.probe(lambda request: refusal(), proxy=ADAS_PROXY, status=2)
        self.assertEqual(
            report,
            {
                "proxy": PROXY,
                "tls": None,
                "authentication": {"required": True, "methods": [], "accepted": False},
                "fault": "the proxy does not let us in",
            },
        )

    def test_untrusted(self) -> None:
        """
        An untrusted session is used with credentials; it need not have tokens.
        """

        def wary(request: Request) -> bytes:
            options: list[Option] = []
            if request.options.first(SessionRequest):
                options = [SESSION, SessionUntrusted()]
            elif request.options.first(SessionID) is not None:
                options = [SessionOK()]
            return admission(*options) + operationReply()

        report = self.probe(wary, proxy=ADAS_PROXY)
        self.assertEqual(report["sessions"], {"offered": True, "trusted": False, "usable": True})
        self.assertEqual(report["tokens"], {"offered": False})
        self.assertEqual(list(self.requests[2].options), [SESSION, ADA, SessionTeardown()])

    def test_unusable(self) -> None:
        """
        What is offered may be of no use.
        """
        for answer in (
            refusal(),
            admission(TokenExpenditureReply(TokenOutcome.NO_WINDOW)) + operationReply(),
            admission() + operationReply(),
        ):

            def forgetful(request: Request, answer: bytes = answer) -> bytes:
                if request.options.first(SessionID) is not None:
                    return answer
                return generous(request)

            report = self.probe(forgetful)
            self.assertEqual(
                report["sessions"], {"offered": True, "trusted": True, "usable": False}
            )
            self.assertEqual(report["tokens"], {"offered": True, "window": 64, "usable": False})

    def test_faults(self) -> None:
        """
        What goes wrong with one question does not keep from asking the others.
        """

        def broken(request: Request) -> bytes:
            answer = generous(request)
            if request.command == Command.BIND:
                return admission() + operationReply(ReplyCode.NOT_ALLOWED)
            return answer if request.command == Command.NOOP else answer[:-1]

        report = self.probe(broken, "host.example", "443", status=3)
        fault = "the connection ended before the proxy's replies did"
        self.assertEqual(
            report["commands"], {"bind": "not allowed", "udpAssociate": fault, "connect": fault}
        )
        phases = [phase["phase"] for phase in report["timing"]["connect"]]
        self.assertEqual(phases, ["connect", "authentication"])

    def test_notLetInAnyMore(self) -> None:
        """
        Who is not let in to connect has been refused that.
        """

        def fickle(request: Request) -> bytes:
            return refusal() if request.command == Command.CONNECT else generous(request)

        report = self.probe(fickle, "host.example", "443", status=2)
        self.assertEqual(report["commands"]["connect"], "the proxy does not let us in")

    def test_notAProxy(self) -> None:
        """
        Who is no SOCKS 6 proxy is told from one that does not let us in; perhaps it is
        known what it is.
        """
        for answers, fault in [
            ([b"HTTP/1.1 400 Bad Request\r\n"] * 2, "first octet is 72; it speaks HTTP"),
            ([b"", b"", b"\5\0"], "before the proxy's replies did; it speaks SOCKS 5"),
            ([b"what?", b"what?", b"what?"], "its first octet is 119"),
        ]:
            with written() as (output, _):
                probing = self.begin("--json")
                for answer in answers:
                    peer = self.proxy.accept()
                    peer.send(answer)
                    peer.end()
            self.assertEqual(self.successResultOf(probing), 3)
            self.assertNothingLeft()
            report = json.loads(output.getvalue())
            self.assertEqual(list(report), ["proxy", "fault"])
            self.assertTrue(report["fault"].endswith(fault), report)

    def test_unreachable(self) -> None:
        """
        Where nobody is, nobody is asked what he speaks.
        """
        with written() as (output, _):
            probing = self.begin()
            self.proxy.refuse()
            self.network.elapse(1)
        self.assertEqual(self.successResultOf(probing), 3)
        self.assertEqual(self.proxy.asked, 1)
        self.assertEqual(
            output.getvalue(),
            f"proxy:          {PROXY}\nfault:          Connection was refused by other side\n",
        )

    def test_silent(self) -> None:
        """
        A proxy that does not answer is not waited for in vain.
        """
        with written() as (output, _):
            probing = self.begin()
            for seconds in (ANSWER_TIMEOUT, GUESS_TIMEOUT, GUESS_TIMEOUT):
                self.assertNoResult(probing)
                self.proxy.accept()
                self.network.elapse(seconds)
        self.assertEqual(self.successResultOf(probing), 3)
        self.assertIn("no answer within 10 s\n", output.getvalue())

    def test_slowDestination(self) -> None:
        """
        To connect may take longer, so that the proxy can tell that it did.
        """
        with written() as (output, _):
            probing = self.begin("host.example", "443")
            for _ in range(5):
                peer, request = self.accept()
                peer.send(generous(request))
            peer, _ = self.accept()
            peer.send(admission())
            self.network.elapse(CONNECT_TIMEOUT - 1)
            self.assertNoResult(probing)
            peer.send(operationReply(ReplyCode.TIMED_OUT))
        self.assertEqual(self.successResultOf(probing), 2)
        self.assertIn(" connect timed out\n", output.getvalue())

    def test_cancelled(self) -> None:
        """
        It can be broken off.
        """
        probing = self.begin()
        self.proxy.accept()
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        self.assertNothingLeft()


class ReportTests(CommandTestCase):
    """
    How it is told.
    """

    def lines(self, *steps: tuple[float, float, float]) -> list[str]:
        """
        Probe a proxy that offers everything.

        @param steps: For each request, the seconds until it is connected, and that
            its replies take.
        @return: What is printed for people.
        """
        times: Iterator[tuple[float, float, float]] = iter(steps)
        with written() as (output, _):
            options = parse("probe", "--proxy", PROXY, "host.example", "443")
            probing = self.start(probe(self.network, options))
            while self.proxy.unanswered:
                connect, authentication, operation = next(times)
                self.network.elapse(connect)
                peer, request = self.accept()
                answer = generous(request)
                length = len(answer) - len(operationReply(bound=BOUND))
                if request.command == Command.CONNECT:
                    length = len(admission())
                self.network.elapse(authentication)
                peer.send(answer[:length])
                self.network.elapse(operation)
                peer.send(answer[length:])
        self.assertEqual(self.successResultOf(probing), 0)
        text: str = output.getvalue()
        return text.splitlines()

    def test_words(self) -> None:
        """
        People get a line for everything, and a table for each request that counts.
        """
        quick = (0.0, 0.0, 0.0)
        lines = self.lines(quick, (0.1, 0.2, 0.05), quick, quick, quick, (0.25, 0.5, 1.0))
        self.assertEqual(
            lines,
            [
                f"proxy:          {PROXY}",
                "tls:            no",
                "authentication: required no, methods -, accepted yes",
                "sessions:       offered yes, trusted yes, usable yes",
                "tokens:         offered yes, window 64, usable yes",
                "commands:       bind yes, udp associate yes, connect yes",
                f"bound:          {BOUND}",
                "stack options:  ip type of service proxy remote 184, multipath tcp yes",
                "",
                "noop,                   ms   round trips",
                "  connect          100.000           1.0",
                "  authentication   200.000           2.0",
                "  operation         50.000           0.5",
                "",
                "connect,                ms   round trips",
                "  connect          250.000           1.0",
                "  authentication   500.000           2.0",
                "  operation       1000.000           4.0",
            ],
        )

    def test_noTime(self) -> None:
        """
        Where connecting takes no time, nothing is counted in round trips.
        """
        lines = self.lines(*[(0.0, 0.1, 0.0)] * 6)
        self.assertIn("  connect            0.000              ", lines)
        self.assertIn("  authentication   100.000              ", lines)

    def test_inWords(self) -> None:
        """
        Whatever is found fits into a line.
        """
        for value, words in [
            ({}, "-"),
            ([], "-"),
            (["a", "b"], "a b"),
            ({"a": {"b": True, "cD": 1}, "eFG": []}, "a b yes, c d 1, e fg -"),
            (None, "no"),
            (False, "no"),
            ("as it is", "as it is"),
        ]:
            self.assertEqual(module._inWords(value), words)

    def test_unwritable(self) -> None:
        """
        What cannot be written is an error.
        """

        class Full(StringIO):
            """
            Takes no more.
            """

            def flush(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        ended: list[bool] = []
        self.patch(module, "endOutput", lambda: ended.append(True))
        with written() as (_, errors):
            self.patch(sys, "stdout", Full())
            probing = self.start(probe(self.network, parse("probe", "--proxy", PROXY)))
            self.proxy.refuse()
            self.network.elapse(1)
        self.assertEqual(self.successResultOf(probing), 3)
        self.assertEqual(errors.getvalue(), "socks6: No space left on device\n")
        self.assertEqual(ended, [True])
