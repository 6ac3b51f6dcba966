"""
Tests for C{twistd socks6-local} with curl, which speaks all that it understands.
"""

from __future__ import annotations

import hashlib
import signal
import ssl

from tests.integration.certificates import Authority
from tests.integration.chain import ChainTestCase, portOf
from tests.integration.peers import pattern, refusingPlace
from tests.integration.programs import (
    CUT,
    PROXY_FAILED,
    RECEIVING_FAILED,
    TLS_FAILED,
    curl,
)
from tests.integration.socks5server import (
    HOST_UNREACHABLE,
    NOT_ALLOWED,
    REFUSED,
    TTL_EXPIRED,
    SOCKS5Server,
)
from tests.integration.twistd import Local, Twistd
from tests.integration.webserver import WebServer

#: How curl is told of a proxy, and whether the proxy gets to hear names then.
WAYS = {
    "--socks5-hostname": True,
    "--socks5": False,
    "--socks4a": True,
    "--socks4": False,
    "--proxy": True,
    "--proxytunnel --proxy": True,
}

#: Those that ask for a tunnel, and those that have got the proxy's answer to that
#: before they say anything.
TUNNELS = [way for way in WAYS if way != "--proxy"]

#: Octets of what is big.
SIZE = 8_000_000


def through(way: str, local: Twistd, user: str = "") -> list[str]:
    """
    Tell curl to go through a local proxifier.

    @param user: Name and password, if there are any.
    """
    scheme = "http://" if way.endswith("--proxy") else ""
    arguments = [*way.split(), f"{scheme}127.0.0.1:{portOf(local)}"]
    return [*arguments, "--proxy-user", user] if user else arguments


class FetchTests(ChainTestCase):
    """
    What is fetched arrives, whatever is spoken.
    """

    def test_ways(self) -> None:
        """
        SOCKS 5, 4a and 4, with names and without, HTTP and its CONNECT: all lead to the
        web server, and the proxy hears names as they are.
        """
        server = WebServer(self)
        proxy = Twistd(self, "--port=0")
        local = self.startChain(proxy=proxy)
        for number, (way, hearsNames) in enumerate(WAYS.items()):
            server.pages[f"/{number}"] = (way.encode(), "text/plain")
            # As curl resolves that one itself.
            host = "localhost" if hearsNames else "127.0.0.1"
            fetched = self.fetch(*through(way, local), server.url(f"/{number}", host))
            self.assertEqual((fetched.code, fetched.body), (200, way.encode()), way)
            self.assertEqual(server.visits[-1].fields["host"], f"{host}:{server.place[1]}")
            self.assertNotIn("proxy-connection", server.visits[-1].fields)
        self.assertEqual(len(server.visits), len(WAYS))
        proxy.waitFor(lambda: proxy.output().count(" connect ") == len(WAYS), "not all are logged")
        named = proxy.output().count(f" connect localhost:{server.place[1]}: closed, ")
        self.assertEqual(named, sum(WAYS.values()))

    def test_IPv6(self) -> None:
        """
        Addresses of IPv6 go through, too, where the protocol has them.
        """
        try:
            server = WebServer(self, "::1")
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")
        local = self.startChain()
        for way in ("--socks5-hostname", "--socks5", "--proxy", "--proxytunnel --proxy"):
            fetched = self.fetch(*through(way, local), server.url())
            self.assertEqual((fetched.code, fetched.body), (200, b"here I am\n"), way)

    def test_users(self) -> None:
        """
        A program may give a user name and password, any, which the web server does not
        get to see.
        """
        server = WebServer(self)
        local = self.startChain()
        for way in WAYS:
            user = "ada:" if "socks4" in way else "ada:s3cret"
            fetched = self.fetch(*through(way, local, user), server.url())
            self.assertEqual((fetched.code, fetched.body), (200, b"here I am\n"), way)
            self.assertNotIn("proxy-authorization", server.visits[-1].fields)
        local.waitFor(lambda: local.output().count(" ada connect ") == len(WAYS), "no user")
        self.assertNotIn("s3cret", local.output())

    def test_https(self) -> None:
        """
        TLS goes through, end to end.
        """
        authority = Authority(self.folder())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.server().path)
        server = WebServer(self, context=context)
        local = self.startChain()
        for way in WAYS:
            url = server.url(host="localhost", scheme="https")
            fetched = self.fetch(*through(way, local), "--cacert", str(authority.path), "-4", url)
            self.assertEqual((fetched.code, fetched.body), (200, b"here I am\n"), way)

    def test_big(self) -> None:
        """
        What is big arrives unchanged, both ways.
        """
        data = pattern(SIZE)
        digest = hashlib.sha256(data).hexdigest()
        server = WebServer(self)
        server.pages["/big"] = (data, "application/octet-stream")
        local = self.startChain()
        for way in WAYS:
            fetched = self.fetch(*through(way, local), server.url("/big"))
            self.assertEqual(hashlib.sha256(fetched.body).hexdigest(), digest, way)
            fetched = self.fetch(
                *through(way, local), "--upload-file", "-", server.url("/up"), input=data
            )
            self.assertEqual((fetched.code, fetched.body), (200, digest.encode()), way)

    def test_forwardedBodies(self) -> None:
        """
        A body that is sent by way of HTTP without a tunnel arrives unchanged: after
        "Expect: 100-continue", in chunks, and with its length only.
        """
        data = pattern(SIZE)
        digest = hashlib.sha256(data).hexdigest().encode()
        file = self.folder() / "file"
        file.write_bytes(data)
        server = WebServer(self)
        local = self.startChain()
        for arguments, field in [
            (["--upload-file", str(file), "--expect100-timeout", "30"], "expect"),
            (["--upload-file", str(file), "--header", "Expect:"], "content-length"),
            (["--upload-file", "-"], "transfer-encoding"),
            (["--data-binary", f"@{file}"], "content-length"),
        ]:
            fetched = self.fetch(
                *through("--proxy", local), *arguments, server.url("/up"), input=data
            )
            self.assertEqual((fetched.code, fetched.body), (200, digest), arguments)
            self.assertIn(field, server.visits[-1].fields)

    def test_reuse(self) -> None:
        """
        Several requests may follow each other, whether curl uses its connection to the
        proxifier again or not.
        """
        first, second = WebServer(self), WebServer(self)
        local = self.startChain()
        for way in WAYS:
            fetched = self.fetch(
                *through(way, local), first.url(), first.url(), second.url(), first.url()
            )
            self.assertEqual(fetched.body, b"here I am\n" * 4, way)
        self.assertEqual((len(first.visits), len(second.visits)), (3 * len(WAYS), len(WAYS)))


