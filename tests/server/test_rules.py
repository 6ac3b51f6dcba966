"""
Tests of L{socks6.server.rules}, and of what the commands do with rules.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import crypto
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.rulebook import RuleBook, RuleCheck
from socks6.policy.ruleset import SAFE, Rule, Ruleset, Subject
from socks6.server import rules as serverRules
from socks6.server.negotiation import Negotiation
from socks6.server.rules import OwnPorts, certificateNames, subjectOf
from socks6.values.codes import Command
from tests.doubles import CLIENT_ADDRESS, Peer
from tests.integration.certificates import Authority
from tests.server.datagrams import (
    REMOTE,
    AssociationsTestCase,
    MemoryAssociations,
    named,
)
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    CONNECT,
    CONNECTED,
    WELCOME,
    ProxyTestCase,
    TLSServer,
    authenticationData,
    failure,
    passwords,
    request,
)
from tests.server.ports import CHOSEN, HOST_CAME, BindTestCase, Visitor, succeeded

#: Not allowed.
TWO = WELCOME + failure(2)
LOCAL_CLIENT = IPv4Address("TCP", "127.0.0.1", 40000)

NAME = bytes.fromhex("01bb 03 0b") + b"example.org"


def rulesFor(network: str, **what: Any) -> RuleBook:
    """
    Make a rule that allows a network.
    """
    return RuleBook(Ruleset([Rule(1, networks=(ip_network(network),), **what)]))


#: What allows the remote host of the tests.
ALLOWED = "203.0.113.0/24"


class ConnectTests(ProxyTestCase):
    """
    CONNECT.
    """

    def dialFrom(self, peer: IAddress, rules: RuleBook) -> Peer:
        """
        Connect from somewhere to a new proxy.
        """
        return self.network.accept(self.makeFactory(rules=rules), peer)

    def test_denied(self) -> None:
        """
        What is denied is answered with "not allowed", nobody tries to connect, and the log
        says why.
        """
        client = self.dial(rules=RuleBook(Ruleset([Rule(1, False)])))
        client.send(CONNECT)
        self.assertEqual(client.received.hex(), TWO.hex())
        self.assertEqual(self.outbound.attempts, [])
        self.assertIn("connect 203.0.113.1:443: not allowed (rule 1), ", self.lines[-1])
        self.leave(client)
        self.assertOver()

    def test_default(self) -> None:
        """
        If nobody says otherwise, only clients on this machine reach what is not of the
        public internet.
        """
        for peer, allowed in (
            (CLIENT_ADDRESS, False),
            (LOCAL_CLIENT, True),
            (IPv4Address("TCP", "::ffff:127.0.0.1", 1), True),
            (UNIXAddress(None), True),
            (IPv4Address("TCP", "what a header claims", 1), False),
        ):
            client = self.dialFrom(peer, RuleBook())
            client.send(CONNECT)
            self.assertEqual(client.received == TWO, not allowed, str(peer))
        self.assertEqual(len(self.outbound.attempts), 3)
        self.assertIn(
            "not allowed (203.0.113.1 is reserved, and no rule allows that), ", self.lines[0]
        )

    def test_claimed(self) -> None:
        """
        Who comes over the network is not on this machine, though a PROXY header says that
        it came to a UNIX socket of the load balancer's.
        """
        header = b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("21 31 00d8") + bytes(216)
        factory: Any = HAProxyWrappingFactory(self.makeFactory(rules=RuleBook(SAFE)))
        client = self.network.accept(factory)
        client.send(header + request(address=bytes.fromhex("01bb 01 0a000001")))
        self.assertEqual(client.received, TWO)

    def test_user(self) -> None:
        """
        Rules know the user's name.
        """
        for name, code in ((b"ada", 0), (b"eve", 2)):
            client = self.dial(passwords(), rules=rulesFor(ALLOWED, users=(name,)))
            client.send(request(authenticationData(ADA)))
            if code:
                self.assertEqual(client.received, AUTHENTICATED + failure(2))
            else:
                self.attempt.succeed()
                self.assertEqual(client.received, AUTHENTICATED + CONNECTED)

    def test_nameDenied(self) -> None:
        """
        A name that no address could make allowed is not looked up.
        """
        client = self.dial(rules=RuleBook(Ruleset([Rule(1, False, names=("*.org",)), Rule(2)])))
        client.send(request(address=NAME))
        self.assertEqual(client.received, TWO)
        self.assertEqual(self.outbound.attempts, [])

    def test_objection(self) -> None:
        """
        The way out hears what speaks against addresses.
        """
        client = self.dial(rules=rulesFor(ALLOWED))
        client.send(request(address=NAME))
        objection = self.attempt.request.objection
        self.assertIsNone(objection(ip_address("203.0.113.1")))
        self.assertEqual(objection(ip_address("198.41.0.4")), "no rule allows it")

    def test_whereItLeads(self) -> None:
        """
        A way out that has not asked, and has connected to what is denied, changes nothing.
        """
        client = self.dial(rules=rulesFor("198.41.0.0/24"))
        client.send(request(address=NAME))
        remote = self.attempt.succeed()
        self.assertEqual(client.received, TWO)
        self.assertTrue(remote.isClosed)
        self.leave(client)
        self.assertOver()

    def test_otherProxy(self) -> None:
        """
        Through another proxy, a name is judged by what it is, and once and for all; an
        address is one.
        """
        self.outbound.isDirect = False
        for rules, address, allowed in (
            (RuleBook(), NAME, True),
            (RuleBook(), bytes.fromhex("01bb 03 09") + b"localhost", False),
            (RuleBook(), bytes.fromhex("01bb 01 0a000001"), False),
            (RuleBook(), bytes.fromhex("01bb 03 05") + b"127.1", False),
            (rulesFor("0.0.0.0/0"), NAME, False),
        ):
            client = self.dial(rules=rules)
            client.send(request(address=address))
            if allowed:
                self.outbound.attempts[-1].succeed()
                self.assertEqual(client.received, WELCOME + CONNECTED)
            else:
                self.assertEqual(client.received, TWO)

    def test_unspecified(self) -> None:
        """
        The unspecified address is no host, whatever rules say.
        """
        client = self.dial(rules=RuleBook(SAFE))
        client.send(request(address=bytes.fromhex("01bb 01 00000000")))
        self.assertEqual(client.received, WELCOME + failure(1))

    def test_connections(self) -> None:
        """
        A connection counts as long as it lasts, and what is under way counts as well.
        """
        rules = rulesFor(ALLOWED, connections=1, rate=1000)
        factory = self.makeFactory(rules=rules)
        first = self.network.accept(factory)
        first.send(CONNECT)
        for _ in range(2):
            second = self.network.accept(factory)
            second.send(CONNECT)
            self.assertEqual(second.take(), TWO)
            if self.attempt.done.called:
                break
            remote = self.attempt.succeed()
        conversation = first.protocol._conversation
        assert isinstance(conversation, Negotiation)
        assert conversation.rules is not None
        assert conversation.rules.verdict is not None
        self.assertEqual(conversation.rules.verdict.rate, 1000)
        self.assertIn("(rule 1 allows no more than 1 at a time)", self.lines[-1])
        remote.end()
        first.end()
        self.assertEqual(dict(rules.inUse), {})
        third = self.network.accept(factory)
        third.send(CONNECT)
        self.outbound.attempts[-1].succeed()
        self.assertEqual(third.received, WELCOME + CONNECTED)

    def test_forgotten(self) -> None:
        """
        Nothing is kept of the rules for a tunnel that counts against none.
        """
        client = self.network.accept(self.makeFactory(rules=rulesFor(ALLOWED)))
        client.send(CONNECT)
        self.assertIsNotNone(client.protocol.conversation.rules)
        self.attempt.succeed()
        self.assertEqual(client.take(), WELCOME + CONNECTED)
        self.assertIsNone(client.protocol.conversation.rules)

    def test_givenBack(self) -> None:
        """
        Whichever way a request ends, it counts no more.
        """
        rules = rulesFor(ALLOWED, connections=1)
        factory = self.makeFactory(rules=rules)
        for ending in ("refused", "client lost"):
            client = self.network.accept(factory)
            client.send(CONNECT)
            self.assertEqual(sum(rules.inUse.values()), 1)
            if ending == "refused":
                self.outbound.attempts[-1].fail(OSError())
                self.flushLoggedErrors(OSError)
            else:
                client.reset()
            self.assertEqual(dict(rules.inUse), {}, ending)


class BindTests(BindTestCase):
    """
    BIND.
    """

    def use(self, rules: RuleBook) -> Peer:
        """
        Ask for a port.
        """
        factory = self.bindingFactory()
        factory.rules = rules
        return self.ask(factory=factory)

    def test_denied(self) -> None:
        """
        Who may not have a port at all opens none.
        """
        client = self.use(RuleBook(Ruleset([Rule(1, commands=(Command.CONNECT,))])))
        self.assertEqual(client.received, failure(2))
        self.assertEqual(self.ports, [])

    def test_port(self) -> None:
        """
        Rules speak of the port that is opened.
        """
        for port, code in ((CHOSEN, 0), (CHOSEN, 2)):
            client = self.use(rulesFor(ALLOWED, ports=((port, port),)))
            if code:
                self.assertEqual(client.received, failure(2))
                self.assertTrue(self.ports[-1].isClosed)
            else:
                self.assertEqual(client.received, succeeded(CHOSEN))

    def test_hosts(self) -> None:
        """
        A host that no rule allows is refused, and the port waits for another one.
        """
        client = self.use(rulesFor(ALLOWED, connections=1))
        self.assertEqual(client.take(), succeeded(CHOSEN))
        self.assertTrue(self.visit(visitor=Visitor(("198.41.0.4", 443))).isClosed)
        self.assertEqual(client.received, b"")
        self.assertFalse(self.ports[0].isClosed)
        self.visit()
        self.assertEqual(client.received, HOST_CAME)

    def test_nobody(self) -> None:
        """
        If nobody else comes, the log says that somebody was refused.
        """
        client = self.use(rulesFor(ALLOWED))
        self.visit(visitor=Visitor(("198.41.0.4", 443)))
        self.network.elapse(121)
        self.assertTrue(client.received.endswith(failure(9)))
        self.assertIn("nobody connected within 120 s; of 1 hosts, none is allowed", self.lines[-1])

    def test_tooMany(self) -> None:
        """
        A host for which a rule has no connection left is not passed on.
        """
        rules = rulesFor(ALLOWED, connections=1)
        client = self.use(rules)
        client.take()
        rules.inUse[rules.ruleset.rules[0]] += 1
        self.assertTrue(self.visit().isClosed)
        self.assertEqual(client.received, failure(2))


class DatagramTests(AssociationsTestCase):
    """
    Datagrams.
    """

    def use(self, *rules: Rule) -> Any:
        """
        Begin an association.
        """
        return self.begin(RuleBook(Ruleset(rules)))

    def begin(self, book: RuleBook) -> Any:
        """
        Begin one, whose rules may change.
        """
        subject = Subject(None, ip_address("192.0.2.2"))
        return self.open(check=RuleCheck(book, subject, Command.UDP_ASSOCIATE))

    def test_addresses(self) -> None:
        """
        Each destination is judged, and what is denied is dropped and counted.
        """
        opened, relay = self.use(Rule(1, networks=(ip_network(ALLOWED),)))
        self.send(opened)
        self.assertEqual(len(relay.take()), 1)
        for _ in range(2):
            self.send(opened, remote=bytes.fromhex("0035 01 c6290004"))
        self.assertEqual(relay.take(), [])
        self.assertDropped(not_allowed=2)
        # What was denied is remembered, as what was allowed is.
        self.assertEqual(len(opened.headers), 2)

    def test_reload(self) -> None:
        """
        New rules hold for destinations that were allowed, and for those that were denied.
        """
        rules = Rule(1, networks=(ip_network(ALLOWED),)), Rule(1, names=("example.org",))
        book = RuleBook(Ruleset(rules[:1]))
        opened, relay = self.begin(book)
        name = named(b"example.org")
        for kept, allowed in ((rules[:1], True), (rules[1:], False), (rules[:1], True)):
            book.ruleset = Ruleset(kept)
            for remote, isAllowed in ((REMOTE, allowed), (name, not allowed)):
                self.send(opened, remote=remote)
                if self.associations.questions:
                    self.associations.answer("198.41.0.4")
                self.assertEqual(len(relay.take()), isAllowed, f"{kept} {remote!r}")
        self.assertEqual(len(opened.headers), 2)

    def test_full(self) -> None:
        """
        What a rule does not allow only because of what others do at the moment is asked
        anew each time, until it does.
        """
        rule = Rule(1, networks=(ip_network(ALLOWED),), connections=1)
        book = RuleBook(Ruleset([rule]))
        book.inUse[rule] += 1
        opened, relay = self.begin(book)
        name = named(b"example.org")
        self.send(opened)
        self.send(opened, remote=name)
        self.associations.answer("203.0.113.1")
        self.assertEqual(relay.take(), [])
        self.assertDropped(not_allowed=2)
        book.inUse.clear()
        self.send(opened)
        self.send(opened, remote=name)
        self.assertEqual(len(relay.take()), 2)

    def test_names(self) -> None:
        """
        A name leads to the first of its addresses that is allowed; one lookup is all there
        is, and what comes of it goes for each port.
        """
        network = (ip_network("198.41.0.0/24"),)
        opened, relay = self.use(Rule(1, networks=network, ports=((53, 53),)))
        self.send(opened, remote=named(b"example.org"))
        self.associations.answer("10.0.0.1", "198.41.0.4")
        ((_, place),) = relay.take()
        self.assertEqual(place[0], "198.41.0.4")
        # Another answer would make no difference: nobody asks.
        self.send(opened, remote=named(b"example.org"))
        self.assertEqual((len(relay.take()), self.associations.questions), (1, []))

    def test_rebinding(self) -> None:
        """
        A name that leads to a private address leads nowhere.
        """
        opened, relay = self.use(Rule(1))
        self.send(opened, remote=named(b"example.org"))
        self.associations.answer("10.0.0.1")
        self.assertEqual(relay.take(), [])
        self.assertDropped(not_allowed=1)

    def test_deniedName(self) -> None:
        """
        A name that is denied is not looked up.
        """
        opened, _ = self.use(Rule(1, False, names=("*.org",)), Rule(2))
        self.send(opened, remote=named(b"example.org"))
        self.assertEqual(self.associations.questions, [])
        self.assertDropped(not_allowed=1)


class AssociateTests(ProxyTestCase):
    """
    UDP ASSOCIATE.
    """

    def test_denied(self) -> None:
        """
        Who may send nothing anywhere gets no association.
        """
        associations = MemoryAssociations(self.network)
        associations.addClientPort(1080)
        rules = RuleBook(Ruleset([Rule(1, commands=(Command.CONNECT,))]))
        client = self.dial(associations=associations, rules=rules)
        client.send(request(command=3, address=bytes.fromhex("0000 01 00000000")))
        self.assertEqual(client.received, TWO)


class SubjectTests(ProxyTestCase):
    """
    L{subjectOf} and L{certificateNames}.
    """

    def test_TLS(self) -> None:
        """
        TLS is seen, and that a client shows no certificate.
        """
        factory = self.makeFactory()
        folder = Path(self.mktemp())
        folder.mkdir()
        peer = TLSServer(folder, self.network).accept(factory)
        (protocol,) = factory.connections()
        subject = subjectOf(protocol.conversation)  # type: ignore[arg-type]
        self.assertEqual((subject.tls, subject.user, subject.isLocal), (True, None, False))
        self.assertEqual(subject.certificateNames(), ())
        peer.peer.reset()

    def test_names(self) -> None:
        """
        The names of a certificate are the common one and the DNS names; one that cannot be
        read, or is not there, has none.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        certificate = x509.load_pem_x509_certificate(Authority(folder).server().path.read_bytes())

        class Shown:
            """
            A transport with a certificate.
            """

            def getPeerCertificate(self) -> Any:
                """
                Give it.
                """
                return crypto.X509.from_cryptography(certificate)

        self.assertIn("localhost", certificateNames(Shown()))
        self.assertEqual(certificateNames(object()), ())

    def test_unreadable(self) -> None:
        """
        A certificate that nobody can read has no names, whatever is wrong with it.
        """

        class Unreadable:
            """
            A transport with such a certificate, and the certificate.
            """

            def __init__(self, error: Exception) -> None:
                self.error = error

            def getPeerCertificate(self) -> Any:
                """
                Give it.
                """
                return self

            def to_cryptography(self) -> Any:
                """
                Fail.
                """
                raise self.error

        identifier = x509.SubjectAlternativeName.oid
        for error in (
            ValueError("x"),
            x509.DuplicateExtension("x", identifier),
            x509.UnsupportedGeneralNameType("x"),
        ):
            self.assertEqual(certificateNames(Unreadable(error)), ())


