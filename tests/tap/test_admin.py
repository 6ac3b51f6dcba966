"""
Tests of L{socks6.tap.admin}.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from socks6.admin.site import AdminSite
from socks6.quietsite import FewConnections
from socks6.tap import makeService
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse


class OptionsTests(OptionsTestCase):
    """
    The options.
    """

    def test_mistakes(self) -> None:
        """
        Each is one line.
        """
        empty, password = self.file("empty", b"\n"), self.file("password", b"x\n")
        for arguments, complaint in (
            (
                ["--admin=tcp:8080"],
                "--admin tcp:8080 can be reached from other machines: add --admin-password-file",
            ),
            (["--admin=99999"], "no port has the number 99999"),
            ([f"--admin-password-file={password}"], "--admin-password-file needs --admin"),
            (["--admin-host=proxy.example"], "--admin-host needs --admin"),
            (
                ["--admin=8080", f"--admin-password-file={empty}"],
                f"--admin-password-file {empty}: its first line is empty",
            ),
            (
                ["--admin=8080", "--admin-password-file=/nowhere/at/all"],
                "--admin-password-file /nowhere/at/all: No such file or directory",
            ),
            (
                ["--admin=8080", "--workers=2", "--sessions=sqlite:x"],
                "--admin is not for several --workers: each knows its own tunnels",
            ),
        ):
            self.assertEqual(self.complaint(*arguments), complaint)
        self.assertTrue(self.complaint("--admin=rubbish:1").startswith("'rubbish:1' is no port"))

    def test_places(self) -> None:
        """
        Where only this machine gets, or with a password anybody, it may be.
        """
        password = self.file("password", b"x\n")
        for arguments in (
            ["--admin=8080"],
            ["--admin=unix:/run/admin"],
            ["--admin=tcp:8080:interface=127.0.0.1"],
            ["--admin=tcp:8080", f"--admin-password-file={password}"],
        ):
            parse(*arguments)


class ReloadTests(ServiceTestCase):
    """
    What can be read again.
    """

    def test_password(self) -> None:
        """
        The options know who can do it.
        """
        password = self.file("password", b"x\n")
        options = parse("--udp-port=no", "--admin=8080", f"--admin-password-file={password}")
        self.assertIsNone(options.adminPassword)
        makeService(options)
        assert options.adminPassword is not None
        self.file("password", b"")
        self.assertRaises(ValueError, options.adminPassword.prepare)


class ServiceTests(ServiceTestCase):
    """
    The service.
    """

    def site(self) -> AdminSite:
        """
        Find what listens.
        """
        (site,) = [
            factory.wrappedFactory
            for _, factory, *_ in self.network.tcpServers
            if isinstance(factory, FewConnections)
        ]
        found: AdminSite = site
        return found

    def ask(self, factory: Any, sent: bytes) -> bytes:
        """
        Ask for the page.
        """
        return super().ask(factory, b"GET /api/1/overview HTTP/1.1\r\nHost: " + sent + b"\r\n\r\n")

    def test_page(self) -> None:
        """
        It is there, for this machine, by the names that it has.
        """
        self.start("--port=1080", "--admin=8080", "--admin-host=Proxy.Example")
        place = [(port, where) for port, _, _, where in self.network.tcpServers]
        self.assertEqual(place, [(1080, "127.0.0.1"), (8080, "127.0.0.1")])
        for host, status in (
            (b"localhost", b"200"),
            (b"proxy.example", b"200"),
            (b"evil.example", b"403"),
        ):
            self.assertTrue(self.ask(self.site(), host).startswith(b"HTTP/1.1 " + status))

    def test_password(self) -> None:
        """
        With a password, it asks for that.
        """
        password = self.file("password", b"x\n")
        self.start("--admin=tcp:8080", f"--admin-password-file={password}")
        self.assertTrue(self.ask(self.site(), b"192.0.2.1").startswith(b"HTTP/1.1 401"))

    def test_own(self) -> None:
        """
        For clients of the proxy, the page and the metrics are the proxy itself.
        """
        proxy = self.start("--port=1080", "--admin=8080", "--metrics=9106")
        for port, isOwn in ((8080, True), (9106, True), (8081, False)):
            self.assertIs(proxy.factory.rules.isOwn(ip_address("127.0.0.1"), port), isOwn, port)

    def test_none(self) -> None:
        """
        Nobody who has not asked for it has it.
        """
        self.start("--port=1080")
        self.assertEqual([port for port, *_ in self.network.tcpServers], [1080])