class FailureTests(ChainTestCase):
    """
    What goes wrong is told in the program's own words.
    """

    def startRefusing(self, *arguments: str) -> Local:
        """
        Start a local proxifier whose proxy goes through one that refuses.
        """
        codes = {
            "denied.example": NOT_ALLOWED,
            "absent.example": HOST_UNREACHABLE,
            "refused.example": REFUSED,
            "late.example": TTL_EXPIRED,
        }
        host, port = SOCKS5Server(self, codes=codes).place
        return self.startChain(
            *arguments, proxy=Twistd(self, "--port=0", f"--outbound=socks5:{host}:{port}")
        )

    def test_SOCKS5(self) -> None:
        """
        curl shows the reply code of SOCKS 5.
        """
        local = self.startRefusing("--no-optimistic")
        for host, code in [("denied", 2), ("absent", 4), ("refused", 5), ("late", 6)]:
            fetched = curl(self, *through("--socks5-hostname", local), f"http://{host}.example:81/")
            self.assertEqual(fetched.status, PROXY_FAILED, host)
            self.assertIn(f"({code})", fetched.errors)

    def test_SOCKS4(self) -> None:
        """
        SOCKS 4 knows but one failure.
        """
        local = self.startRefusing()
        for host in ("denied", "absent", "refused", "late"):
            fetched = curl(self, *through("--socks4a", local), f"http://{host}.example:81/")
            self.assertEqual(fetched.status, PROXY_FAILED, host)
            self.assertIn("(91)", fetched.errors)

    def test_HTTP(self) -> None:
        """
        Of HTTP, there is a status that fits, and a body for people, with
        C{--optimistic} as well: the answer to such a request is that of the web server.
        """
        for arguments in (["--optimistic"], ["--no-optimistic"]):
            local = self.startRefusing(*arguments)
            for host, status in [("denied", 403), ("absent", 502), ("refused", 502), ("late", 504)]:
                fetched = curl(self, *through("--proxy", local), f"http://{host}.example:81/")
                self.assertEqual((fetched.status, fetched.code), (0, status), host)
                self.assertIn(b"could not connect", fetched.body)

    def test_tunnel(self) -> None:
        """
        The answer to CONNECT has such a status, too.
        """
        local = self.startRefusing("--no-optimistic")
        for host, status in [("denied", 403), ("absent", 502), ("refused", 502), ("late", 504)]:
            fetched = curl(
                self, *through("--proxytunnel --proxy", local), f"http://{host}.example:81/"
            )
            self.assertEqual((fetched.status, fetched.connectCode), (RECEIVING_FAILED, status))

    def test_optimistic(self) -> None:
        """
        Who has been told that all is well finds the connection cut; never does that
        look like an empty page.
        """
        local = self.startRefusing("--optimistic")
        for way in ("--socks5-hostname", "--socks4a", "--proxytunnel --proxy"):
            fetched = curl(self, *through(way, local), "http://refused.example:81/")
            self.assertIn(fetched.status, CUT, way)
            fetched = curl(self, *through(way, local), "https://refused.example:81/")
            self.assertIn(fetched.status, {TLS_FAILED, *CUT}, way)
        self.assertNotIn("Traceback", local.output())

    def test_refused(self) -> None:
        """
        The same of a host that really refuses.
        """
        local = self.startChain("--no-optimistic")
        sock, (host, port) = refusingPlace()
        with sock:
            for way in TUNNELS:
                fetched = curl(self, *through(way, local), f"http://{host}:{port}/")
                expected = RECEIVING_FAILED if way.endswith("--proxy") else PROXY_FAILED
                self.assertEqual(fetched.status, expected, way)
            fetched = curl(self, *through("--proxy", local), f"http://{host}:{port}/")
            self.assertEqual(fetched.code, 502)
        self.assertNotIn("Traceback", local.output())