class OwnPortsTests(SynchronousTestCase):
    """
    L{OwnPorts}.
    """

    def test_holds(self) -> None:
        """
        An address of ours is one that is listened on, or any of this machine if all are.
        """

        here = {ip_address("127.0.0.1")}
        self.patch(serverRules, "isThisMachine", here.__contains__)

        class Port:
            """
            A port.
            """

            def __init__(self, host: IAddress) -> None:
                self.getHost = lambda: host

        for own, host, port, expected in (
            ("192.0.2.1", "192.0.2.1", 1080, True),
            ("192.0.2.1", "192.0.2.1", 1081, False),
            ("192.0.2.1", "192.0.2.2", 1080, False),
            ("0.0.0.0", "127.0.0.1", 1080, True),
            ("::", "127.0.0.1", 1080, True),
            ("0.0.0.0", "192.0.2.2", 1080, False),
            ("192.0.2.1", "203.0.113.9", 1080, True),
        ):
            ports: Any = [Port(UNIXAddress(None)), Port(IPv4Address("TCP", own, 1080))]
            owns = OwnPorts(ports, [ip_address("203.0.113.9")])
            self.assertIs(owns.holds(ip_address(host), port), expected, f"{own} {host}")

    def test_places(self) -> None:
        """
        So it is where something else of ours listens, once that is known.
        """
        places: list[IAddress] = []
        owns = OwnPorts([], (), places)
        self.assertFalse(owns.holds(ip_address("127.0.0.1"), 8080))
        places += [UNIXAddress(None), IPv4Address("TCP", "127.0.0.1", 8080)]
        self.assertTrue(owns.holds(ip_address("127.0.0.1"), 8080))
