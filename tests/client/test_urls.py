"""
Tests for proxies as people write them.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.ssl import PrivateCertificate
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.fastopen import FastOpenClientEndpoint
from socks6.client.urls import CONNECT_TIMEOUT, ProxyURL, passwordIn, proxyURL
from socks6.dtls import DTLSConversation, DTLSDoor, DTLSFailed
from socks6.server.tls import datagramContext, serverContext
from socks6.values.options import UsernamePassword
from tests.client.certificates import certificateFor
from tests.client.doubles import Application, ApplicationFactory
from tests.doubles import Network
from tests.integration.certificates import Authority
from tests.raising import errorOf

ADA = UsernamePassword(b"ada", b"s3cret")

#: What stands in messages about what is no URL.
FORM = (
    "the proxy is not of the form socks6://[USER[:PASSWORD]@]HOST[:PORT], or socks6s://..."
    " with TLS; special characters in user and password are written as % and two digits"
)


class FilesTestCase(SynchronousTestCase):
    """
    A test with files.
    """

    def setUp(self) -> None:
        """
        Make a folder.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def file(self, name: str, octets: bytes) -> Path:
        """
        Write a file.
        """
        path = self.folder / name
        path.write_bytes(octets)
        return path


class ProxyURLTests(FilesTestCase):
    """
    L{proxyURL}.
    """

    def test_right(self) -> None:
        """
        Host, port, TLS and credentials are what the URL says.
        """
        for text, expected in (
            ("socks6://proxy.example", ProxyURL("proxy.example", 1080, False)),
            ("socks6://proxy.example/", ProxyURL("proxy.example", 1080, False)),
            ("socks6s://proxy.example", ProxyURL("proxy.example", 1080, True)),
            ("socks6s://proxy.example?", ProxyURL("proxy.example", 1080, True)),
            ("socks6://192.0.2.1:1", ProxyURL("192.0.2.1", 1, False)),
            ("socks6://proxy.example:65535/", ProxyURL("proxy.example", 65535, False)),
            ("socks6://proxy.example:00080", ProxyURL("proxy.example", 80, False)),
            ("socks6://[2001:db8::1]", ProxyURL("2001:db8::1", 1080, False)),
            ("socks6s://[2001:DB8:0::1]:443", ProxyURL("2001:db8::1", 443, True)),
            ("socks6://ada:s3cret@proxy", ProxyURL("proxy", 1080, False, ADA)),
            ("socks6s://ada:s3cret@[::1]:5", ProxyURL("::1", 5, True, ADA)),
            (
                "socks6://%61d%61:%3A%40%2f%25%00@proxy",
                ProxyURL("proxy", 1080, False, UsernamePassword(b"ada", b":@/%\0")),
            ),
            (
                "socks6://zo\u00eb:s+cret!@proxy",
                ProxyURL("proxy", 1080, False, UsernamePassword("zo\u00eb".encode(), b"s+cret!")),
            ),
            (
                f"socks6://{'a' * 255}:{'%ff' * 255}@proxy",
                ProxyURL("proxy", 1080, False, UsernamePassword(b"a" * 255, b"\xff" * 255)),
            ),
        ):
            self.assertEqual(proxyURL(text), expected, text)

    def test_shown(self) -> None:
        """
        For people it is written with its port, and without credentials.
        """
        for text, shown in (
            ("socks6://proxy.example", "socks6://proxy.example:1080"),
            ("socks6s://ada:s3cret@192.0.2.1:443", "socks6s://192.0.2.1:443"),
            ("socks6://ada:s3cret@[2001:db8::1]", "socks6://[2001:db8::1]:1080"),
        ):
            url = proxyURL(text)
            self.assertEqual(str(url), shown)
            self.assertNotIn("s3cret", repr(url))

    def test_wrong(self) -> None:
        """
        What is no URL of a proxy is a mistake; what was written is not repeated, as it
        may hold a password.
        """
        port = "the proxy's port is not within 1 to 65535"
        sizes = "the proxy's user and password have 1 to 255 octets each"
        brackets = "no IPv6 address between the brackets of the proxy's URL"
        query = (
            "behind the ? of the proxy's URL there may be ca=, certificate=, key=,"
            " passwordfile=, udp=, dtls= and fastopen=, once each"
        )
        answer = "fastopen= is neither yes nor no"
        lacking = "the proxy's URL has a user, and neither a password nor a passwordfile="
        udp = "udp= of the proxy's URL is not within 1 to 65535"
        dtls = udp.replace("udp", "dtls")
        for text, complaint in (
            ("", FORM),
            ("s3cret", FORM),
            ("s3cret:1080", FORM),
            ("http://s3cret", FORM),
            ("socks5://s3cret", FORM),
            ("SOCKS6://s3cret", FORM),
            ("socks6:s3cret", FORM),
            ("socks6://", FORM),
            ("socks6:///", FORM),
            ("socks6://:1080", FORM),
            ("socks6://s3cret:", FORM),
            ("socks6://s3cret:x", FORM),
            ("socks6://s3cret:-1", FORM),
            ("socks6://s3cret:+1", FORM),
            ("socks6://s3cret:108000", FORM),
            ("socks6://s3cret:1080/path", FORM),
            ("socks6://s3cret#fragment", FORM),
            ("socks6://s3 cret", FORM),
            ("socks6://s3\u2028cret", FORM),
            (" socks6://s3cret", FORM),
            ("socks6://s3cret\n", FORM),
            ("socks6://ada:s3:cret@proxy", FORM),
            ("socks6://ada:s3@cret@proxy", FORM),
            ("socks6://ada:s3/cret@proxy", FORM),
            ("socks6://ada:s3?cret@proxy", FORM),
            ("socks6://ada:s3#cret@proxy", FORM),
            ("socks6://ada:s3cret%@proxy", FORM),
            ("socks6://ada:s3cret%2@proxy", FORM),
            ("socks6://ada:s3cret%zz@proxy", FORM),
            ("socks6://ada:s3cret@", FORM),
            ("socks6://ada:s3cret@[::1", FORM),
            ("socks6://ada:s3cret@::1", FORM),
            ("socks6://ada:s3cret@proxy:0", port),
            ("socks6://ada:s3cret@proxy:65536", port),
            ("socks6://ada:s3cret@[]", brackets),
            ("socks6://ada:s3cret@[proxy]", brackets),
            ("socks6://ada:s3cret@[192.0.2.1]", brackets),
            ("socks6://s3cret@proxy", lacking),
            ("socks6://@proxy", lacking),
            ("socks6://:s3cret@proxy", sizes),
            ("socks6://s3cret:@proxy", sizes),
            (f"socks6://{'s3cret' * 50}:x@proxy", sizes),
            (f"socks6://x:{'s3cret' * 50}@proxy", sizes),
            ("socks6s://ada:s3cret@proxy?s3cret", query),
            ("socks6s://ada:s3cret@proxy?s3cret=x", query),
            ("socks6s://ada:s3cret@proxy?CA=x", query),
            ("socks6s://ada:s3cret@proxy?ca", query),
            ("socks6s://ada:s3cret@proxy?ca=", query),
            ("socks6s://ada:s3cret@proxy?ca=x&", query),
            ("socks6s://ada:s3cret@proxy?&ca=x", query),
            ("socks6s://ada:s3cret@proxy?ca=x&ca=x", query),
            ("socks6://ada:s3cret@proxy?ca=x", "ca= is for socks6s://, which has TLS"),
            (
                "socks6://ada:s3cret@proxy?certificate=x",
                "certificate= is for socks6s://, which has TLS",
            ),
            ("socks6://ada:s3cret@proxy?key=x", "key= is for socks6s://, which has TLS"),
            ("socks6s://ada:s3cret@proxy?key=x", "key= is of no use without certificate="),
            ("socks6://ada:s3cret@proxy?udp=0", udp),
            ("socks6://ada:s3cret@proxy?udp=65536", udp),
            ("socks6://ada:s3cret@proxy?udp=s3cret", udp),
            ("socks6://ada:s3cret@proxy?udp=-1", udp),
            ("socks6://ada:s3cret@proxy?udp=\u0661", udp),
            ("socks6s://ada:s3cret@proxy?dtls=000001", dtls),
            ("socks6s://ada:s3cret@proxy?udp=1&udp=1", query),
            (
                "socks6s://ada:s3cret@proxy?udp=1&dtls=2",
                "udp= and dtls= of the proxy's URL contradict each other",
            ),
            ("socks6://ada:s3cret@proxy?dtls=1", "dtls= is for socks6s://, which has TLS"),
            ("socks6://ada:s3cret@proxy?fastopen=s3cret", answer),
            ("socks6://ada:s3cret@proxy?fastopen=Yes", answer),
            ("socks6://ada:s3cret@proxy?fastopen=", query),
            ("socks6://ada:s3cret@proxy?fastopen=no&fastopen=no", query),
        ):
            error = errorOf(ValueError, proxyURL, text)
            self.assertEqual(str(error), complaint, text)
            self.assertNotIn("s3cret", str(error))

    def test_files(self) -> None:
        """
        Files are found from the folder in which the URL is read; special characters in
        their names are escaped.
        """
        here = Path.cwd()
        url = proxyURL("socks6s://proxy?ca=a%20%26%3d%40%23b.pem&certificate=/c&key=../k")
        self.assertEqual(
            url.files,
            {"ca": here / "a &=@#b.pem", "certificate": Path("/c"), "key": here / "../k"},
        )
        url = proxyURL("socks6s://proxy?ca=%ff")
        self.assertEqual(url.files, {"ca": here / os.fsdecode(b"\xff")})

    def test_datagramRoute(self) -> None:
        """
        Datagrams go where TCP goes, or to the port that the URL names; where TLS is
        spoken, only if it names one.
        """
        for text, port in (
            ("socks6://proxy", 1080),
            ("socks6://proxy:99", 99),
            ("socks6://proxy:99?udp=65535", 65535),
            ("socks6s://proxy:99?udp=1", 1),
        ):
            route = proxyURL(text).datagramRoute()
            assert route is not None, text
            self.assertEqual((route.port, route.dtls), (port, None), text)
        for text in ("socks6s://proxy", "socks6s://proxy:1443"):
            self.assertIsNone(proxyURL(text).datagramRoute(), text)

    def test_passwordFile(self) -> None:
        """
        The password may be the first line of a file, which is not needed any more once
        it has been read.
        """
        for octets in (b"s3cret", b"s3cret\n", b"s3cret\r\n", b"s3cret\nmore\n"):
            path = self.file("password", octets)
            for scheme, encrypted in (("socks6", False), ("socks6s", True)):
                url = proxyURL(f"{scheme}://ada@proxy?passwordfile={path}")
                self.assertEqual(url, ProxyURL("proxy", 1080, encrypted, ADA), repr(octets))

    def test_passwordOfTheURL(self) -> None:
        """
        The URL's own password comes first.
        """
        path = self.file("password", b"gu3ss")
        url = proxyURL(f"socks6://ada:s3cret@proxy?passwordfile={path}")
        self.assertEqual(url.credentials, ADA)

    def test_passwordOfTheCaller(self) -> None:
        """
        If there is none, the caller's is used, but for a user only; a file's comes
        before it.
        """
        self.assertEqual(proxyURL("socks6://ada@proxy", b"s3cret").credentials, ADA)
        self.assertEqual(proxyURL("socks6://ada:s3cret@proxy", b"gu3ss").credentials, ADA)
        self.assertIsNone(proxyURL("socks6://proxy", b"s3cret").credentials)
        path = self.file("password", b"s3cret")
        url = proxyURL(f"socks6://ada@proxy?passwordfile={path}", b"gu3ss")
        self.assertEqual(url.credentials, ADA)

    def test_passwordFileIsWrong(self) -> None:
        """
        A file that cannot be read, or holds no password, is a mistake.
        """
        missing = self.folder / "missing"
        sizes = "the proxy's user and password have 1 to 255 octets each"
        for path, complaint in (
            (missing, f"{missing}: No such file or directory"),
            (self.folder, f"{self.folder}: Is a directory"),
            (self.file("empty", b""), sizes),
            (self.file("emptyLine", b"\nsecond line"), sizes),
            (self.file("long", b"s3cret" * 1000), sizes),
        ):
            error = errorOf(ValueError, proxyURL, f"socks6://ada@proxy?passwordfile={path}")
            self.assertEqual(str(error), complaint)
        # Nobody has such a file.
        errorOf(ValueError, proxyURL, "socks6://ada@proxy?passwordfile=a%00b")

    def test_passwordIn(self) -> None:
        """
        White space belongs to a password, but for the end of the line.
        """
        self.assertEqual(passwordIn(self.file("password", b" s3 cret\t\r\n")), b" s3 cret\t")


