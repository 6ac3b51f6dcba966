"""
Tests of L{socks6.policy.addresses}.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.addresses import innermost, isGuardedName, kindOf


class AddressTests(SynchronousTestCase):
    """
    What is not of the public internet.
    """

    def test_kinds(self) -> None:
        """
        The first and the last address of what is something else are told from those next
        to them.
        """
        for kind, hosts in {
            "": "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255"
            " 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.167.255.255"
            " 192.169.0.0 223.255.255.255 2000:: 2001:200:: 2606:4700::1 3ffe::",
            "unspecified": "0.0.0.0 ::",
            "a cloud's metadata service": "169.254.169.254 fd00:ec2::254 100.100.100.200",
            "loopback": "127.0.0.0 127.255.255.255 ::1",
            "private": "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0"
            " 192.168.255.255 fc00:: fdff:ffff:: fec0:: 64:ff9b:1::a00:1",
            "shared by a carrier's customers": "100.64.0.0 100.127.255.255",
            "link-local": "169.254.0.0 169.254.255.255 fe80::1 fe80::1%2 febf::",
            "multicast": "224.0.0.0 239.255.255.255 ff02::1",
            "broadcast": "255.255.255.255",
            "reserved": "0.0.0.1 192.0.2.1 198.18.0.0 198.19.255.255 198.51.100.7 203.0.113.1"
            " 240.0.0.0 255.255.255.254 2001:db8::1 2001:1ff:: 100::1 3fff::1"
            " ::1:0:0 64:ff9b::1:0:0 1fff:: 4000:: 5f00::1 8000:: dfff:: fbff::1 fe00::",
        }.items():
            for host in hosts.split():
                self.assertEqual(kindOf(ip_address(host)), kind, host)

    def test_embedded(self) -> None:
        """
        An IPv4 address within an IPv6 one is what counts, whichever way it got there.
        """
        for host in (
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "2002:a01:203::1",
            # Teredo writes the client's address upside down.
            "2001:0:5db8:d822:0:ffff:f5fe:fdfc",
        ):
            self.assertEqual(str(innermost(ip_address(host))), "10.1.2.3", host)
            self.assertEqual(kindOf(ip_address(host)), "private", host)
        self.assertEqual(kindOf(ip_address("64:ff9b::808:808")), "")
        for host in ("::", "::1", "2001:db8::1", "10.1.2.3"):
            self.assertEqual(innermost(ip_address(host)), ip_address(host))

    def test_names(self) -> None:
        """
        Names of this machine and of metadata services are known.
        """
        for name in ("localhost", "a.localhost", "metadata.google.internal"):
            self.assertTrue(isGuardedName(name), name)
        for name in ("notlocalhost", "localhost.example.org", "example.org"):
            self.assertFalse(isGuardedName(name), name)
