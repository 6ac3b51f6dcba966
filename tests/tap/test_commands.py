"""
Tests of L{socks6.tap.commands}.
"""

from __future__ import annotations

from ipaddress import ip_address

from socks6.server.bindpolicy import BindPolicy
from tests.tap.harness import OptionsTestCase, parse


class BindTests(OptionsTestCase):
    """
    The options of BIND.
    """

    def _policy(self, *arguments: str) -> BindPolicy:
        """
        Read a command line.
        """
        return parse(*arguments).binder(self.network).policy

    def test_otherOutbound(self) -> None:
        """
        What nobody would make use of is a mistake.
        """
        for option in (
            "--udp-port=1081",
            "--dtls-port=1082",
            "--bind-address=127.0.0.1",
            "--bind-ports=2000-2001",
            "--advertise=192.0.2.1",
        ):
            self.assertEqual(
                self.complaint(option, "--outbound=socks5:localhost:9050"),
                f"{option.partition('=')[0]} needs --outbound direct: BIND and UDP ASSOCIATE go"
                " through no other proxy",
            )

    def test_defaults(self) -> None:
        """
        Without options all is as L{BindPolicy} has it.
        """
        policy, default = self._policy(), BindPolicy()
        self.assertEqual(list(policy.addresses), list(default.addresses))
        self.assertEqual(policy.ports, default.ports)
        self.assertEqual(policy.timeout, default.timeout)
        self.assertEqual(policy.maxBacklog, default.maxBacklog)
        self.assertEqual(policy.advertised, default.advertised)

    def test_addresses(self) -> None:
        """
        As many addresses as one likes may be bound, and each version of IP may have
        another name outside.
        """
        policy = self._policy(
            "--bind-address=192.0.2.1",
            "--bind-address",
            "2001:db8::1",
            "--bind-address=0.0.0.0",
            "--advertise=198.51.100.1",
            "--advertise=2001:db8::99",
        )
        addresses = [ip_address(each) for each in ("192.0.2.1", "2001:db8::1", "0.0.0.0")]
        self.assertEqual(policy.addresses, addresses)
        advertised = {4: ip_address("198.51.100.1"), 6: ip_address("2001:db8::99")}
        self.assertEqual(policy.advertised, advertised)

    def test_numbers(self) -> None:
        """
        Ports, seconds and connections are numbers.
        """
        policy = self._policy("--bind-ports=1-65535", "--bind-timeout=0.5", "--max-backlog=2")
        self.assertEqual(policy.ports, (1, 65535))
        self.assertEqual((policy.timeout, policy.maxBacklog), (0.5, 2))
        self.assertEqual(self._policy("--bind-ports=5000-5000").ports, (5000, 5000))
        self.assertEqual(self._policy("--max-backlog=65535").maxBacklog, 65535)

    def test_mistakes(self) -> None:
        """
        What makes no sense is refused, in words.
        """
        for argument, expected in {
            "--bind-address=localhost": "--bind-address 'localhost' is no IP address",
            "--bind-address=": "--bind-address '' is no IP address",
            "--advertise=198.51.100": "--advertise '198.51.100' is no IP address",
            "--advertise=0.0.0.0": "--advertise '0.0.0.0' is no address that a host can reach",
            "--advertise=::": "--advertise '::' is no address that a host can reach",
            "--advertise=fe80::1%1": "--advertise 'fe80::1%1' is no address that a host can reach",
        }.items():
            self.assertEqual(self.complaint(argument), expected)
        for ports in ("", "80", "80-", "-80", "0-80", "81-80", "1-65536", "a-b", "1-2-3", " 1-2"):
            expected = f"--bind-ports {ports!r} is not of the form LOW-HIGH"
            self.assertIn(expected, self.complaint(f"--bind-ports={ports}"))
        for seconds in ("0", "-1", "inf", "nan", "soon"):
            expected = f"--bind-timeout {seconds!r} is not a number of seconds above 0"
            self.assertIn(expected, self.complaint(f"--bind-timeout={seconds}"))
        for number in ("1", "0", "65536", "many"):
            expected = f"--max-backlog {number!r} is not a number from 2 to 65535"
            self.assertIn(expected, self.complaint(f"--max-backlog={number}"))

    def test_advertisedTwice(self) -> None:
        """
        An address has one name.
        """
        self.assertEqual(
            self.complaint("--advertise=198.51.100.1", "--advertise=198.51.100.2"),
            "--advertise has two addresses of IP version 4",
        )