class ProxyTests(ChainTestCase):
    """
    Which proxy it is that programs go through.
    """

    def test_failOver(self) -> None:
        """
        If the first proxy is dead, the second one is used, and nobody notices.
        """
        server = WebServer(self)
        sock, (host, port) = refusingPlace()
        with sock:
            for optimism in ("--optimistic", "--no-optimistic"):
                alive = Twistd(self, "--port=0")
                local = Local(
                    self,
                    "--port=0",
                    f"--proxy=socks6://{host}:{port}",
                    f"--proxy=socks6://127.0.0.1:{portOf(alive)}",
                    optimism,
                )
                for way in WAYS:
                    self.assertEqual(self.fetch(*through(way, local), server.url()).code, 200, way)
                # It is said once, and not again for every request.
                self.assertEqual(local.output().count("cannot be reached"), 1)

    def test_allDead(self) -> None:
        """
        If all proxies are dead, that is a general failure.
        """
        sock, (host, port) = refusingPlace()
        with sock:
            url = f"--proxy=socks6://{host}:{port}"
            local = Local(self, "--port=0", url, url, "--no-optimistic")
            fetched = curl(self, *through("--socks5-hostname", local), "http://host.example/")
            self.assertEqual(fetched.status, PROXY_FAILED)
            self.assertIn("(1)", fetched.errors)
            fetched = curl(self, *through("--proxy", local), "http://host.example/")
            self.assertEqual((fetched.status, fetched.code), (0, 502))
        self.assertNotIn("Traceback", local.output())

    def test_restart(self) -> None:
        """
        A proxy that is started again has forgotten its sessions, and programs do not
        notice.
        """
        server = WebServer(self)
        # Outgoing connections take no ports of that address meanwhile.
        proxy = Twistd(self, r"--port=tcp:0:interface=127.0.0.2")
        port = portOf(proxy)
        local = Local(self, "--port=0", f"--proxy=socks6://127.0.0.2:{port}")
        for _ in range(2):
            for way in WAYS:
                self.assertEqual(self.fetch(*through(way, local), server.url()).code, 200, way)
            self.assertEqual(proxy.stop(), -signal.SIGTERM)
            proxy = Twistd(self, f"--port=tcp:{port}:interface=127.0.0.2")
            proxy.places()
        # Many at once.
        arguments = ["--parallel", "--no-progress-meter", *[server.url() for _ in range(20)]]
        fetched = self.fetch(*through("--socks5-hostname", local), *arguments)
        self.assertEqual(fetched.body, b"here I am\n" * 20)

    def test_stop(self) -> None:
        """
        When it stops, its sessions end.
        """
        server = WebServer(self)
        proxy = Twistd(self, "--port=0")
        local = self.startChain(proxy=proxy)
        self.fetch(*through("--socks5-hostname", local), server.url())
        self.assertEqual(local.stop(), -signal.SIGTERM)
        self.assertIn(": success, ", proxy.waitForLine(" noop "))
        self.assertNotIn("Traceback", local.output())


