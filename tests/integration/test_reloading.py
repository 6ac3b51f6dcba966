"""
Tests for C{twistd socks6 --config}, and for SIGHUP.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl

from twisted.trial.unittest import SkipTest

from tests.integration.certificates import Authority
from tests.integration.datagrams import DTLSSocket
from tests.integration.peers import (
    NOOP,
    Place,
    accept,
    ask,
    dial,
    encodeRequest,
    listen,
    openTunnel,
    pattern,
    placeOf,
)
from tests.integration.sharing import SessionCase
from tests.integration.tunnels import TunnelMixin
from tests.integration.twistd import TWISTD, Local, Twistd
from tests.integration.workers import Crew, CrewCase

NOOP_REQUEST = encodeRequest("0.0.0.0", 0, command=NOOP)


class ReloadingCase(TunnelMixin, SessionCase):
    """
    A test with certificates that are renewed.
    """

    passed = pattern(20000)

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.folder())
        self.party = self.authority.server()

    def renew(self) -> int:
        """
        Issue a new certificate in the place of the old one.

        @return: Its serial number.
        """
        self.party = self.authority.server()
        return self.party.certificate.serial_number

    def encrypt(self, place: Place) -> ssl.SSLSocket:
        """
        Connect a client.
        """
        client = self.authority.clientContext().wrap_socket(
            dial(place), server_hostname="localhost"
        )
        self.addCleanup(client.close)
        return client

    def serial(self, place: Place) -> int:
        """
        Connect, ask for something, and tell the number of the certificate that was shown.
        """
        with self.encrypt(place) as client:
            shown = client.getpeercert()
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
        assert shown is not None
        serial: object = shown["serialNumber"]
        return int(str(serial), 16)

    def tunnel(self, place: Place) -> tuple[ssl.SSLSocket, socket.socket]:
        """
        Open a tunnel.

        @return: The client's socket and the remote host's.
        """
        with listen() as listener:
            client = self.encrypt(place)
            openTunnel(client, placeOf(listener))
            server = accept(listener)
            self.addCleanup(server.close)
        return client, server

    def hangUp(self, twistd: Twistd, line: str, times: int = 1) -> None:
        """
        Have it reload.

        @param line: What it logs then.
        @param times: How often that is in the log by then.
        """
        twistd.process.send_signal(signal.SIGHUP)
        twistd.waitFor(lambda: twistd.output().count(line) >= times, f"no {line!r}")
        self.assertEqual(twistd.output().count(line), times)


class ConfigurationTests(ReloadingCase):
    """
    Options come from a file.
    """

    def test_serves(self) -> None:
        """
        What the file says is done, and what the command line says of it is done instead.
        """
        path = self.folder() / "socks6.toml"
        path.write_text(
            f"port = ['1', '2']\ntls-port = 0\ncertificate = '{self.party.path}'\n"
            "udp-port = 'no'\n",
            "utf-8",
        )
        twistd = Twistd(self, "--config", str(path), "--port=0")
        twistd.waitFor(lambda: twistd.output().count(" starting on ") == 2, "it does not listen")
        plain, encrypted = twistd.places()
        with dial(plain) as client:
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
        self.assertEqual(self.serial(encrypted), self.party.certificate.serial_number)
        self.assertNotIn("Datagrams", twistd.output())

    def test_mistake(self) -> None:
        """
        A mistake is one line and exit status 1.
        """
        path = self.folder() / "socks6.toml"
        path.write_text("prot = 1080", "utf-8")
        for kind in (Twistd, Local):
            twistd = kind(self, f"--config={path}")
            self.assertEqual(twistd.wait(), 1)
            self.assertEqual(
                twistd.output(),
                f"twistd {kind.command}: --config {path}: there is no option 'prot'; the nearest"
                " one is 'port'\n",
            )


class HangUpTests(ReloadingCase):
    """
    SIGHUP reloads.
    """

    def test_certificates(self) -> None:
        """
        Who connects after it is shown the new certificate, by TLS and by DTLS, and tunnels
        go on.
        """
        old = self.party.certificate.serial_number
        twistd = Twistd(self, "--tls-port=0", "--dtls-port=0", f"--certificate={self.party.path}")
        (place,) = twistd.places()
        port = int(twistd.waitForLine("DTLS port 127.0.0.1:").rpartition(":")[2])
        tunnel = self.tunnel(place)
        self.assertPasses(*tunnel)
        self.assertEqual((self.serial(place), self.serialByDatagrams(port)), (old, old))
        for times in (1, 2):
            new = self.renew()
            self.hangUp(twistd, "Reloaded: certificates\n", times)
            self.assertEqual((self.serial(place), self.serialByDatagrams(port)), (new, new))
            self.assertPasses(*tunnel)
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", twistd.output())

    def serialByDatagrams(self, port: int) -> int:
        """
        Shake hands by DTLS, and tell the number of the certificate that was shown.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            certificate = DTLSSocket(handle, ("127.0.0.1", port)).connection.get_peer_certificate()
        assert certificate is not None
        return certificate.get_serial_number()

    def test_mistake(self) -> None:
        """
        A file that does not serve leaves the old one in force, with one line in the log,
        until there is one that does.
        """
        path = self.party.path
        old = self.party.certificate.serial_number
        twistd = Twistd(self, "--tls-port=0", f"--certificate={path}")
        (place,) = twistd.places()
        tunnel = self.tunnel(place)
        path.write_bytes(self.authority.path.read_bytes()[:100])
        line = f"certificates: {path}: no certificate in PEM form\n"
        self.hangUp(twistd, line)
        self.assertIn("Nothing was reloaded, and all stays as it was: " + line, twistd.output())
        path.unlink()
        self.hangUp(twistd, f"certificates: {path}: No such file or directory\n")
        self.assertEqual(self.serial(place), old)
        self.assertPasses(*tunnel)
        new = self.renew()
        self.hangUp(twistd, "Reloaded: certificates\n")
        self.assertEqual(self.serial(place), new)
        self.assertNotIn("Traceback", twistd.output())

    def test_privileges(self) -> None:
        """
        Who has changed to another user reloads what that one can read.
        """
        if os.getuid() != 0:
            raise SkipTest("only root can change to another user")
        path = self.party.path
        path.parent.chmod(0o755)
        path.chmod(0o600)
        twistd = Twistd(
            self,
            "--tls-port=0",
            f"--certificate={path}",
            runner=[*TWISTD, "--uid=65534", "--gid=65534"],
        )
        (place,) = twistd.places()
        old = self.party.certificate.serial_number
        self.assertEqual(self.serial(place), old)
        self.hangUp(twistd, f"certificates: {path}: Permission denied\n")
        new = self.renew()
        path.chmod(0o644)
        self.hangUp(twistd, "Reloaded: certificates\n")
        self.assertEqual(self.serial(place), new)

    def test_nothing(self) -> None:
        """
        Where nothing can be reloaded, nothing happens.
        """
        twistd = Twistd(self, "--port=0")
        (place,) = twistd.places()
        self.hangUp(twistd, "There is nothing to reload\n")
        with dial(place) as client:
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)