class EndpointTests(FilesTestCase):
    """
    The way to a proxy.
    """

    def setUp(self) -> None:
        """
        Have a network in memory, and an authority.
        """
        super().setUp()
        self.network = Network()
        self.authority = Authority(self.folder)

    def test_plain(self) -> None:
        """
        Without TLS it is the host's port, with a limit to how long that may take.
        """
        for text, where in (
            ("socks6://proxy.example:99", "proxy.example:99"),
            ("socks6://[::1]", "[::1]:1080"),
        ):
            url = proxyURL(text)
            self.assertIsNone(url.encryption())
            endpoint = url.endpoint(self.network)
            self.assertIsInstance(endpoint, FastOpenClientEndpoint)
            self.assertEqual(repr(endpoint), f"<HostnameEndpoint {where}>")
        endpoint.connect(ApplicationFactory(Application()))
        ((host, port, _, timeout, _),) = self.network.tcpClients
        # What the network's resolver takes every name for.
        self.assertEqual((host, port, timeout), ("127.0.0.1", 1080, CONNECT_TIMEOUT))

    def test_fastOpen(self) -> None:
        """
        Fast Open can be turned off, with TLS or without.
        """
        ca = self.authority.path
        for text, kind in (
            ("socks6://proxy?fastopen=no", HostnameEndpoint),
            ("socks6://proxy?fastopen=yes", FastOpenClientEndpoint),
        ):
            self.assertIs(type(proxyURL(text).endpoint(self.network)), kind)
        url = proxyURL(f"socks6s://proxy?ca={ca}&fastopen=no")
        self.assertEqual((url.files, url.fastOpen), ({"ca": ca}, False))
        self.assertTrue(proxyURL(f"socks6s://proxy?ca={ca}").fastOpen)

    def shake(self, url: ProxyURL, *clientCA: Path) -> tuple[Application, Application]:
        """
        Connect to a TLS server that is called localhost, as far as that goes, and say
        something.

        @param clientCA: Whose certificates it wants.
        @return: The protocols of both sides.
        """
        here, there = Application(), Application()
        here.whenMade = lambda application: application.transport.write(b"hello")
        url.endpoint(self.network).connect(ApplicationFactory(here)).addErrback(lambda _: None)
        context = serverContext(self.authority.server().path, None, *clientCA)
        server = TLSMemoryBIOFactory(
            context, False, ApplicationFactory(there), self.network
        ).buildProtocol(None)
        client: Any = self.network.tcpClients[-1][2].buildProtocol(None)
        peers = [self.network.attach(each) for each in (client, server)]
        self.network.spin()
        for _ in range(10):
            for one, other in (peers, reversed(peers)):
                if one.received and not other.isClosed:
                    other.send(one.take())
        for connection in self.network.connections:
            if not connection.everSocket.isClosed:
                connection.abortConnection()
        self.network.spin()
        return here, there

    def assertHeard(self, there: Application) -> None:
        """
        Check that the server got what was said.
        """
        self.assertIn(b"hello", there.events)

    def test_authority(self) -> None:
        """
        With TLS, the host must have a certificate for its name of the authority that
        the URL names.
        """
        for host in ("localhost", "127.0.0.1"):
            _, there = self.shake(proxyURL(f"socks6s://{host}?ca={self.authority.path}"))
            self.assertHeard(there)

    def shakeWithDTLS(self, url: ProxyURL, *clientCA: Path) -> bool:
        """
        Shake hands with a DTLS server that is called localhost, as far as that goes.

        @param clientCA: Whose certificates it wants.
        @return: Whether both sides are content.
        """
        route = url.datagramRoute()
        assert route is not None and route.dtls is not None
        self.assertEqual(route.port, 1443)
        client = route.dtls.conversation()
        door = DTLSDoor(datagramContext(self.authority.server().path, None, *clientCA))
        server: DTLSConversation | None = None
        try:
            client.start()
            for _ in range(10):
                for datagram in list(client.outgoing()):
                    if server is not None:
                        list(server.receive(datagram))
                        continue
                    server, answer = door.knock("client", datagram)
                    if server is not None:
                        server.start()
                    elif answer:
                        list(client.receive(answer))
                for datagram in [] if server is None else list(server.outgoing()):
                    list(client.receive(datagram))
        except DTLSFailed:
            return False
        return client.isEstablished and server is not None and server.isEstablished

    def test_DTLS(self) -> None:
        """
        With DTLS, the same authority must vouch for the proxy, and our certificate is
        shown to who asks.
        """
        (self.folder / "other").mkdir()
        other = Authority(self.folder / "other")
        certificate = self.authority.client().path
        for text, clientCA, isWell in (
            (f"ca={self.authority.path}", (), True),
            (f"ca={other.path}", (), False),
            (f"ca={self.authority.path}&certificate={certificate}", (self.authority.path,), True),
            (f"ca={self.authority.path}", (self.authority.path,), False),
        ):
            url = proxyURL(f"socks6s://localhost?{text}&dtls=1443")
            self.assertIs(self.shakeWithDTLS(url, *clientCA), isWell, text)
        url = proxyURL(f"socks6s://elsewhere?ca={self.authority.path}&dtls=1443")
        self.assertFalse(self.shakeWithDTLS(url))

    def test_stranger(self) -> None:
        """
        One of another authority's, or for another name, is not taken.
        """
        folder = self.folder / "other"
        folder.mkdir()
        other = Authority(folder)
        for name, url in (
            ("the system's authorities", "socks6s://localhost"),
            ("another authority", f"socks6s://localhost?ca={other.path}"),
            ("another name", f"socks6s://proxy.example?ca={self.authority.path}"),
            ("another address", f"socks6s://192.0.2.1?ca={self.authority.path}"),
        ):
            _, there = self.shake(proxyURL(url))
            self.assertNotIn(b"hello", there.events, name)

    def test_certificate(self) -> None:
        """
        A proxy that wants a certificate gets the one that the URL names; its key may be
        in a file of its own.
        """
        pem = self.authority.client().path.read_bytes()
        certificate, key = pem.split(b"-----BEGIN PRIVATE", 1)
        both = self.file("both", pem)
        apart = self.file("certificate", certificate), self.file("key", b"-----BEGIN PRIVATE" + key)
        for query in (f"certificate={both}", f"certificate={apart[0]}&key={apart[1]}"):
            url = proxyURL(f"socks6s://localhost?ca={self.authority.path}&{query}")
            _, there = self.shake(url, self.authority.path)
            self.assertHeard(there)
        _, there = self.shake(
            proxyURL(f"socks6s://localhost?ca={self.authority.path}"), self.authority.path
        )
        self.assertNotIn(b"hello", there.events)

    def test_chain(self) -> None:
        """
        The certificates that lead to its root go along.
        """
        pem = self.authority.client().path.read_bytes()
        path = self.file("chain", pem + self.authority.path.read_bytes())
        own, chain = proxyURL(f"socks6s://localhost?certificate={path}")._ownCertificate()
        self.assertIsInstance(own, PrivateCertificate)
        self.assertEqual([each.get_subject().CN for each in chain], ["authority"])

    def test_wrongFiles(self) -> None:
        """
        Files that are missing, or do not serve, are found out when the way is made.
        """
        missing = self.folder / "missing"
        empty = self.file("empty", b"")
        good = self.authority.client().path
        stranger = self.file(
            "stranger",
            certificateFor("x").privateKey.dump(1),  # PEM
        )
        for query, complaint in (
            (f"ca={empty}", f"{empty}: no certificate in PEM form"),
            (f"certificate={empty}", f"{empty}: no certificate in PEM form"),
            (
                f"certificate={good}&key={empty}",
                f"{empty}: no private key in PEM form without passphrase",
            ),
            (
                f"certificate={good}&key={stranger}",
                f"{stranger}: not the private key of {good}",
            ),
        ):
            url = proxyURL(f"socks6s://localhost?{query}")
            for make in (url.encryption, partial(url.endpoint, self.network)):
                error = errorOf(ValueError, make)
                self.assertEqual(str(error), complaint)
        for query in (
            f"ca={missing}",
            f"certificate={missing}",
            f"certificate={good}&key={missing}",
        ):
            url = proxyURL(f"socks6s://localhost?{query}")
            missed = errorOf(OSError, url.encryption)
            assert missed is not None
            self.assertEqual(missed.filename, str(missing))

    def test_impossibleName(self) -> None:
        """
        A host for which there can be no certificate is a mistake.
        """
        errorOf(ValueError, proxyURL(f"socks6s://{'x' * 64}.example").encryption)
