"""
Tests of L{socks6.machine.server}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.events import CredentialsReceived, RequestReceived
from socks6.machine.server import (
    TRANSITIONS,
    ServerConnection,
    ServerMessage,
    ServerState,
    _Step,
)
from socks6.values.address import Address, DomainName
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import AuthenticationMethods, OptionList, UnknownOption
from socks6.wire import DRAFT_06
from socks6.wire.errors import (
    MalformedMessage,
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    UsageError,
    VersionMismatch,
)
from tests.machine.drivers import EXCHANGE, WELCOME, octetwise, serve
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


def say(message: ServerMessage) -> Callable[[ServerConnection], object]:
    """
    Make the step that sends a message.
    """
    return lambda machine: machine.send(message)


def hear(octets: bytes) -> Callable[[ServerConnection], list[object]]:
    """
    Make the step that receives octets.
    """
    return lambda machine: list(machine.receive(octets))


#: Command -> what can happen to a request that has it.
COMMAND_STEPS: Mapping[Command, set[_Step]] = {
    Command.CONNECT: set(_Step) - {_Step.BIND_AUTHENTICATED},
    Command.BIND: set(_Step) - {_Step.AUTHENTICATED},
}

#: The rows of the table that are about a request with a command.
TABLES = {
    command: {row: target for row, target in TRANSITIONS.items() if row[1] in steps}
    for command, steps in COMMAND_STEPS.items()
}

#: What the client does, besides the request.
CREDENTIALS_STEP = {_Step.CREDENTIALS_RECEIVED: OCTETS[CREDENTIALS]}

#: What we do.
OUR_STEPS: Mapping[_Step, Callable[[ServerConnection], object]] = {
    _Step.PEER_FAILED: lambda machine: machine.answer(MalformedMessage(), anonymous=False),
    _Step.AUTHENTICATED: say(ACCEPTED),
    _Step.BIND_AUTHENTICATED: say(ACCEPTED),
    _Step.CREDENTIALS_DEMANDED: say(DEMAND),
    _Step.REFUSED: say(REFUSED),
    _Step.CREDENTIALS_ANSWERED: say(RIGHT),
    _Step.SUCCEEDED: say(SUCCEEDED),
    _Step.FAILED: say(FAILED),
}


def clientSteps(command: Command) -> Mapping[_Step, bytes]:
    """
    Give what a client says whose request has a command.
    """
    request = DRAFT_06.encodeRequest(offering(command=command))
    return {_Step.REQUEST_RECEIVED: request, **CREDENTIALS_STEP}


#: Command -> what is done for each step.
STEPS: Mapping[Command, Mapping[_Step, Callable[[ServerConnection], object]]] = {
    command: {
        **{step: hear(octets) for step, octets in clientSteps(command).items()},
        **{step: act for step, act in OUR_STEPS.items() if step in steps},
    }
    for command, steps in COMMAND_STEPS.items()
}

ROUTES = {command: routes(table, ServerState.REQUEST) for command, table in TABLES.items()}

#: States in which the client's next message is read.
READING = (ServerState.REQUEST, ServerState.CREDENTIALS)

#: States in which application data can be told from the rest.
TAKING = (ServerState.BINDING, ServerState.RESULT, ServerState.OPEN)


def serverIn(state: ServerState, command: Command | None = None) -> ServerConnection:
    """
    Make a machine and lead it to a state.

    @param command: That of its request; L{None}: any that leads there.
    """
    if command is None:
        command = next(each for each, found in ROUTES.items() if state in found)
    machine = ServerConnection(DRAFT_06)
    for step in ROUTES[command][state]:
        STEPS[command][step](machine)
    return machine


def errorTypes(base: type[PeerError] = PeerError) -> Iterator[type[PeerError]]:
    """
    Find all errors that can be the peer's.
    """
    yield base
    for error in base.__subclasses__():
        yield from errorTypes(error)


class StateTableTests(SynchronousTestCase):
    """
    The machine does what its table says, and the table what the draft says.
    """

    def test_conversations(self) -> None:
        """
        A conversation goes one of these ways: there is at most one demand, and
        after a reply that is final comes nothing.  To BIND there are two Operation
        Replies, unless the first one is a failure.
        """
        exchange = "REQUEST_RECEIVED CREDENTIALS_DEMANDED CREDENTIALS_RECEIVED CREDENTIALS_ANSWERED"
        others = [
            "PEER_FAILED",
            "REQUEST_RECEIVED REFUSED",
            "REQUEST_RECEIVED CREDENTIALS_DEMANDED PEER_FAILED",
            f"{exchange} REFUSED",
        ]
        for command, successes in {
            Command.CONNECT: ("AUTHENTICATED SUCCEEDED", "AUTHENTICATED FAILED"),
            Command.BIND: (
                "BIND_AUTHENTICATED SUCCEEDED SUCCEEDED",
                "BIND_AUTHENTICATED SUCCEEDED FAILED",
                "BIND_AUTHENTICATED FAILED",
            ),
        }.items():
            ways = [f"{way} {end}" for way in ("REQUEST_RECEIVED", exchange) for end in successes]
            self.assertEqual(
                sorted(conversations(TABLES[command], ServerState.REQUEST)),
                sorted(others + ways),
                command.name,
            )

    def test_everyState(self) -> None:
        """
        Each state can be reached, and the machine gets there.
        """
        for command, found in ROUTES.items():
            for state in found:
                self.assertIs(serverIn(state, command).state, state, command.name)
        self.assertEqual({state for found in ROUTES.values() for state in found}, set(ServerState))

    def test_everyRow(self) -> None:
        """
        Each step in the table leads to the state that stands there.
        """
        for command, table in TABLES.items():
            for (state, step), target in table.items():
                if state in ROUTES[command]:
                    machine = serverIn(state, command)
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
            for state, step in product(ROUTES[command], set(OUR_STEPS) & set(steps)):
                if (state, step) not in TRANSITIONS:
                    case = f"{command.name}: {step.name} in state {state.name}"
                    machine = serverIn(state, command)
                    self.assertIsNotNone(errorOf(UsageError, steps[step], machine), case)
                    self.assertIs(machine.state, state, case)

    def test_clientOutOfTurn(self) -> None:
        """
        A step of the client that the table does not have is the client's
        mistake where another one is waited for; elsewhere it is not looked at.
        """
        for command, steps in STEPS.items():
            for state, (step, octets) in product(ROUTES[command], clientSteps(command).items()):
                if (state, step) not in TRANSITIONS:
                    case = f"{command.name}: {step.name} in state {state.name}"
                    machine = serverIn(state, command)
                    if state in READING:
                        self.assertIsNotNone(errorOf(PeerError, steps[step], machine), case)
                    else:
                        self.assertEqual(steps[step](machine), [], case)
                        self.assertEqual(machine.heldLength, len(octets), case)
                    self.assertIs(machine.state, state, case)


class ReceiveTests(SynchronousTestCase):
    """
    Messages are found in the stream, however it is cut.
    """

    def test_everySplit(self) -> None:
        """
        A request cut at any octet yields exactly one event.
        """
        octets = OCTETS[OFFERING]
        for cut in range(len(octets) + 1):
            machine = ServerConnection(DRAFT_06)
            events = [*machine.receive(octets[:cut]), *machine.receive(octets[cut:])]
            self.assertEqual(events, [RequestReceived(OFFERING)], f"cut at {cut}")

    def test_everySplitOfAnExchange(self) -> None:
        """
        A conversation with credentials and data before and behind them, cut at
        any octet, yields the same events and the same data.
        """
        # Data that look like credentials, and like a request.
        early, late = b"\x01\x01a\x01b", OCTETS[PLAIN]
        request = offering(len(early))
        octets = DRAFT_06.encodeRequest(request) + early + OCTETS[CREDENTIALS] + late
        for cut in range(len(octets) + 1):
            transcript = serve([octets[:cut], octets[cut:]], EXCHANGE)
            self.assertEqual(
                transcript.events,
                [RequestReceived(request), CredentialsReceived(CREDENTIALS)],
                f"cut at {cut}",
            )
            self.assertEqual(transcript.data, early + late, f"cut at {cut}")
            self.assertIs(transcript.state, ServerState.OPEN, f"cut at {cut}")

    def test_octetByOctet(self) -> None:
        """
        One octet at a time will do, and the event comes with the last one.
        """
        machine = ServerConnection(DRAFT_06)
        *most, last = octetwise(OCTETS[PLAIN])
        for octet in most:
            self.assertEqual(list(machine.receive(octet)), [])
        self.assertEqual(list(machine.receive(last)), [RequestReceived(PLAIN)])

    def test_takenAtOnce(self) -> None:
        """
        Octets are taken when they are handed in, even if nobody asks for the
        events.
        """
        machine = ServerConnection(DRAFT_06)
        machine.receive(OCTETS[PLAIN][:9])
        self.assertEqual(machine.heldLength, 9)
        self.assertEqual(list(machine.receive(OCTETS[PLAIN][9:])), [RequestReceived(PLAIN)])

    def test_oneAtATime(self) -> None:
        """
        What is sent in answer to an event decides how the octets behind it are
        read.
        """
        octets = OCTETS[OFFERING] + OCTETS[CREDENTIALS]

        machine = ServerConnection(DRAFT_06)
        events = machine.receive(octets)
        self.assertEqual(next(events), RequestReceived(OFFERING))
        machine.send(DEMAND)
        self.assertEqual(next(events), CredentialsReceived(CREDENTIALS))

        machine = ServerConnection(DRAFT_06)
        events = machine.receive(octets)
        self.assertEqual(next(events), RequestReceived(OFFERING))
        machine.send(ACCEPTED)
        self.assertIsNone(next(events, None))
        self.assertEqual(machine.takeData(), OCTETS[CREDENTIALS])

    def test_answeredLater(self) -> None:
        """
        Answers that come after the event loop lead to the same as answers that
        come in it.
        """
        octets = DRAFT_06.encodeRequest(offering(5)) + b"early" + OCTETS[CREDENTIALS] + b"late"
        for name, answers in {"exchange": EXCHANGE, "none": WELCOME}.items():
            self.assertEqual(serve([octets], answers, later=True), serve([octets], answers), name)

    def test_waitsForAnswer(self) -> None:
        """
        Until the answer is there nothing behind the request is read.
        """
        machine = ServerConnection(DRAFT_06)
        octets = OCTETS[OFFERING] + OCTETS[CREDENTIALS]
        self.assertEqual(list(machine.receive(octets)), [RequestReceived(OFFERING)])
        self.assertEqual(list(machine.receive()), [])
        machine.send(DEMAND)
        self.assertEqual(list(machine.receive()), [CredentialsReceived(CREDENTIALS)])

    def test_constantTime(self) -> None:
        """
        A message that trickles in costs one look at a few octets each time,
        however many are there.
        """
        codec = WatchedCodec()
        big = UnknownOption(0xE0, bytes(5000))
        request = Request(Command.CONNECT, TARGET, OptionList([big, *offering(3000).options]))
        octets = DRAFT_06.encodeRequest(request) + bytes(3000) + OCTETS[CREDENTIALS]
        transcript = serve(octetwise(octets), EXCHANGE, codec=codec)
        self.assertEqual(len(transcript.events), 2)
        # With the request's last octet comes the demand, and a first look for
        # its answer.
        self.assertLessEqual(len(codec.looks), len(octets) + 1)
        self.assertGreater(max(look.held for look in codec.looks), 5000)
        self.assertLessEqual(max(look.read for look in codec.looks), 8)

    def test_largestRequest(self) -> None:
        """
        A request holds at most 16648 octets: they are enough for the event.
        """
        name = DomainName(b"a" * 255)
        filling = OptionList([UnknownOption(0xE0, bytes(16381))])
        request = Request(Command.CONNECT, Address(name, 443), filling)
        octets = DRAFT_06.encodeRequest(request)
        self.assertEqual(len(octets), 16648)
        machine = ServerConnection(DRAFT_06)
        self.assertEqual(list(machine.receive(octets[:-1])), [])
        self.assertEqual(machine.heldLength, 16647)
        self.assertEqual(list(machine.receive(octets[-1:])), [RequestReceived(request)])
        self.assertEqual(machine.heldLength, 0)


class DataTests(SynchronousTestCase):
    """
    Application data that comes early is told from the protocol's messages,
    and handed over in order, once.
    """

    def test_noMethods(self) -> None:
        """
        All octets behind a request without methods are application data.
        """
        transcript = serve([OCTETS[PLAIN] + OCTETS[CREDENTIALS]], WELCOME)
        self.assertEqual(transcript.data, OCTETS[CREDENTIALS])

    def test_noExchange(self) -> None:
        """
        Where methods were offered and none is used, all octets behind the
        request are application data, however many were announced.
        """
        for announced in (0, 3, 5, 16384):
            request = DRAFT_06.encodeRequest(offering(announced))
            transcript = serve([request + b"early"], WELCOME)
            self.assertEqual(transcript.data, b"early", f"{announced} announced")

    def test_everyInitialDataLength(self) -> None:
        """
        As many octets as a CONNECT request announces stand before the
        credentials and are application data.
        """
        for length in (0, 1, 5, 513, 16383, 16384):
            early = b"\x01" * length
            octets = DRAFT_06.encodeRequest(offering(length)) + early + OCTETS[CREDENTIALS]
            transcript = serve([octets + b"late"], EXCHANGE)
            self.assertEqual(transcript.events[1:], [CredentialsReceived(CREDENTIALS)])
            self.assertEqual(transcript.data, early + b"late", f"{length} announced")

    def test_otherCommands(self) -> None:
        """
        Commands other than CONNECT ignore the announced length.
        """
        for command in {*Command, 0x7F} - {Command.CONNECT}:
            request = DRAFT_06.encodeRequest(offering(5, command))
            transcript = serve([request + OCTETS[CREDENTIALS]], EXCHANGE)
            self.assertEqual(
                transcript.events[1:], [CredentialsReceived(CREDENTIALS)], f"command {command}"
            )
            self.assertEqual(transcript.data, b"", f"command {command}")

    def test_nothingAnnounced(self) -> None:
        """
        Where no data is announced the credentials stand right behind the
        request, even those that were never offered.
        """
        for request in (PLAIN, OFFERING):
            transcript = serve([OCTETS[request] + OCTETS[CREDENTIALS]], EXCHANGE)
            self.assertEqual(
                transcript.events, [RequestReceived(request), CredentialsReceived(CREDENTIALS)]
            )

    def test_firstOption(self) -> None:
        """
        Of two announcements the first counts.
        """
        options = OptionList([AuthenticationMethods(2, (2,)), AuthenticationMethods(9, (2,))])
        request = DRAFT_06.encodeRequest(Request(Command.CONNECT, TARGET, options))
        transcript = serve([request + b"ab" + OCTETS[CREDENTIALS]], EXCHANGE)
        self.assertEqual(transcript.data, b"ab")

    def test_once(self) -> None:
        """
        What was handed over does not come again; what comes later does.
        """
        machine = serverIn(ServerState.RESULT)
        list(machine.receive(b"one"))
        self.assertEqual(machine.peekData(), b"one")
        self.assertEqual(machine.takeData(), b"one")
        self.assertEqual(machine.takeData(), b"")
        list(machine.receive(b"two"))
        machine.send(SUCCEEDED)
        list(machine.receive(b"three"))
        self.assertEqual(machine.takeData(), b"twothree")
        self.assertEqual(machine.takeData(), b"")

    def test_everyState(self) -> None:
        """
        Data can be had once authentication is through, and not before.
        """
        for state in ServerState:
            machine = serverIn(state)
            if state in TAKING:
                self.assertEqual(machine.takeData(), b"", state.name)
            else:
                self.assertIsNotNone(errorOf(UsageError, machine.peekData), state.name)
                self.assertIsNotNone(errorOf(UsageError, machine.takeData), state.name)

    def test_heldLength(self) -> None:
        """
        All octets that wait count, read or not.
        """
        machine = ServerConnection(DRAFT_06)
        self.assertEqual(machine.heldLength, 0)
        list(machine.receive(DRAFT_06.encodeRequest(offering(5))))
        self.assertEqual(machine.heldLength, 0)
        list(machine.receive(b"earl"))
        self.assertEqual(machine.heldLength, 4)
        machine.send(DEMAND)
        list(machine.receive(b"y"))
        self.assertEqual(machine.heldLength, 5)
        list(machine.receive(OCTETS[CREDENTIALS][:7]))
        self.assertEqual(machine.heldLength, 12)
        list(machine.receive(OCTETS[CREDENTIALS][7:] + b"late"))
        self.assertEqual(machine.heldLength, 9)
        machine.send(RIGHT)
        machine.send(CONFIRMED)
        machine.takeData()
        self.assertEqual(machine.heldLength, 0)

    def test_whileBinding(self) -> None:
        """
        What comes between the two replies to BIND, and before the first, is kept for
        the host that connects.
        """
        machine = serverIn(ServerState.BINDING)
        list(machine.receive(b"one"))
        machine.send(SUCCEEDED)
        list(machine.receive(b"two"))
        self.assertEqual(machine.heldLength, 6)
        machine.send(SUCCEEDED)
        self.assertEqual(machine.takeData(), b"onetwo")

    def test_afterFinalReply(self) -> None:
        """
        After the final reply no more messages are read.
        """
        for state in (ServerState.OPEN, ServerState.CLOSED):
            for octets in (OCTETS[PLAIN], OCTETS[CREDENTIALS], b"GET / HTTP/1.1\r\n"):
                machine = serverIn(state)
                self.assertEqual(list(machine.receive(octets)), [], state.name)
                self.assertIs(machine.state, state)
        machine = serverIn(ServerState.OPEN)
        list(machine.receive(OCTETS[PLAIN]))
        self.assertEqual(machine.takeData(), OCTETS[PLAIN])


class SendTests(SynchronousTestCase):
    """
    L{ServerConnection.send} writes what may be said now.
    """

    def test_octets(self) -> None:
        """
        A message that is sent is written as the draft spells it.
        """
        messages: list[tuple[ServerState, ServerMessage]] = [
            (ServerState.VERDICT, ACCEPTED),
            (ServerState.VERDICT, DEMAND),
            (ServerState.VERDICT, REFUSED),
            (ServerState.CREDENTIALS_CHECK, RIGHT),
            (ServerState.CREDENTIALS_CHECK, WRONG),
            (ServerState.FINAL_VERDICT, CONFIRMED),
            (ServerState.FINAL_VERDICT, REFUSED),
            (ServerState.RESULT, SUCCEEDED),
            (ServerState.RESULT, FAILED),
        ]
        for state, message in messages:
            self.assertEqual(serverIn(state).send(message), OCTETS[message], repr(message))

    def test_everyReplyCode(self) -> None:
        """
        Only success opens the connection.
        """
        for code in range(256):
            machine = serverIn(ServerState.RESULT)
            machine.send(OperationReply(code, TARGET))
            expected = ServerState.CLOSED if code else ServerState.OPEN
            self.assertIs(machine.state, expected, f"reply code {code}")

    def test_everyBindingCode(self) -> None:
        """
        To BIND, only success leads to a second reply.
        """
        for code in range(256):
            machine = serverIn(ServerState.BINDING)
            machine.send(OperationReply(code, TARGET))
            expected = ServerState.CLOSED if code else ServerState.RESULT
            self.assertIs(machine.state, expected, f"reply code {code}")

    def test_everyStatus(self) -> None:
        """
        Whatever the credentials were worth, an Authentication Reply is next.
        """
        for message in (RIGHT, WRONG):
            machine = serverIn(ServerState.CREDENTIALS_CHECK)
            machine.send(message)
            self.assertIs(machine.state, ServerState.FINAL_VERDICT, repr(message))

    def test_demandWithoutExchange(self) -> None:
        """
        A demand for a method that the machine has no exchange for is our
        mistake, and changes nothing.
        """
        exchangeless = set(range(256)) - {
            AuthenticationMethod.USERNAME_PASSWORD,
            AuthenticationMethod.NONE_ACCEPTABLE,
        }
        for method in exchangeless:
            machine = serverIn(ServerState.VERDICT)
            demand = AuthenticationReply(DEMAND.result, method)
            self.assertIsNotNone(errorOf(UsageError, machine.send, demand), f"method {method}")
            self.assertIs(machine.state, ServerState.VERDICT, f"method {method}")

    def test_everySuccessfulMethod(self) -> None:
        """
        Success can come by any method.
        """
        for method in range(256):
            for command, expected in (
                (Command.CONNECT, ServerState.RESULT),
                (Command.BIND, ServerState.BINDING),
            ):
                machine = serverIn(ServerState.VERDICT, command)
                machine.send(AuthenticationReply(AuthenticationResult.SUCCESS, method))
                self.assertIs(machine.state, expected, f"method {method}, {command.name}")

    def test_tooManyOptions(self) -> None:
        """
        A message whose options do not fit is not sent: another can be.
        """
        tooLong: list[tuple[ServerState, ServerMessage, ServerMessage]] = [
            (
                ServerState.VERDICT,
                AuthenticationReply(DEMAND.result, DEMAND.method, TOO_MANY_OPTIONS),
                DEMAND,
            ),
            (
                ServerState.RESULT,
                OperationReply(ReplyCode.SUCCESS, TARGET, TOO_MANY_OPTIONS),
                SUCCEEDED,
            ),
        ]
        for state, message, another in tooLong:
            machine = serverIn(state)
            self.assertIsNotNone(errorOf(ValueError, machine.send, message), state.name)
            self.assertIs(machine.state, state)
            self.assertEqual(machine.send(another), OCTETS[another])


#: The beginning of a CONNECT request to port 443, and an IPv4 address.
HEAD = "06 00 01 01bb"
IPV4 = "01 c0000201"

#: What it is -> octets, the last of which is the first that is wrong; the error.
BROKEN_REQUESTS: Mapping[str, tuple[str, type[PeerError]]] = {
    "SOCKS 5": ("05", VersionMismatch),
    "SOCKS 4": ("04", VersionMismatch),
    "HTTP": ("47", VersionMismatch),
    "major version 7": ("07", VersionMismatch),
    "minor version 1": ("06 01", VersionMismatch),
    "address type 0": (f"{HEAD} 00", UnknownAddressType),
    "address type 2": (f"{HEAD} 02", UnknownAddressType),
    "address type 5": (f"{HEAD} 05", UnknownAddressType),
    "empty domain name": (f"{HEAD} 03 00", MalformedMessage),
    "NUL in a domain name": (f"{HEAD} 03 03 610062 0000", MalformedMessage),
    "16385 octets of options": (f"{HEAD} {IPV4} 4001", MalformedMessage),
    "65535 octets of options": (f"{HEAD} {IPV4} ffff", MalformedMessage),
    "option of length 0": (f"{HEAD} {IPV4} 0003 e0 0000", MalformedMessage),
    "option of length 2": (f"{HEAD} {IPV4} 0003 e0 0002", MalformedMessage),
    "option past the end": (f"{HEAD} {IPV4} 0004 e0 0005 00", MalformedMessage),
    "one stray octet": (f"{HEAD} {IPV4} 0001 e0", MalformedMessage),
    "two stray octets": (f"{HEAD} {IPV4} 0005 e0 0003 e0 00", MalformedMessage),
    "16385 octets of initial data": (f"{HEAD} {IPV4} 0006 02 0006 4001 02", MalformedMessage),
}

#: The same of user name and password.
BROKEN_CREDENTIALS: Mapping[str, str] = {
    "version 0": "00",
    "version 5": "05",
    "SOCKS 6 request": "06",
    "empty user name": "01 00",
    "empty password": "01 03 616461 00",
}

#: Error -> what the client gets that needs no authentication, and that does.
ANSWERS: Mapping[type[PeerError], tuple[str, str]] = {
    VersionMismatch: ("06 00", "06 00"),
    UnknownAddressType: (
        "06 00 00 00 0000  08 0000 01 00000000 0000",
        "06 00 01 ff 0000",
    ),
    MalformedMessage: ("06 00 01 ff 0000", "06 00 01 ff 0000"),
    UnexpectedEnd: ("", ""),
}


class AnswerTests(SynchronousTestCase):
    """
    A client that breaks the protocol is answered once, as far as it can be.

    @see: 02-behaviour.md, section 8
    """

    def test_brokenRequest(self) -> None:
        """
        A request is found broken with the first wrong octet, neither earlier
        nor later, and answered.
        """
        for name, (octets, expected) in BROKEN_REQUESTS.items():
            for anonymous, answer in zip((True, False), ANSWERS[expected], strict=True):
                machine = ServerConnection(DRAFT_06)
                *fine, wrong = octetwise(bytes.fromhex(octets))
                for octet in fine:
                    self.assertEqual(list(machine.receive(octet)), [], name)
                error = errorOf(PeerError, hear(wrong), machine)
                assert error is not None, name
                self.assertIs(type(error), expected, name)
                self.assertEqual(
                    machine.answer(error, anonymous=anonymous), bytes.fromhex(answer), name
                )
                self.assertIs(machine.state, ServerState.CLOSED, name)

    def test_brokenRequestAtOnce(self) -> None:
        """
        A broken request that comes in one piece, with more behind it, ends in
        the same error.
        """
        for name, (octets, expected) in BROKEN_REQUESTS.items():
            machine = ServerConnection(DRAFT_06)
            error = errorOf(PeerError, hear(bytes.fromhex(octets) + bytes(300)), machine)
            self.assertIs(type(error), expected, name)

    def test_brokenCredentials(self) -> None:
        """
        Broken credentials are found with the first wrong octet and refused in
        the method's own words, then in ours.
        """
        for name, octets in BROKEN_CREDENTIALS.items():
            for anonymous in (True, False):
                machine = serverIn(ServerState.CREDENTIALS)
                *fine, wrong = octetwise(bytes.fromhex(octets))
                for octet in fine:
                    self.assertEqual(list(machine.receive(octet)), [], name)
                error = errorOf(PeerError, hear(wrong), machine)
                assert error is not None, name
                self.assertIs(type(error), MalformedMessage, name)
                self.assertEqual(
                    machine.answer(error, anonymous=anonymous),
                    OCTETS[WRONG] + OCTETS[REFUSED],
                    name,
                )
                self.assertIs(machine.state, ServerState.CLOSED, name)

    def test_brokenCredentialsAtOnce(self) -> None:
        """
        Broken credentials right behind a request are found once they have
        been demanded.
        """
        for name, octets in BROKEN_CREDENTIALS.items():
            transcript = serve([OCTETS[OFFERING] + bytes.fromhex(octets)], EXCHANGE)
            self.assertEqual(transcript.events, [RequestReceived(OFFERING)], name)
            self.assertIs(transcript.error, MalformedMessage, name)
            self.assertEqual(
                transcript.sent, OCTETS[DEMAND] + OCTETS[WRONG] + OCTETS[REFUSED], name
            )

    def test_end(self) -> None:
        """
        To a client that is gone nothing is said.
        """
        for state in READING:
            for anonymous in (True, False):
                machine = serverIn(state)
                self.assertEqual(machine.answer(UnexpectedEnd(), anonymous=anonymous), b"")
                self.assertIs(machine.state, ServerState.CLOSED, state.name)

    def test_everyOtherState(self) -> None:
        """
        Where no message of the client is waited for, no error of the client
        can be answered.
        """
        for state, errorType in product(set(ServerState) - set(READING), errorTypes()):
            case = f"{errorType.__name__} in state {state.name}"
            machine = serverIn(state)
            answer = partial(machine.answer, anonymous=True)
            self.assertIsNotNone(errorOf(UsageError, answer, errorType()), case)
            self.assertIs(machine.state, state, case)


class EndOfInputTests(SynchronousTestCase):
    """
    A client may stop sending where no message of it is waited for.
    """

    def test_everyState(self) -> None:
        """
        The end is an error where a message is waited for, and changes nothing.
        """
        for state in ServerState:
            machine = serverIn(state)
            error = errorOf(PeerError, machine.endOfInput)
            expected = UnexpectedEnd if state in READING else type(None)
            self.assertIs(type(error), expected, state.name)
            self.assertIs(machine.state, state)

    def test_everyTruncation(self) -> None:
        """
        An end before a message's last octet is one in its middle, and nothing
        is said of it.
        """
        request = DRAFT_06.encodeRequest(offering(5))
        octets = request + b"early" + OCTETS[CREDENTIALS]
        for size in range(len(octets)):
            transcript = serve([octets[:size]], EXCHANGE)
            self.assertIs(transcript.error, UnexpectedEnd, f"{size} octets")
            said = OCTETS[DEMAND] if size >= len(request) else b""
            self.assertEqual(transcript.sent, said, f"{size} octets")

    def test_dataKept(self) -> None:
        """
        A client that sends all it has and stops is served.
        """
        machine = ServerConnection(DRAFT_06)
        list(machine.receive(OCTETS[PLAIN] + b"last words"))
        machine.endOfInput()
        machine.send(ACCEPTED)
        machine.send(SUCCEEDED)
        self.assertEqual(machine.takeData(), b"last words")

    def test_demandAfterEnd(self) -> None:
        """
        A client that has stopped sending cannot answer a demand any more.
        """
        machine = ServerConnection(DRAFT_06)
        list(machine.receive(OCTETS[OFFERING]))
        machine.endOfInput()
        machine.send(DEMAND)
        self.assertIsNotNone(errorOf(UnexpectedEnd, list, machine.receive()))

    def test_endBeforeDemand(self) -> None:
        """
        A client that did not wait for the demand may have stopped before it.
        """
        machine = ServerConnection(DRAFT_06)
        list(machine.receive(OCTETS[OFFERING] + OCTETS[CREDENTIALS]))
        machine.endOfInput()
        machine.send(DEMAND)
        self.assertEqual(list(machine.receive()), [CredentialsReceived(CREDENTIALS)])
