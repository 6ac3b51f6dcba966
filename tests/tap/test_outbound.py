"""
Tests of L{socks6.tap.outbound}, and of what C{twistd socks6} makes of it.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint

from socks6.client.urls import DatagramRoute
from socks6.interfaces import IOutbound
from socks6.outbound.direct import DirectOutbound
from socks6.outbound.socks5 import SOCKS5Outbound
from socks6.outbound.socks6 import SOCKS6Outbound
from socks6.server.service import ProxyService
from socks6.tap import makeService
from socks6.tap.outbound import checkedURL, outboundFromString, upstreamProxy
from socks6.values.codes import Command
from tests.doubles import Peer
from tests.outbound.upstreams import Upstream
from tests.raising import errorOf
from tests.server.harness import CONNECT, CONNECTED, DONE, WELCOME, failure, request
from tests.server.sessions import (
    SESSION_OK,
    SESSION_REQUEST,
    admitted,
    identifierIn,
    sessionID,
    tokenRequest,
    window,
)
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse

#: A client that reaches every address, those of examples included.
LOCAL_CLIENT = IPv4Address("TCP", "127.0.0.1", 40000)

#: The command is not supported.
SEVEN = WELCOME + failure(7)

FORMS = (
    "--outbound is none of direct, socks5:HOST:PORT, socks5:unix:PATH, socks6://..."
    " and socks6s://..."
)
SOCKS5_FORMS = "--outbound socks5: is followed by HOST:PORT or unix:PATH"
SOCKS6_FORM = (
    "the proxy is not of the form socks6://[USER[:PASSWORD]@]HOST[:PORT], or socks6s://..."
    " with TLS; special characters in user and password are written as % and two digits"
)


class StringTests(OptionsTestCase):
    """
    L{outboundFromString}, L{checkedURL} and L{upstreamProxy}.
    """

    def make(self, description: str) -> tuple[Any, bool]:
        """
        Make a way out.

        @return: It, and whether it isolates sessions if nobody says otherwise.
        """
        found = outboundFromString(description)
        assert found is not None, description
        maker, isolates = found
        outbound: Any = maker(self.network, True, 2.5)
        self.assertIs(outbound._isolate, True)
        self.assertEqual(outbound._timeout, 2.5)
        other: Any = maker(self.network, False, 5.0)
        self.assertIs(other._isolate, False)
        return outbound, isolates

    def test_direct(self) -> None:
        """
        The straight way needs nothing.
        """
        self.assertIsNone(outboundFromString("direct"))

    def test_SOCKS5(self) -> None:
        """
        A SOCKS 5 proxy has a name or address, and a port; sessions are isolated.
        """
        for where, shown in (
            ("127.0.0.1:9050", "127.0.0.1:9050"),
            ("tor.example:1", "tor.example:1"),
            ("[::1]:65535", "[::1]:65535"),
            ("[2001:DB8:0::1]:0080", "[2001:db8::1]:80"),
        ):
            outbound, isolates = self.make(f"socks5:{where}")
            self.assertIsInstance(outbound, SOCKS5Outbound)
            self.assertTrue(isolates)
            endpoint = outbound._proxyEndpoint
            self.assertIsInstance(endpoint, HostnameEndpoint)
            self.assertEqual(repr(endpoint), f"<HostnameEndpoint {shown}>")

    def test_UNIX(self) -> None:
        """
        Or it is at a UNIX socket, which is found from where the command was given.
        """
        for path, absolute in (
            ("/run/tor/socks", "/run/tor/socks"),
            ("/odd:path@1", "/odd:path@1"),
            ("socks", str(Path.cwd() / "socks")),
            ("9050", str(Path.cwd() / "9050")),
        ):
            outbound, isolates = self.make(f"socks5:unix:{path}")
            self.assertTrue(isolates)
            endpoint = outbound._proxyEndpoint
            self.assertIsInstance(endpoint, UNIXClientEndpoint)
            endpoint.connect(None)
            self.assertEqual(self.network.unixClients[-1][0], absolute)

    def test_SOCKS6(self) -> None:
        """
        A SOCKS 6 proxy has a URL; sessions are not isolated.
        """
        for url, name, route in (
            ("socks6://proxy.example", "socks6://proxy.example:1080", DatagramRoute(1080)),
            ("socks6s://ada:s3cret@[::1]:443", "socks6s://[::1]:443", None),
            ("socks6s://[::1]:443?udp=5", "socks6s://[::1]:443", DatagramRoute(5)),
        ):
            outbound, isolates = self.make(url)
            self.assertIsInstance(outbound, SOCKS6Outbound)
            self.assertFalse(isolates)
            (proxy,) = outbound._proxies
            self.assertEqual(proxy.name, name)
            self.assertEqual(proxy.datagrams, route)

    def test_wrong(self) -> None:
        """
        What is none of these is a mistake; what was written is not repeated, as it may
        hold a password.
        """
        folder = self.folder.absolute()
        for description, complaint in (
            ("", FORMS),
            ("Direct", FORMS),
            ("direct:", FORMS),
            ("s3cret", FORMS),
            ("socks4:s3cret:1", FORMS),
            ("http://ada:s3cret@proxy", FORMS),
            ("socks5", SOCKS5_FORMS),
            ("socks5:", SOCKS5_FORMS),
            ("socks5:s3cret", SOCKS5_FORMS),
            ("socks5:s3cret:", SOCKS5_FORMS),
            ("socks5::9050", SOCKS5_FORMS),
            ("socks5:s3cret:0", SOCKS5_FORMS),
            ("socks5:s3cret:65536", SOCKS5_FORMS),
            ("socks5:s3cret:905000", SOCKS5_FORMS),
            ("socks5:s3cret:x", SOCKS5_FORMS),
            ("socks5:s3cret:1:2", SOCKS5_FORMS),
            ("socks5:::1:9050", SOCKS5_FORMS),
            ("socks5:[::1]", SOCKS5_FORMS),
            ("socks5:[]:9050", SOCKS5_FORMS),
            ("socks5:[:::]:9050", SOCKS5_FORMS),
            ("socks5:[1.2.3.4]:9050", SOCKS5_FORMS),
            ("socks5://s3cret:9050", SOCKS5_FORMS),
            ("socks5:ada:s3cret@proxy:9050", SOCKS5_FORMS),
            ("socks5:unix", SOCKS5_FORMS),
            ("socks5:unix:", SOCKS5_FORMS),
            ("socks6", SOCKS6_FORM),
            ("socks6:s3cret:1080", SOCKS6_FORM),
            ("socks6://ada:s3cret@", SOCKS6_FORM),
            ("socks6s://ada:s3@cret@proxy", SOCKS6_FORM),
            (
                f"socks6s://ada:s3cret@proxy?ca={folder}/missing",
                f"{folder}/missing: No such file or directory",
            ),
            (
                f"socks6s://ada:s3cret@proxy?certificate={folder}",
                f"{folder}: Is a directory",
            ),
        ):
            error = errorOf(ValueError, outboundFromString, description)
            self.assertEqual(str(error), complaint, description)
            self.assertNotIn("s3cret", str(error))

    def test_checkedURL(self) -> None:
        """
        The files that a URL names are looked at at once.
        """
        path = self.authority.path.absolute()
        url = checkedURL(f"socks6s://ada:s3cret@localhost?ca={path}")
        self.assertEqual(url.files, {"ca": path})
        path.unlink()
        error = errorOf(OSError, upstreamProxy, self.network, url)
        self.assertIsNotNone(error, "they are read again when the way is made")

    def test_upstreamProxy(self) -> None:
        """
        A proxy goes by its URL without credentials, which it gets to hear.
        """
        proxy = upstreamProxy(self.network, checkedURL("socks6://ada:s3cret@proxy.example"))
        self.assertEqual(proxy.name, "socks6://proxy.example:1080")
        (option,) = proxy.access.options
        self.assertIn("ada", repr(option))
        self.assertNotIn("s3cret", repr(option))


class OptionsTests(OptionsTestCase):
    """
    What can be said on the command line.
    """

    def test_defaults(self) -> None:
        """
        The way is straight if nobody says otherwise.
        """
        for arguments in ((), ("--outbound=direct",), ("--no-isolate-sessions",)):
            options = parse(*arguments)
            self.assertIsNone(options.outbound(self.network))

    def test_isolation(self) -> None:
        """
        Each kind of way has its own idea of isolation, unless somebody has another
        one.
        """
        for way, default in (("socks5:127.0.0.1:9050", True), ("socks6://proxy", False)):
            for arguments, isolate in (
                ((), default),
                (("--isolate-sessions",), True),
                (("--no-isolate-sessions",), False),
            ):
                outbound: Any = parse(f"--outbound={way}", *arguments).outbound(self.network)
                self.assertIs(bool(outbound._isolate), isolate, f"{way} {arguments}")

    def test_timeout(self) -> None:
        """
        It may take as long as connecting may take.
        """
        for way in ("socks5:127.0.0.1:9050", "socks6://proxy"):
            for arguments, timeout in (((), 30.0), (("--connect-timeout=2.5",), 2.5)):
                outbound: Any = parse(f"--outbound={way}", *arguments).outbound(self.network)
                self.assertEqual(outbound._timeout, timeout)

    def test_mistakes(self) -> None:
        """
        Mistakes are one line, which repeats no password.
        """
        for arguments, complaint in (
            (
                ("--outbound=s3cret",),
                FORMS,
            ),
            (
                ("--outbound=socks5:ada:s3cret@proxy:1",),
                SOCKS5_FORMS,
            ),
            (
                ("--outbound=socks6://ada:s3@cret@proxy",),
                SOCKS6_FORM,
            ),
            (
                ("--outbound=socks6://proxy", "--isolate-sessions", "--no-isolate-sessions"),
                "--isolate-sessions and --no-isolate-sessions contradict each other",
            ),
            (
                ("--isolate-sessions", "--no-isolate-sessions"),
                "--isolate-sessions and --no-isolate-sessions contradict each other",
            ),
            (
                ("--isolate-sessions",),
                "--isolate-sessions needs an --outbound through another proxy",
            ),
            (
                ("--isolate-sessions", "--outbound=direct"),
                "--isolate-sessions needs an --outbound through another proxy",
            ),
            (("--outbound",), "option --outbound requires argument"),
        ):
            self.assertEqual(self.complaint(*arguments), complaint)

    def test_help(self) -> None:
        """
        The help names the options.
        """
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.assertRaises(SystemExit, parse, "--help")
        for option in ("--outbound=", "--isolate-sessions", "--no-isolate-sessions"):
            self.assertIn(option, output.getvalue().split())


class ServiceTests(ServiceTestCase):
    """
    A proxy that goes through another one.
    """

    def setUp(self) -> None:
        super().setUp()
        # That is where the network's resolver finds everybody.
        self.upstream = Upstream(self.network, "127.0.0.1", 9050)

    def ask(self, proxy: ProxyService, options: bytes = b"") -> tuple[Peer, Peer]:  # type: ignore[override]
        """
        Ask for a connection.

        @return: The client, and the proxy behind ours.
        """
        client = self.network.accept(proxy.factory, LOCAL_CLIENT)
        client.send(request(options))
        return client, self.upstream.accept()

    def test_direct(self) -> None:
        """
        If nobody says otherwise, there is none.
        """
        for arguments in ((), ("--outbound=direct",)):
            self.assertIsInstance(self.start(*arguments).factory.outbound, DirectOutbound)

    def test_onlyConnect(self) -> None:
        """
        Through another proxy nothing but connections goes: BIND and UDP ASSOCIATE are
        refused, as this machine's own address would show, and no port is opened for
        datagrams.  The log has that.
        """
        for way in ("socks5:localhost:9050", "socks6://localhost:9050"):
            for more in ([], ["--udp-port=no"]):
                self.events.clear()
                proxy = self.start(f"--outbound={way}", *more)
                for command in (Command.BIND, Command.UDP_ASSOCIATE):
                    anywhere = bytes.fromhex("0000 01 00000000")
                    asked = request(command=command, address=anywhere)
                    self.assertEqual(ServiceTestCase.ask(self, proxy.factory, asked), SEVEN)
                self.assertEqual(self.network.readers, set())
                self.assertEqual(self.upstream.asked, 0)
                self.assertEqual(
                    self.lines[0],
                    "BIND and UDP ASSOCIATE are refused: they would not go through the proxy"
                    " that --outbound names",
                )
                self.assertEqual(len(self.lines), 3)

    def test_SOCKS5(self) -> None:
        """
        Each session is somebody else to a SOCKS 5 proxy, the same one each time; so is
        each request without one.
        """
        proxy = self.start("--outbound=socks5:localhost:9050")
        identities = []
        named: list[bytes] = []
        for number in range(6):
            # Two sessions, with two requests in each, and two without one.
            options = b""
            if number < 4:
                options = sessionID(named[number // 2]) if number % 2 else SESSION_REQUEST
            client, upstream = self.ask(proxy, options)
            self.assertEqual(upstream.take(), b"\5\1\2")
            upstream.send(b"\5\2")
            identities.append(upstream.take())
            upstream.send(b"\1\0" + b"\5\0\0\1\xc6\x33\x64\1\xc3\x50")
            heard = client.take()
            self.assertTrue(heard.endswith(CONNECTED), heard.hex())
            if options == SESSION_REQUEST:
                named.append(identifierIn(heard))
        self.assertEqual(identities[0], identities[1])
        self.assertEqual(identities[2], identities[3])
        self.assertEqual(len(set(identities)), 4)

    def test_notIsolated(self) -> None:
        """
        Unless one does not want that.
        """
        proxy = self.start("--outbound=socks5:localhost:9050", "--no-isolate-sessions")
        _, upstream = self.ask(proxy, SESSION_REQUEST)
        self.assertEqual(upstream.take(), b"\5\1\0")
        upstream.send(b"\5\0")
        self.assertEqual(upstream.take().hex(), "05010001cb00710101bb")

    def test_refused(self) -> None:
        """
        What the other proxy says is what the client hears, and the log.
        """
        proxy = self.start("--outbound=socks5:localhost:9050", "--no-isolate-sessions")
        client, upstream = self.ask(proxy)
        upstream.send(b"\5\0" + b"\5\4\0\1\0\0\0\0\0\0")
        self.assertEqual(client.take(), WELCOME + failure(4))
        client.end()
        self.assertIn(": host unreachable (the SOCKS 5 proxy says 4), ", self.lines[-1])

    def test_SOCKS6(self) -> None:
        """
        All requests share a session with a SOCKS 6 proxy, which ends when we stop.
        """
        service: Any = makeService(
            parse("--outbound=socks6://ada:s3cret@localhost:9050", "--drain-timeout=0")
        )
        (proxy,) = (each for each in service if isinstance(each, ProxyService))
        self.assertEqual(len([each for each in service if IOutbound.providedBy(each)]), 1)
        service.privilegedStartService()
        service.startService()
        client, upstream = self.ask(proxy)
        who = bytes.fromhex("03 0010 02 01 03 616461 06 733363726574")
        opening = request(SESSION_REQUEST + who + tokenRequest(64))
        self.assertEqual(upstream.take().hex(), opening.hex())
        upstream.send(admitted(sessionID(b"sixteen octets.."), window(0, 64)) + CONNECTED)
        self.assertEqual(client.take(), WELCOME + CONNECTED)
        _, second = self.ask(proxy)
        self.assertIn(b"sixteen octets..", second.take())
        stopped = service.stopService()
        self.network.spin()
        self.assertNoResult(stopped)
        farewell = self.upstream.accept()
        self.assertIn(b"sixteen octets..", farewell.take())
        farewell.send(admitted(SESSION_OK) + DONE)
        self.successResultOf(stopped)
        self.assertNotIn("s3cret", "".join(self.lines))

    def test_SOCKS6Isolated(self) -> None:
        """
        Or each has one of its own, and what is in none is in none there.
        """
        proxy = self.start("--outbound=socks6://localhost:9050", "--isolate-sessions")
        for options, expected in (
            (b"", CONNECT),
            (SESSION_REQUEST, request(SESSION_REQUEST + tokenRequest(64))),
            (b"", CONNECT),
            (SESSION_REQUEST, request(SESSION_REQUEST + tokenRequest(64))),
        ):
            _, upstream = self.ask(proxy, options)
            self.assertEqual(upstream.take().hex(), expected.hex())
            upstream.send(WELCOME + CONNECTED)
