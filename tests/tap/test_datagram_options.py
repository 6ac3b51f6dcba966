"""
Tests of the UDP ASSOCIATE half of L{socks6.tap.commands}.
"""

from __future__ import annotations

from typing import Any, NoReturn

from twisted.application.service import IServiceCollection
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError

from socks6.server import datagramservice
from socks6.server.associations import AssociationLimits, Associations
from socks6.server.datagramports import DTLSPort, PlainPort
from socks6.server.datagramservice import DatagramService, Place
from socks6.tap import makeService
from tests.server.harness import WELCOME, failure, request
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse

#: UDP ASSOCIATE, with any address.
ASSOCIATE = request(command=3, address=bytes.fromhex("0000 01 00000000"))


class OptionsTests(OptionsTestCase):
    """
    What can be said about datagrams.
    """

    def test_defaults(self) -> None:
        """
        Datagrams come in where the first TCP port is, and nowhere with DTLS.
        """
        options = parse()
        self.assertIsNone(options.udpPorts)
        self.assertEqual(options.dtlsPorts, [])
        self.assertIsNone(options.dtlsContext)
        self.assertEqual(options["udp-idle-timeout"], 300.0)
        self.assertEqual(options["max-associations"], 256)

    def test_ports(self) -> None:
        """
        A port is one of the loopback address, or of another one.
        """
        for text, place in (
            ("1080", ("127.0.0.1", 1080)),
            ("0", ("127.0.0.1", 0)),
            ("65535", ("127.0.0.1", 65535)),
            ("192.0.2.1:1080", ("192.0.2.1", 1080)),
            ("0.0.0.0:1080", ("0.0.0.0", 1080)),
            ("[2001:db8::1]:1080", ("2001:db8::1", 1080)),
            ("[::]:1080", ("::", 1080)),
        ):
            self.assertEqual(parse("--udp-port", text).udpPorts, [place])
            options = parse("--dtls-port", text, "--certificate", self.pem)
            self.assertEqual(options.dtlsPorts, [place])
            self.assertIsNotNone(options.dtlsContext)

    def test_severalPorts(self) -> None:
        """
        There may be several.
        """
        options = parse("--udp-port=1080", "--udp-port=[::1]:1080")
        self.assertEqual(options.udpPorts, [("127.0.0.1", 1080), ("::1", 1080)])
        options = parse("--dtls-port=1", "--dtls-port=2", "--certificate", self.pem)
        self.assertEqual([port for _, port in options.dtlsPorts], [1, 2])

    def test_none(self) -> None:
        """
        There need not be any.
        """
        self.assertEqual(parse("--udp-port=no").udpPorts, [])

    def test_portMistakes(self) -> None:
        """
        What is no port is a mistake.
        """
        for option in ("udp-port", "dtls-port"):
            for text in (
                "",
                "-1",
                "65536",
                "x",
                "localhost:1080",
                "::1",
                "1080:",
                "1.2.3.4",
                "yes",
            ):
                self.assertEqual(
                    self.complaint(f"--{option}={text}"),
                    f"--{option} {text!r} is neither a port nor ADDRESS:PORT",
                )
            self.assertEqual(
                self.complaint(f"--{option}=1.2.3:1080"),
                f"--{option} '1.2.3' is no IP address",
            )
        self.assertEqual(
            self.complaint("--dtls-port=no"), "--dtls-port 'no' is neither a port nor ADDRESS:PORT"
        )

    def test_contradictions(self) -> None:
        """
        No port and a port are a contradiction.
        """
        for first, second in (("no", "1080"), ("1080", "no"), ("no", "no")):
            self.assertEqual(
                self.complaint(f"--udp-port={first}", f"--udp-port={second}"),
                "--udp-port no stands for itself",
            )

    def test_certificate(self) -> None:
        """
        DTLS needs a certificate, and a certificate needs TLS or DTLS.
        """
        self.assertEqual(self.complaint("--dtls-port=1443"), "--dtls-port needs a --certificate")
        self.assertEqual(
            self.complaint("--certificate", self.pem),
            "--certificate needs a --tls-port or a --dtls-port",
        )
        path = self.file("rubbish", b"rubbish")
        self.assertIn("rubbish", self.complaint("--dtls-port=1443", "--certificate", path))

    def test_limits(self) -> None:
        """
        Limits are numbers.
        """
        self.assertEqual(parse("--max-associations=0")["max-associations"], 0)
        self.assertEqual(parse("--udp-idle-timeout=0.5")["udp-idle-timeout"], 0.5)
        for value in ("", "-1", "1.5", "many", str(2**31)):
            self.assertEqual(
                self.complaint(f"--max-associations={value}"),
                f"--max-associations {value!r} is not a number from 0 to {2**31 - 1}",
            )
        for value in ("", "0", "-1", "inf", "never"):
            self.assertEqual(
                self.complaint(f"--udp-idle-timeout={value}"),
                f"--udp-idle-timeout {value!r} is not a number of seconds above 0",
            )