class TLSTests(ChainTestCase):
    """
    TLS with the proxy.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = WebServer(self)
        self.authority = Authority(self.folder())

    def startLocal(self, proxy: Twistd, query: str, host: str = "localhost") -> Local:
        """
        Start a local proxifier.
        """
        url = f"--proxy=socks6s://{host}:{portOf(proxy)}?{query}"
        return Local(self, "--port=0", "--no-optimistic", url)

    def startProxy(self, *arguments: str) -> Twistd:
        """
        Start a proxy.
        """
        certificate = f"--certificate={self.authority.server().path}"
        return Twistd(self, "--tls-port=0", certificate, *arguments)

    def test_ways(self) -> None:
        """
        All ways lead through TLS as well; the proxy goes by its name or its address.
        """
        data = pattern(SIZE)
        self.server.pages["/big"] = (data, "application/octet-stream")
        proxy = self.startProxy()
        for host in ("localhost", "127.0.0.1"):
            local = self.startLocal(proxy, f"ca={self.authority.path}", host)
            for way in WAYS:
                fetched = self.fetch(*through(way, local), self.server.url("/big"))
                self.assertTrue(fetched.body == data, way)

    def test_mutual(self) -> None:
        """
        The proxy may want a certificate: with the right one, it lets us in, with none
        or another authority's it does not.
        """
        other = Authority(self.folder(), "other")
        proxy = self.startProxy(f"--client-ca={self.authority.path}")
        for query, code in [
            (f"&certificate={self.authority.client().path}", 200),
            ("", 502),
            (f"&certificate={other.client().path}", 502),
        ]:
            local = self.startLocal(proxy, f"ca={self.authority.path}{query}")
            fetched = self.fetch(*through("--proxy", local), self.server.url())
            self.assertEqual(fetched.code, code, query)
            self.assertNotIn("Traceback", local.output())

    def test_untrusted(self) -> None:
        """
        A proxy of another authority is not trusted.
        """
        other = Authority(self.folder(), "other")
        local = self.startLocal(self.startProxy(), f"ca={other.path}")
        fetched = self.fetch(*through("--proxy", local), self.server.url())
        self.assertEqual(fetched.code, 502)
        self.assertIn("certificate verify failed", local.waitForLine("cannot be reached"))
        self.assertEqual(self.server.visits, [])

    def test_password(self) -> None:
        """
        A proxy that asks who we are is told so; the password stands in no log.
        """
        users = self.folder() / "users"
        users.write_text("ada:s3cret\n", "ascii")
        wrong = self.folder() / "wrong"
        wrong.write_text("guess\n", "ascii")
        proxy = Twistd(self, "--port=0", f"--auth=file:{users}")
        where = f"127.0.0.1:{portOf(proxy)}"
        for url, code in [
            (f"socks6://ada:s3cret@{where}", 200),
            (f"socks6://ada@{where}?passwordfile={wrong}", 502),
            (f"socks6://{where}", 502),
        ]:
            local = Local(self, "--port=0", f"--proxy={url}")
            for _ in range(2):
                fetched = self.fetch(*through("--proxy", local), self.server.url())
                self.assertEqual(fetched.code, code)
            self.assertNotIn("Traceback", local.output())
            self.assertNotIn("s3cret", local.output())
        self.assertIn(" ada connect ", proxy.output())