class WorkersTests(ReloadingCase, CrewCase):
    """
    Several processes reload together.
    """

    def assertShow(self, crew: Crew, serial: int) -> None:
        """
        Check which certificate each worker shows.
        """
        (place,) = crew.places()
        for number in (1, 2):
            with crew.only(number):
                self.assertEqual(self.serial(place), serial, f"worker {number}")

    def reloaded(self, crew: Crew, times: int) -> None:
        """
        Have them reload.

        @param times: How often they have done so by then.
        """
        self.hangUp(crew, "Reloaded: certificates, workers\n", times)
        crew.waitFor(
            lambda: crew.output().count("Reloaded: certificates\n") == 2 * times,
            "they do not reload",
        )

    def test_certificates(self) -> None:
        """
        All workers show the new certificate, also one that comes later, which needs
        neither the files nor that of the options; a file that does not serve leaves the
        old one in force in all of them.
        """
        configuration = self.folder() / "socks6.toml"
        configuration.write_text(f"tls-port = ['0']\ncertificate = '{self.party.path}'\n", "utf-8")
        crew = self.crew(f"--config={configuration}")
        crew.places()
        pids = crew.waitUntilServing()
        configuration.unlink()
        tunnel = self.tunnel(crew.places()[0])
        self.assertShow(crew, self.party.certificate.serial_number)
        for times in (1, 2):
            new = self.renew()
            self.reloaded(crew, times)
            self.assertShow(crew, new)
            self.assertPasses(*tunnel)
        self.party.path.write_bytes(b"nothing")
        self.hangUp(crew, "Nothing was reloaded")
        self.assertShow(crew, new)
        self.assertPasses(*tunnel)
        self.party.path.unlink()
        for number in (1, 2):
            os.kill(pids[number], signal.SIGKILL)
            crew.waitUntilServing([2, number])
        self.assertShow(crew, new)
        self.assertNotIn("Traceback", crew.output())