class FakeListener:
    """
    What listens at an address.
    """

    def __init__(self, host: Any) -> None:
        self._host = host

    def getHost(self) -> Any:
        """
        Tell where.
        """
        return self._host


class ServiceTests(ServiceTestCase):
    """
    The service that the options describe.
    """

    def datagrams(self, *arguments: str) -> DatagramService:
        """
        Start a command line's service, and find the part that takes datagrams.
        """
        (service,) = self.parts(*arguments)
        return service

    def parts(self, *arguments: str) -> list[DatagramService]:
        """
        Find the parts that take datagrams.
        """
        collection: Any = self.start(*arguments).parent
        return [
            each for each in IServiceCollection(collection) if isinstance(each, DatagramService)
        ]

    def test_ports(self) -> None:
        """
        It opens the ports.
        """
        service = self.datagrams("--udp-port=0", "--dtls-port=0", "--certificate", self.pem)
        self.assertEqual([type(port) for port in service.ports], [PlainPort, DTLSPort])
        self.stop(service.parent)
        self.assertEqual(service.ports, [])

    def test_limits(self) -> None:
        """
        Associations keep to the limits.
        """
        factory = self.start("--max-associations=3", "--udp-idle-timeout=4").factory
        associations = factory.associations
        assert isinstance(associations, Associations)
        self.assertEqual(associations.limits, AssociationLimits(3, 4.0))

    def test_off(self) -> None:
        """
        Without ports, UDP ASSOCIATE is not supported; DTLS alone will do.
        """
        self.assertEqual(self.parts("--udp-port=no"), [])
        factory = self.start("--udp-port=no").factory
        self.assertEqual(self.ask(factory, ASSOCIATE), WELCOME + failure(7))
        service = self.datagrams("--udp-port=no", "--dtls-port=0", "--certificate", self.pem)
        self.assertEqual([type(port) for port in service.ports], [DTLSPort])

    def test_outbound(self) -> None:
        """
        Nor is it where hosts are reached by way of another proxy.
        """
        self.assertEqual(self.parts("--outbound=socks5:127.0.0.1:1"), [])

    def test_taken(self) -> None:
        """
        A port that is asked for must be free; the one that is opened unasked need not be.
        """
        self.patch(datagramservice, "_bound", self.refuse)
        proxy, datagrams = self.split(makeService(parse("--udp-port=1080")))
        self.assertRaises(CannotListenError, datagrams.startService)
        proxy, datagrams = self.split(makeService(parse()))
        proxy.ports[:] = [FakeListener(IPv4Address("TCP", "127.0.0.1", 1080))]
        datagrams.startService()
        self.assertEqual(datagrams.ports, [])

    def refuse(self, place: Place) -> NoReturn:
        """
        Bind nothing.
        """
        raise CannotListenError(*place, OSError(98, "Address already in use"))

    def split(self, service: Any) -> tuple[Any, DatagramService]:
        """
        Find the part that listens to streams, and the part that takes datagrams.
        """
        (datagrams,) = (each for each in service if isinstance(each, DatagramService))
        (proxy,) = (each for each in service if hasattr(each, "ports") and each is not datagrams)
        return proxy, datagrams

    def test_sameAsTCP(self) -> None:
        """
        By default datagrams come in where the first TCP port is, and nowhere if there is
        none.
        """
        proxy, datagrams = self.split(makeService(parse()))
        unix = UNIXAddress("/run/socks6")
        first = IPv4Address("TCP", "192.0.2.1", 1080)
        second = IPv6Address("TCP", "2001:db8::1", 1081)
        for hosts, places in (
            ([], []),
            ([unix], []),
            ([unix, first, second], [("192.0.2.1", 1080)]),
            ([second, first], [("2001:db8::1", 1081)]),
        ):
            proxy.ports[:] = [FakeListener(host) for host in hosts]
            self.assertEqual(datagrams._plain(), places)
