"""
Tests of L{socks6.machine.client}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.client import TRANSITIONS, ClientConnection, ClientState, _Step
from socks6.machine.events import (
    Authenticated,
    AuthenticationRefused,
    CredentialsDemanded,
    OperationReplied,
)
from socks6.values.codes import AuthenticationMethod, Command, ReplyCode
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import (
    AuthenticationMethods,
    OptionList,
    SessionInvalid,
    UnknownOption,
)
from socks6.wire import DRAFT_06
from socks6.wire.errors import (
    MalformedMessage,
    NotSOCKS6,
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    UsageError,
    VersionMismatch,
)
from tests.machine.drivers import consume, octetwise
from tests.machine.samples import (
    ACCEPTED,
    CONFIRMED,
    CREDENTIALS,
    DEMAND,
    FAILED,
    OCTETS,
    OFFERING,
    PLAIN,
    REFUSED,
    RIGHT,
    SUCCEEDED,
    TARGET,
    TOO_MANY_OPTIONS,
    WRONG,
    conversations,
    offering,
    routes,
)
from tests.machine.watch import WatchedCodec
from tests.raising import errorOf


def hear(octets: bytes) -> Callable[[ClientConnection], list[object]]:
    """
    Make the step that receives octets.
    """
    return lambda machine: list(machine.receive(octets))


def ask(command: Command) -> Callable[[ClientConnection], object]:
    """
    Make the step that sends a request.
    """
    return lambda machine: machine.open(offering(command=command))


#: Step -> the command for which alone it can happen.
_OF_BIND = dict.fromkeys([_Step.BIND_AUTHENTICATED], Command.BIND)
_OF_ASSOCIATE = dict.fromkeys(
    [_Step.ASSOCIATED, _Step.INITIALIZED, _Step.CONFIRMED], Command.UDP_ASSOCIATE
)
_ONLY_FOR = {**_OF_BIND, **_OF_ASSOCIATE}

#: Command -> the step that another one stands for.
_NEVER_FOR = {Command.BIND: _Step.AUTHENTICATED, Command.UDP_ASSOCIATE: _Step.SUCCEEDED}

#: Command -> what can happen to a request that has it.
COMMAND_STEPS: Mapping[Command, set[_Step]] = {
    command: {
        step
        for step in _Step
        if _ONLY_FOR.get(step, command) is command and step is not _NEVER_FOR.get(command)
    }
    for command in (Command.CONNECT, Command.BIND, Command.UDP_ASSOCIATE)
}

#: The rows of the table that are about a request with a command.
TABLES = {
    command: {row: target for row, target in TRANSITIONS.items() if row[1] in steps}
    for command, steps in COMMAND_STEPS.items()
}

#: What we do, besides the request.
CREDENTIALS_STEP: Mapping[_Step, Callable[[ClientConnection], object]] = {
    _Step.CREDENTIALS_SENT: lambda machine: machine.authenticate(CREDENTIALS),
}

#: What the proxy does.
PROXY_STEPS: Mapping[_Step, bytes] = {
    _Step.AUTHENTICATED: OCTETS[ACCEPTED],
    _Step.BIND_AUTHENTICATED: OCTETS[ACCEPTED],
    _Step.CREDENTIALS_DEMANDED: OCTETS[DEMAND],
    _Step.REFUSED: OCTETS[REFUSED],
    _Step.CREDENTIALS_ANSWERED: OCTETS[RIGHT],
    _Step.SUCCEEDED: OCTETS[SUCCEEDED],
    _Step.ASSOCIATED: OCTETS[SUCCEEDED],
    _Step.INITIALIZED: bytes.fromhex("f0e0d0c0"),
    _Step.CONFIRMED: bytes.fromhex("00"),
    _Step.FAILED: OCTETS[FAILED],
}

#: Command -> what is done for each step.
STEPS: Mapping[Command, Mapping[_Step, Callable[[ClientConnection], object]]] = {
    command: {
        _Step.REQUEST_SENT: ask(command),
        **CREDENTIALS_STEP,
        **{step: hear(octets) for step, octets in PROXY_STEPS.items() if step in steps},
    }
    for command, steps in COMMAND_STEPS.items()
}

OUR_STEPS = (_Step.REQUEST_SENT, _Step.CREDENTIALS_SENT)

ROUTES = {command: routes(table, ClientState.IDLE) for command, table in TABLES.items()}

#: States in which the proxy may send what it wants, or nothing.
DONE = (ClientState.OPEN, ClientState.CLOSED)

#: States in which any octets may be what is waited for, or the rest of it.
NAMED = (ClientState.ASSOCIATION, ClientState.CONFIRMATION)

#: What a proxy sends that needs no authentication, and one that does.
STRAIGHT = OCTETS[ACCEPTED] + OCTETS[SUCCEEDED]
EXCHANGE = OCTETS[DEMAND] + OCTETS[RIGHT] + OCTETS[CONFIRMED] + OCTETS[SUCCEEDED]


def clientIn(state: ClientState, command: Command | None = None) -> ClientConnection:
    """
    Make a machine and lead it to a state.

    @param command: That of its request; L{None}: any that leads there.
    """
    if command is None:
        command = next(each for each, found in ROUTES.items() if state in found)
    machine = ClientConnection(DRAFT_06)
    for step in ROUTES[command][state]:
        STEPS[command][step](machine)
    return machine


def hearToTheEnd(machine: ClientConnection, octets: bytes, events: list[object]) -> None:
    """
    Feed a machine with the last that comes, and note its events.
    """
    events.extend(machine.receive(octets))
    machine.endOfInput()


class StateTableTests(SynchronousTestCase):
    """
    The machine does what its table says, and the table what the draft says.
    """

    def test_conversations(self) -> None:
        """
        A conversation goes one of these ways: there is at most one demand, and
        after a reply that is final comes nothing.  To BIND there are two Operation
        Replies, unless the first one is a failure, and to UDP ASSOCIATE one, with the
        association's name and the confirmation behind it.
        """
        exchange = "REQUEST_SENT CREDENTIALS_DEMANDED CREDENTIALS_SENT CREDENTIALS_ANSWERED"
        for command, ends in {
            Command.CONNECT: ("AUTHENTICATED SUCCEEDED", "AUTHENTICATED FAILED"),
            Command.BIND: (
                "BIND_AUTHENTICATED SUCCEEDED SUCCEEDED",
                "BIND_AUTHENTICATED SUCCEEDED FAILED",
                "BIND_AUTHENTICATED FAILED",
            ),
            Command.UDP_ASSOCIATE: (
                "AUTHENTICATED ASSOCIATED INITIALIZED CONFIRMED",
                "AUTHENTICATED FAILED",
            ),
        }.items():
            self.assertEqual(
                sorted(conversations(TABLES[command], ClientState.IDLE)),
                sorted(
                    f"{way} {end}"
                    for way in ("REQUEST_SENT", exchange)
                    for end in ("REFUSED", *ends)
                ),
                command.name,
            )

    def test_everyState(self) -> None:
        """
        Each state can be reached, and the machine gets there.
        """
        for command, found in ROUTES.items():
            for state in found:
                self.assertIs(clientIn(state, command).state, state, command.name)
        self.assertEqual({state for found in ROUTES.values() for state in found}, set(ClientState))

    def test_everyRow(self) -> None:
        """
        Each step in the table leads to the state that stands there.
        """
        for command, table in TABLES.items():
            for (state, step), target in table.items():
                if state in ROUTES[command]:
                    machine = clientIn(state, command)
                    STEPS[command][step](machine)
                    case = f"{command.name}: {step.name} in state {state.name}"
                    self.assertIs(machine.state, target, case)

    def test_everyStep(self) -> None:
        """
        No step is left out of these tests.
        """
        self.assertEqual({step for steps in STEPS.values() for step in steps}, set(_Step))

    def test_outOfTurn(self) -> None:
        """
        A step of ours that the table does not have is our mistake, and changes
        nothing.
        """
        for command, steps in STEPS.items():
            for state, step in product(ROUTES[command], OUR_STEPS):
                if (state, step) not in TRANSITIONS:
                    case = f"{command.name}: {step.name} in state {state.name}"
                    machine = clientIn(state, command)
                    self.assertIsNotNone(errorOf(UsageError, steps[step], machine), case)
                    self.assertIs(machine.state, state, case)

    def test_proxyOutOfTurn(self) -> None:
        """
        A step of the proxy that the table does not have is never taken; it is
        the proxy's mistake, known when its input ends at the latest.
        """
        for command, steps in STEPS.items():
            for state, step in product(set(ROUTES[command]) - set(DONE), set(PROXY_STEPS)):
                if step not in steps or (state, step) in TRANSITIONS or state in NAMED:
                    continue
                case = f"{command.name}: {step.name} in state {state.name}"
                machine = clientIn(state, command)
                events: list[object] = []
                error = errorOf(PeerError, hearToTheEnd, machine, PROXY_STEPS[step], events)
                self.assertIsNotNone(error, case)
                self.assertEqual(events, [], case)
                self.assertIs(machine.state, state, case)

    def test_proxyWhenDone(self) -> None:
        """
        After the last reply nothing that the proxy sends is looked at.
        """
        for state, octets in product(DONE, [*PROXY_STEPS.values(), b"SSH-2.0", b"\x05"]):
            machine = clientIn(state)
            self.assertEqual(list(machine.receive(octets)), [], state.name)
            machine.endOfInput()
            self.assertIs(machine.state, state)


class SendTests(SynchronousTestCase):
    """
    The client says what it wants and who it is.
    """

    def test_open(self) -> None:
        """
        The request is written as the draft spells it.
        """
        for request in (PLAIN, OFFERING):
            self.assertEqual(ClientConnection(DRAFT_06).open(request), OCTETS[request])

    def test_authenticate(self) -> None:
        """
        So are the credentials.
        """
        machine = clientIn(ClientState.CREDENTIALS)
        self.assertEqual(machine.authenticate(CREDENTIALS), OCTETS[CREDENTIALS])

    def test_tooManyOptions(self) -> None:
        """
        A request whose options do not fit is not sent: another can be.
        """
        machine = ClientConnection(DRAFT_06)
        request = Request(1, TARGET, TOO_MANY_OPTIONS)
        self.assertIsNotNone(errorOf(ValueError, machine.open, request))
        self.assertIs(machine.state, ClientState.IDLE)
        self.assertEqual(machine.open(PLAIN), OCTETS[PLAIN])


class ReceiveTests(SynchronousTestCase):
    """
    Replies are found in the stream, however it is cut.
    """

    def test_everySplit(self) -> None:
        """
        Replies cut at any octet yield the same events, and data behind them
        the same data.
        """
        octets = STRAIGHT + b"banner"
        for cut in range(len(octets) + 1):
            transcript = consume(PLAIN, [octets[:cut], octets[cut:]])
            self.assertEqual(
                transcript.events,
                [Authenticated(ACCEPTED), OperationReplied(SUCCEEDED)],
                f"cut at {cut}",
            )
            self.assertEqual(transcript.data, b"banner", f"cut at {cut}")

    def test_everySplitOfAnExchange(self) -> None:
        """
        The same holds where credentials are demanded.
        """
        octets = EXCHANGE + b"banner"
        for cut in range(len(octets) + 1):
            transcript = consume(OFFERING, [octets[:cut], octets[cut:]])
            self.assertEqual(
                transcript.events,
                [CredentialsDemanded(), Authenticated(CONFIRMED), OperationReplied(SUCCEEDED)],
                f"cut at {cut}",
            )
            self.assertEqual(transcript.sent, OCTETS[OFFERING] + OCTETS[CREDENTIALS])
            self.assertEqual(transcript.data, b"banner", f"cut at {cut}")

    def test_everySplitOfBinding(self) -> None:
        """
        BIND has two Operation Replies, and what stands behind the second one is what
        the host has sent.
        """
        octets = STRAIGHT + OCTETS[SUCCEEDED] + b"banner"
        for cut in range(len(octets) + 1):
            transcript = consume(offering(command=Command.BIND), [octets[:cut], octets[cut:]])
            self.assertEqual(
                transcript.events,
                [Authenticated(ACCEPTED), *[OperationReplied(SUCCEEDED)] * 2],
                f"cut at {cut}",
            )
            self.assertEqual(transcript.data, b"banner", f"cut at {cut}")

    def test_octetByOctet(self) -> None:
        """
        One octet at a time will do.
        """
        for request, octets in {PLAIN: STRAIGHT, OFFERING: EXCHANGE}.items():
            self.assertEqual(consume(request, octetwise(octets)), consume(request, [octets]))

    def test_eventWithLastOctet(self) -> None:
        """
        An event comes with the last octet of its reply.
        """
        machine = clientIn(ClientState.VERDICT)
        *most, last = octetwise(OCTETS[ACCEPTED])
        for octet in most:
            self.assertEqual(list(machine.receive(octet)), [])
        self.assertEqual(list(machine.receive(last)), [Authenticated(ACCEPTED)])

    def test_takenAtOnce(self) -> None:
        """
        Octets are taken when they are handed in, even if nobody asks for the
        events.
        """
        machine = clientIn(ClientState.VERDICT)
        machine.receive(OCTETS[ACCEPTED][:4])
        self.assertEqual(list(machine.receive(OCTETS[ACCEPTED][4:])), [Authenticated(ACCEPTED)])

    def test_beforeRequest(self) -> None:
        """
        Replies that come before the request are read when it has been sent.
        """
        machine = ClientConnection(DRAFT_06)
        self.assertEqual(list(machine.receive(OCTETS[ACCEPTED])), [])
        machine.open(PLAIN)
        self.assertEqual(list(machine.receive()), [Authenticated(ACCEPTED)])

    def test_answeredLater(self) -> None:
        """
        Credentials that come after the event loop lead to the same as
        credentials that come in it.
        """
        octets = EXCHANGE + b"banner"
        self.assertEqual(consume(OFFERING, [octets], later=True), consume(OFFERING, [octets]))

    def test_waitsForCredentials(self) -> None:
        """
        Until the credentials are sent nothing behind the demand is read.
        """
        machine = clientIn(ClientState.VERDICT)
        self.assertEqual(list(machine.receive(EXCHANGE)), [CredentialsDemanded()])
        self.assertEqual(list(machine.receive()), [])
        machine.authenticate(CREDENTIALS)
        self.assertEqual(
            list(machine.receive()), [Authenticated(CONFIRMED), OperationReplied(SUCCEEDED)]
        )

    def test_constantTime(self) -> None:
        """
        A reply that trickles in costs one look at a few octets each time,
        however many are there.
        """
        codec = WatchedCodec()
        big = OptionList([UnknownOption(0xE0, bytes(5000))])
        replies = (
            AuthenticationReply(ACCEPTED.result, ACCEPTED.method, big),
            OperationReply(ReplyCode.SUCCESS, TARGET, big),
        )
        octets = b"".join(
            (
                OCTETS[DEMAND],
                OCTETS[RIGHT],
                DRAFT_06.encodeAuthenticationReply(replies[0]),
                DRAFT_06.encodeOperationReply(replies[1]),
            )
        )
        transcript = consume(OFFERING, octetwise(octets), codec=codec)
        self.assertEqual(len(transcript.events), 3)
        # With a reply's last octet comes a first look for the next one.
        self.assertLessEqual(len(codec.looks), len(octets) + 3)
        self.assertGreater(max(look.held for look in codec.looks), 5000)
        self.assertLessEqual(max(look.read for look in codec.looks), 8)


class AuthenticationTests(SynchronousTestCase):
    """
    The proxy lets us in, or does not, or wants to know more.
    """

    def test_refused(self) -> None:
        """
        A refusal is the end, at once or after credentials.
        """
        for request, octets in {
            PLAIN: OCTETS[REFUSED],
            OFFERING: OCTETS[DEMAND] + OCTETS[WRONG] + OCTETS[REFUSED],
        }.items():
            transcript = consume(request, [octets + OCTETS[SUCCEEDED]])
            self.assertEqual(transcript.events[-1], AuthenticationRefused(REFUSED))
            self.assertIs(transcript.state, ClientState.CLOSED)
            self.assertIsNone(transcript.error)

    def test_sessionInvalid(self) -> None:
        """
        A refusal keeps its options: they may tell why.
        """
        octets = bytes.fromhex("06 00 01 ff 0004  04 0004 05")
        reply = AuthenticationReply(REFUSED.result, REFUSED.method, OptionList([SessionInvalid()]))
        self.assertEqual(consume(PLAIN, [octets]).events, [AuthenticationRefused(reply)])

    def test_demand(self) -> None:
        """
        A method that was offered may be demanded.
        """
        transcript = consume(OFFERING, [OCTETS[DEMAND]])
        self.assertEqual(transcript.events, [CredentialsDemanded()])
        self.assertIs(transcript.state, ClientState.CREDENTIALS_CHECK)

    def test_demandNotOffered(self) -> None:
        """
        A method that was not offered may not, however well we know it.
        """
        requests = {
            "no methods": PLAIN,
            "another method": Request(
                1, TARGET, OptionList([AuthenticationMethods(0, (AuthenticationMethod.GSSAPI,))])
            ),
            "in a second option": Request(
                1,
                TARGET,
                OptionList([AuthenticationMethods(0, ()), AuthenticationMethods(0, (2,))]),
            ),
            "credentials in the request": Request(1, TARGET, OptionList([CREDENTIALS])),
        }
        for name, request in requests.items():
            transcript = consume(request, [OCTETS[DEMAND]])
            self.assertEqual(transcript.events, [], name)
            self.assertIs(transcript.error, MalformedMessage, name)

    def test_demandWithoutExchange(self) -> None:
        """
        A method that we have no exchange for may not be demanded, even if it
        was offered.
        """
        exchangeless = set(range(256)) - {
            AuthenticationMethod.USERNAME_PASSWORD,
            AuthenticationMethod.NONE_ACCEPTABLE,
        }
        for method in exchangeless:
            request = Request(1, TARGET, OptionList([AuthenticationMethods(0, (method,))]))
            transcript = consume(request, [bytes([6, 0, 1, method, 0, 0])])
            self.assertEqual(transcript.events, [], f"method {method}")
            self.assertIs(transcript.error, MalformedMessage, f"method {method}")

    def test_secondDemand(self) -> None:
        """
        Credentials are demanded once.
        """
        transcript = consume(OFFERING, [OCTETS[DEMAND] + OCTETS[RIGHT] + OCTETS[DEMAND]])
        self.assertEqual(transcript.events, [CredentialsDemanded()])
        self.assertIs(transcript.error, MalformedMessage)

    def test_everyStatus(self) -> None:
        """
        What counts is the Authentication Reply behind the method's own answer.
        """
        for status, reply in product(range(256), (CONFIRMED, REFUSED)):
            octets = OCTETS[DEMAND] + bytes([1, status]) + OCTETS[reply]
            (_, event) = consume(OFFERING, [octets]).events
            self.assertIs(
                type(event),
                Authenticated if reply is CONFIRMED else AuthenticationRefused,
                f"status {status}",
            )


class OperationTests(SynchronousTestCase):
    """
    The operation succeeds, or does not.
    """

    def test_everyReplyCode(self) -> None:
        """
        Only success opens the connection; a code that we do not know keeps its
        number.
        """
        for code in range(256):
            octets = bytes([code]) + OCTETS[FAILED][1:]
            transcript = consume(PLAIN, [OCTETS[ACCEPTED] + octets])
            self.assertEqual(
                transcript.events[1:], [OperationReplied(OperationReply(code, FAILED.address))]
            )
            expected = ClientState.CLOSED if code else ClientState.OPEN
            self.assertIs(transcript.state, expected, f"reply code {code}")

    def test_data(self) -> None:
        """
        What stands behind the replies is handed over once, and so is what
        comes later.
        """
        machine = clientIn(ClientState.RESULT)
        list(machine.receive(OCTETS[SUCCEEDED] + b"one"))
        self.assertEqual(machine.takeData(), b"one")
        self.assertEqual(machine.takeData(), b"")
        list(machine.receive(b"two"))
        list(machine.receive(b"three"))
        self.assertEqual(machine.takeData(), b"twothree")

    def test_dataLooksLikeReply(self) -> None:
        """
        Data is data, even if it looks like a reply.
        """
        for octets in PROXY_STEPS.values():
            transcript = consume(PLAIN, [STRAIGHT + octets])
            self.assertEqual(len(transcript.events), 2)
            self.assertEqual(transcript.data, octets)

    def test_dataInEveryOtherState(self) -> None:
        """
        Before the replies are complete, and after a failure, no data can be
        had.
        """
        for state in set(ClientState) - {ClientState.OPEN}:
            self.assertIsNotNone(errorOf(UsageError, clientIn(state).takeData), state.name)


#: State -> what is wrong -> octets, the last of which is the first that is
#: wrong; the error.
BROKEN: Mapping[ClientState, Mapping[str, tuple[str, type[PeerError]]]] = {
    ClientState.VERDICT: {
        "SOCKS 5": ("05", NotSOCKS6),
        "SOCKS 4": ("00", NotSOCKS6),
        "HTTP": ("48", NotSOCKS6),
        "another minor version": ("06 01", VersionMismatch),
        "unknown type": ("06 00 02", MalformedMessage),
        "16385 octets of options": ("06 00 00 00 4001", MalformedMessage),
        "short option": ("06 00 00 00 0003 e0 0002", MalformedMessage),
        "option past the end": ("06 00 00 00 0003 e0 0004", MalformedMessage),
        "stray octet": ("06 00 00 00 0001 e0", MalformedMessage),
    },
    ClientState.CREDENTIALS_CHECK: {
        "version 0": ("00", MalformedMessage),
        "version 5": ("05", MalformedMessage),
        "version 6": ("06", MalformedMessage),
    },
    ClientState.FINAL_VERDICT: {
        "SOCKS 5": ("05", NotSOCKS6),
        "another minor version": ("06 01", VersionMismatch),
        "unknown type": ("06 00 ff", MalformedMessage),
    },
    ClientState.BINDING: {
        "unknown address type": ("00 0000 02", UnknownAddressType),
        "short option": ("00 0000 01 00000000 0003 e0 0000", MalformedMessage),
    },
    ClientState.CONFIRMATION: {
        "another octet": ("01", MalformedMessage),
    },
    ClientState.RESULT: {
        "unknown address type": ("00 0000 02", UnknownAddressType),
        "failure with an unknown address type": ("05 0000 00", UnknownAddressType),
        "empty domain name": ("00 0000 03 00", MalformedMessage),
        "NUL in a domain name": ("00 0000 03 01 00 0000", MalformedMessage),
        "16385 octets of options": ("00 0000 01 00000000 4001", MalformedMessage),
        "short option": ("00 0000 01 00000000 0003 e0 0000", MalformedMessage),
        "option past the end": ("00 0000 01 00000000 0003 e0 ffff", MalformedMessage),
        "stray octets": ("00 0000 01 00000000 0002 e0 00", MalformedMessage),
    },
}


class BrokenReplyTests(SynchronousTestCase):
    """
    A proxy that breaks the protocol is found out.
    """

    def test_everyReadingState(self) -> None:
        """
        There are broken replies here for each state in which one is read, but for that
        in which any octets are right.
        """
        reading = {state for state, step in TRANSITIONS if step in PROXY_STEPS}
        self.assertEqual(set(BROKEN), reading - {ClientState.ASSOCIATION})

    def test_broken(self) -> None:
        """
        A reply is found broken with the first wrong octet, neither earlier nor
        later, and yields no event.
        """
        for state, cases in BROKEN.items():
            for name, (octets, expected) in cases.items():
                case = f"{name} in state {state.name}"
                machine = clientIn(state)
                *fine, wrong = octetwise(bytes.fromhex(octets))
                for octet in fine:
                    self.assertEqual(list(machine.receive(octet)), [], case)
                error = errorOf(PeerError, hear(wrong), machine)
                self.assertIs(type(error), expected, case)
                self.assertIs(machine.state, state, case)

    def test_brokenAtOnce(self) -> None:
        """
        A broken reply that comes in one piece, with more behind it, ends in the
        same error.
        """
        for state, cases in BROKEN.items():
            for name, (octets, expected) in cases.items():
                wrong = bytes.fromhex(octets) + bytes(300)
                error = errorOf(PeerError, hear(wrong), clientIn(state))
                self.assertIs(type(error), expected, f"{name} in state {state.name}")


class EndOfInputTests(SynchronousTestCase):
    """
    The proxy may stop sending after its last reply.
    """

    def test_everyState(self) -> None:
        """
        The end is an error until the replies are complete, and changes nothing.
        """
        for state in ClientState:
            machine = clientIn(state)
            error = errorOf(PeerError, machine.endOfInput)
            expected = type(None) if state in DONE else UnexpectedEnd
            self.assertIs(type(error), expected, state.name)
            self.assertIs(machine.state, state)

    def test_everyTruncation(self) -> None:
        """
        Replies that end before their last octet are incomplete; only right
        behind the version the end means that it does not match.
        """
        for request, octets in {PLAIN: STRAIGHT, OFFERING: EXCHANGE}.items():
            for size in range(len(octets)):
                expected = VersionMismatch if size == 2 else UnexpectedEnd
                transcript = consume(request, [octets[:size]])
                self.assertIs(transcript.error, expected, f"{size} octets")

    def test_versionMismatchReply(self) -> None:
        """
        A Version Mismatch Reply is known when nothing follows it, and not
        before.
        """
        for pieces in ([b"\x06\x00"], [b"\x06", b"\x00"]):
            machine = clientIn(ClientState.VERDICT)
            for piece in pieces:
                self.assertEqual(list(machine.receive(piece)), [])
            self.assertIsInstance(errorOf(PeerError, machine.endOfInput), VersionMismatch)

    def test_versionMismatchReplyTooLate(self) -> None:
        """
        After the first reply there is no Version Mismatch Reply.
        """
        others = {ClientState.VERDICT, ClientState.CREDENTIALS_CHECK, ClientState.CONFIRMATION}
        for state in set(ClientState) - others:
            machine = clientIn(state)
            self.assertEqual(list(machine.receive(b"\x06\x00")), [], state.name)
            error = errorOf(PeerError, machine.endOfInput)
            self.assertIsNot(type(error), VersionMismatch, state.name)
