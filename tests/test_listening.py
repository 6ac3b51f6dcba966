"""
Tests of L{socks6.listening}.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.endpoints import _SystemdParser
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from socks6.listening import endpointDescription, listensLocally
from tests.integration.certificates import Authority
from tests.raising import errorOf


class DescriptionTests(SynchronousTestCase):
    """
    Ports as people name them.
    """

    def test_numbers(self) -> None:
        """
        A number is a port of the loopback address.
        """
        for port, description in (
            ("1080", "tcp:1080:interface=127.0.0.1:backlog=1024"),
            ("0", "tcp:0:interface=127.0.0.1:backlog=1024"),
            ("65535", "tcp:65535:interface=127.0.0.1:backlog=1024"),
            ("01080", "tcp:1080:interface=127.0.0.1:backlog=1024"),
        ):
            self.assertEqual(endpointDescription(port), description)

    def test_strings(self) -> None:
        """
        Anything else is an endpoint string, and stays as it is.
        """
        for port in ("tcp:1080", "unix:/run/socks6", r"tcp:1080:interface=\:\:1", "-1", ""):
            self.assertEqual(endpointDescription(port), port)

    def test_noPort(self) -> None:
        """
        There are no ports above 65535.
        """
        for port in ("65536", "99999999999"):
            error = self.assertRaises(UsageError, endpointDescription, port)
            self.assertEqual(str(error), f"no port has the number {port}")


class Descriptors:
    """
    What systemd has opened.
    """

    def __init__(self, **descriptors: int) -> None:
        self._descriptors = descriptors

    def inheritedNamedDescriptors(self) -> dict[str, int]:
        """
        Give them by their names.
        """
        return self._descriptors


class LocalityTests(SynchronousTestCase):
    """
    Who can reach a port.
    """

    def test_interfaces(self) -> None:
        """
        Loopback addresses are for this machine only, and so are UNIX sockets,
        whatever is on top of them.
        """
        for description, local in (
            ("tcp:1080", False),
            ("tcp:1080:interface=127.0.0.1", True),
            ("tcp:1080:interface=127.0.0.2", True),
            ("tcp:1080:interface=127.255.255.254", True),
            ("tcp:1080:interface=0.0.0.0", False),
            ("tcp:1080:interface=192.0.2.1", False),
            ("tcp:1080:interface=localhost", False),
            ("tcp:interface=127.0.0.1:port=1080", True),
            (r"tcp:1080:interface=\:\:1", True),
            (r"tcp:1080:interface=\:\:", False),
            (r"tcp:1080:interface=\:\:ffff\:0.0.0.0", False),
            (r"tcp:1080:interface=fe80\:\:1%lo", False),
            ("tcp6:1080", False),
            (r"tcp6:1080:interface=\:\:1", True),
            (r"tcp6:1080:interface=2001\:db8\:\:1", False),
            ("unix:/run/socks6", True),
            ("unix:/run/socks6:mode=600", True),
            ("haproxy:tcp:1080", False),
            (r"haproxy:tcp:1080:interface=127.0.0.1", True),
            ("haproxy:unix:/run/socks6", True),
        ):
            self.assertIs(listensLocally(description), local, description)

    def test_ssl(self) -> None:
        """
        Twisted's own endpoints with TLS are looked at like others.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        pem = Authority(folder).server().path
        description = f"ssl:1080:privateKey={pem}:certKey={pem}"
        self.assertFalse(listensLocally(description))
        self.assertTrue(listensLocally(f"{description}:interface=127.0.0.1"))

    def test_unknown(self) -> None:
        """
        An endpoint that does not say where it listens may listen anywhere.
        """
        self.assertFalse(listensLocally("stdio:"))

    def test_adopted(self) -> None:
        """
        A socket that systemd has opened tells by itself; it stays open.
        """
        for family, address, local in (
            (socket.AF_INET, ("127.0.0.1", 0), True),
            (socket.AF_INET, ("0.0.0.0", 0), False),
            (socket.AF_INET6, ("::1", 0), True),
            (socket.AF_INET6, ("::", 0), False),
            (socket.AF_UNIX, self.mktemp()[-90:].replace("/", "-"), True),
        ):
            with socket.socket(family) as handle:
                try:
                    handle.bind(address)
                except OSError as error:
                    if family == socket.AF_INET6:
                        continue
                    raise AssertionError(f"{address}: {error}") from error
                self.patch(_SystemdParser, "_sddaemon", Descriptors(socks6=handle.fileno()))
                description = f"systemd:domain={family.name[3:]}:name=socks6"
                self.assertIs(listensLocally(description), local, str(address))
                os.fstat(handle.fileno())
                self.assertEqual(handle.getsockname()[: len(address)][0], address[0], str(address))

    def test_nonsense(self) -> None:
        """
        What is no endpoint string is an error that quotes it and says why, in
        one line.
        """
        self.patch(_SystemdParser, "_sddaemon", Descriptors())
        for description, reason in (
            ("nonsense", "ValueError: Unknown endpoint type: 'nonsense'"),
            ("", "ValueError: Unknown endpoint type: ''"),
            ("-1", "ValueError: Unknown endpoint type: '-1'"),
            ("nope:1080", "ValueError: Unknown endpoint type: 'nope'"),
            ("tcp:http", "ValueError: invalid literal for int()"),
            ("tcp:1080:interfaces=127.0.0.1", "TypeError: "),
            ("tcp", "TypeError: "),
            ("unix", "TypeError: "),
            ("systemd:domain=INET:name=absent", "KeyError: 'absent'"),
            ("systemd:domain=MOON:name=absent", "KeyError: 'absent'"),
            ("haproxy:nonsense", "ValueError: Unknown endpoint type: 'nonsense'"),
        ):
            error = errorOf(UsageError, listensLocally, description)
            self.assertTrue(str(error).startswith(f"{description!r} is no port: "), str(error))
            self.assertIn(reason, str(error), description)
            self.assertNotIn("\n", str(error), description)
