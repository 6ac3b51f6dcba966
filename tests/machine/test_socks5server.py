"""
Tests of L{socks6.machine.socks5server}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.events import (
    SOCKS5Answered,
    SOCKS5MethodsRefused,
    SOCKS5RequestReceived,
)
from socks6.machine.socks5server import (
    TRANSITIONS,
    SOCKS5ServerConnection,
    SOCKS5ServerState,
    _Step,
)
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command
from socks6.wire.errors import (
    AnotherProtocol,
    MalformedMessage,
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    UsageError,
)
from socks6.wire.password import ProgramCredentials
from socks6.wire.socks5 import SOCKS5Reply, SOCKS5Request
from tests.machine.drivers import octetwise
from tests.machine.samples import conversations, routes
from tests.machine.socks5drivers import (
    ARRIVED,
    ASSOCIATE,
    BIND,
    CHOOSE_NONE,
    CHOOSE_NOTHING,
    CHOOSE_PASSWORD,
    CONNECT,
    CREDENTIALS,
    FAILED,
    OCTETS,
    OFFER_BOTH,
    OFFER_NOTHING,
    OFFER_OTHERS,
    OFFER_PASSWORD,
    PROGRAM_ADA,
    RIGHT,
    SUCCEEDED,
    TARGET,
    WRONG,
    hearToTheEnd,
    serve,
)
from tests.raising import errorOf


def hear(octets: bytes) -> Callable[[SOCKS5ServerConnection], list[object]]:
    """
    Make the step that receives octets.
    """
    return lambda machine: list(machine.receive(octets))


#: What the client does.
CLIENT_STEPS: Mapping[_Step, bytes] = {
    _Step.PASSWORD_OFFERED: OFFER_PASSWORD,
    _Step.NOTHING_OFFERED: OFFER_NOTHING,
    _Step.NONE_ACCEPTABLE: OFFER_OTHERS,
    _Step.CREDENTIALS_RECEIVED: CREDENTIALS,
    _Step.REQUEST_RECEIVED: OCTETS[CONNECT],
    _Step.BIND_RECEIVED: OCTETS[BIND],
}

#: What we do.
OUR_STEPS: Mapping[_Step, Callable[[SOCKS5ServerConnection], object]] = {
    _Step.PEER_FAILED: lambda machine: machine.answer(MalformedMessage()),
    _Step.SUCCEEDED: lambda machine: machine.send(SUCCEEDED),
    _Step.FAILED: lambda machine: machine.send(FAILED),
}

STEPS: Mapping[_Step, Callable[[SOCKS5ServerConnection], object]] = {
    **{step: hear(octets) for step, octets in CLIENT_STEPS.items()},
    **OUR_STEPS,
}

ROUTES = routes(TRANSITIONS, SOCKS5ServerState.OFFER)

#: States in which the client's next message is read.
READING = (SOCKS5ServerState.OFFER, SOCKS5ServerState.CREDENTIALS, SOCKS5ServerState.REQUEST)

#: States in which application data can be told from the rest.
TAKING = (SOCKS5ServerState.BINDING, SOCKS5ServerState.RESULT, SOCKS5ServerState.OPEN)


def serverIn(state: SOCKS5ServerState) -> SOCKS5ServerConnection:
    """
    Make a machine and lead it to a state.
    """
    machine = SOCKS5ServerConnection()
    for step in ROUTES[state]:
        STEPS[step](machine)
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
    The machine does what its table says, and the table what RFC 1928 says.
    """

    def test_conversations(self) -> None:
        """
        A conversation goes one of these ways: credentials come if they were chosen,
        BIND has two replies, and after a failure comes nothing.
        """
        starts = ["NOTHING_OFFERED", "PASSWORD_OFFERED CREDENTIALS_RECEIVED"]
        self.assertEqual(
            sorted(conversations(TRANSITIONS, SOCKS5ServerState.OFFER)),
            sorted(
                [
                    "PEER_FAILED",
                    "NONE_ACCEPTABLE",
                    "PASSWORD_OFFERED PEER_FAILED",
                    *(
                        f"{start} {rest}"
                        for start in starts
                        for rest in (
                            "PEER_FAILED",
                            "REQUEST_RECEIVED SUCCEEDED",
                            "REQUEST_RECEIVED FAILED",
                            "BIND_RECEIVED FAILED",
                            "BIND_RECEIVED SUCCEEDED FAILED",
                            "BIND_RECEIVED SUCCEEDED SUCCEEDED",
                        )
                    ),
                ]
            ),
        )

    def test_everyState(self) -> None:
        """
        Each state can be reached, and the machine gets there.
        """
        for state in SOCKS5ServerState:
            self.assertIs(serverIn(state).state, state)

    def test_everyRow(self) -> None:
        """
        Each step in the table leads to the state that stands there.
        """
        for (state, step), target in TRANSITIONS.items():
            machine = serverIn(state)
            STEPS[step](machine)
            self.assertIs(machine.state, target, f"{step.name} in state {state.name}")

    def test_everyStep(self) -> None:
        """
        No step is left out of these tests.
        """
        self.assertEqual(set(STEPS), set(_Step))

    def test_outOfTurn(self) -> None:
        """
        A step of ours that the table does not have is our mistake, and changes
        nothing.
        """
        for state, step in product(SOCKS5ServerState, OUR_STEPS):
            if (state, step) not in TRANSITIONS:
                case = f"{step.name} in state {state.name}"
                machine = serverIn(state)
                self.assertIsNotNone(errorOf(UsageError, STEPS[step], machine), case)
                self.assertIs(machine.state, state, case)

    def test_clientOutOfTurn(self) -> None:
        """
        A step of the client that the table does not have is the client's mistake
        where another one is waited for, known when its input ends at the latest;
        elsewhere it is not looked at.
        """
        for state, (step, octets) in product(SOCKS5ServerState, CLIENT_STEPS.items()):
            if (state, step) not in TRANSITIONS:
                case = f"{step.name} in state {state.name}"
                machine = serverIn(state)
                if state in READING:
                    events: list[object] = []
                    error = errorOf(PeerError, hearToTheEnd, machine, octets, events)
                    self.assertIsNotNone(error, case)
                    # A request may begin as an offer does.
                    begun = [SOCKS5Answered(CHOOSE_NOTHING)] * (state is READING[0])
                    self.assertIn(events, ([], begun), case)
                else:
                    self.assertEqual(STEPS[step](machine), [], case)
                    self.assertEqual(machine.heldLength, len(octets), case)
                    self.assertIs(machine.state, state, case)


class MethodTests(SynchronousTestCase):
    """
    We choose one of the methods that the client offers.
    """

    def test_everyOffer(self) -> None:
        """
        A user name and password if the client has them, else nothing if that will
        do, wherever they stand among others.
        """
        for digits, choice in (
            ("05 01 00", CHOOSE_NOTHING),
            ("05 01 02", CHOOSE_PASSWORD),
            ("05 02 00 02", CHOOSE_PASSWORD),
            ("05 02 02 00", CHOOSE_PASSWORD),
            ("05 03 01 80 00", CHOOSE_NOTHING),
            ("05 04 01 80 00 02", CHOOSE_PASSWORD),
            ("05 ff" + "01" * 254 + "02", CHOOSE_PASSWORD),
            ("05 ff" + "00" * 255, CHOOSE_NOTHING),
        ):
            machine = SOCKS5ServerConnection()
            events = list(machine.receive(bytes.fromhex(digits)))
            self.assertEqual(events, [SOCKS5Answered(choice)], digits)
            expected = (
                SOCKS5ServerState.CREDENTIALS
                if choice is CHOOSE_PASSWORD
                else SOCKS5ServerState.REQUEST
            )
            self.assertIs(machine.state, expected, digits)

    def test_noneAcceptable(self) -> None:
        """
        A client that offers neither is told so, and that is all.
        """
        for method in set(range(256)) - {0, 2}:
            machine = SOCKS5ServerConnection()
            self.assertEqual(
                list(machine.receive(bytes([5, 1, method]) + OCTETS[CONNECT])),
                [SOCKS5Answered(CHOOSE_NONE), SOCKS5MethodsRefused()],
                f"method {method}",
            )
            self.assertIs(machine.state, SOCKS5ServerState.CLOSED)
            machine.endOfInput()

    def test_credentials(self) -> None:
        """
        Any name and any password will do, empty ones, too; they come with the
        request.
        """
        for username, password in (
            (b"ada", b"s3cret"),
            (b"a" * 255, b"b" * 255),
            (b"\0\xff", b"\0"),
            (b"ada", b""),
            (b"", b"s3cret"),
            (b"", b""),
        ):
            message = b"\1%c%b%c%b" % (len(username), username, len(password), password)
            machine = SOCKS5ServerConnection()
            events = list(machine.receive(OFFER_PASSWORD + message + OCTETS[CONNECT]))
            self.assertEqual(
                events,
                [
                    SOCKS5Answered(CHOOSE_PASSWORD),
                    SOCKS5Answered(RIGHT),
                    SOCKS5RequestReceived(CONNECT, ProgramCredentials(username, password)),
                ],
                f"{username!r} {password!r}",
            )

    def test_anonymous(self) -> None:
        """
        Without them there are none.
        """
        transcript = serve([OFFER_NOTHING + OCTETS[CONNECT]])
        self.assertEqual(transcript.events, [SOCKS5RequestReceived(CONNECT, None)])


class ReceiveTests(SynchronousTestCase):
    """
    Messages are found in the stream, however it is cut.
    """

    def test_everySplit(self) -> None:
        """
        A conversation cut at any octet yields the same events, answers and data.
        """
        for start, credentials, answers in (
            (OFFER_NOTHING, None, CHOOSE_NOTHING),
            (OFFER_BOTH + CREDENTIALS, PROGRAM_ADA, CHOOSE_PASSWORD + RIGHT),
        ):
            octets = start + OCTETS[CONNECT] + b"early"
            for cut in range(len(octets) + 1):
                transcript = serve([octets[:cut], octets[cut:]])
                case = f"cut at {cut}"
                self.assertEqual(
                    transcript.events, [SOCKS5RequestReceived(CONNECT, credentials)], case
                )
                self.assertEqual(transcript.sent, answers + OCTETS[SUCCEEDED], case)
                self.assertEqual(transcript.data, b"early", case)
                self.assertIs(transcript.state, SOCKS5ServerState.OPEN, case)

    def test_octetByOctet(self) -> None:
        """
        One octet at a time will do, and an event comes with the last one of its
        message.
        """
        machine = SOCKS5ServerConnection()
        request = SOCKS5RequestReceived(CONNECT, PROGRAM_ADA)
        for message, event in (
            (OFFER_BOTH, SOCKS5Answered(CHOOSE_PASSWORD)),
            (CREDENTIALS, SOCKS5Answered(RIGHT)),
            (OCTETS[CONNECT], request),
        ):
            *most, last = octetwise(message)
            for octet in most:
                self.assertEqual(list(machine.receive(octet)), [])
            self.assertEqual(list(machine.receive(last)), [event])

    def test_takenAtOnce(self) -> None:
        """
        Octets are taken when they are handed in, even if nobody asks for the events.
        """
        machine = SOCKS5ServerConnection()
        machine.receive(OFFER_NOTHING[:2])
        self.assertEqual(machine.heldLength, 2)
        self.assertEqual(list(machine.receive(OFFER_NOTHING[2:])), [SOCKS5Answered(CHOOSE_NOTHING)])

    def test_nothing(self) -> None:
        """
        Nothing is nothing.
        """
        for state in SOCKS5ServerState:
            machine = serverIn(state)
            self.assertEqual(list(machine.receive()), [], state.name)
            self.assertEqual(machine.heldLength, 0, state.name)
            self.assertIs(machine.state, state)

    def test_everyCommand(self) -> None:
        """
        Whatever is asked for is handed on, with a name if it has one.
        """
        for number in range(256):
            octets = b"\5%c" % number + OCTETS[CONNECT][2:]
            machine = serverIn(SOCKS5ServerState.REQUEST)
            (event,) = machine.receive(octets)
            self.assertEqual(event, SOCKS5RequestReceived(SOCKS5Request(number, TARGET), None))
            expected = (
                SOCKS5ServerState.BINDING if number == Command.BIND else SOCKS5ServerState.RESULT
            )
            self.assertIs(machine.state, expected, f"command {number}")

    def test_secrets(self) -> None:
        """
        No event shows a password.
        """
        for event in SOCKS5ServerConnection().receive(
            OFFER_PASSWORD + CREDENTIALS + OCTETS[CONNECT]
        ):
            self.assertNotIn("s3cret", repr(event))


class SendTests(SynchronousTestCase):
    """
    L{SOCKS5ServerConnection.send} tells how the operation went.
    """

    def test_everyReplyCode(self) -> None:
        """
        The reply is written as RFC 1928 spells it, and only success opens the
        connection.
        """
        for code in range(256):
            machine = serverIn(SOCKS5ServerState.RESULT)
            octets = machine.send(SOCKS5Reply(code, UNSPECIFIED_IPV4))
            self.assertEqual(octets, b"\5%c\0\1\0\0\0\0\0\0" % code)
            expected = SOCKS5ServerState.CLOSED if code else SOCKS5ServerState.OPEN
            self.assertIs(machine.state, expected, f"reply code {code}")

    def test_unwritable(self) -> None:
        """
        A reply that cannot be written is not said: another one can be.
        """
        nowhere: Any = "nowhere"
        machine = serverIn(SOCKS5ServerState.RESULT)
        self.assertRaises(AttributeError, machine.send, SOCKS5Reply(0, nowhere))
        self.assertIs(machine.state, SOCKS5ServerState.RESULT)
        self.assertEqual(machine.send(SUCCEEDED), OCTETS[SUCCEEDED])

    def test_bind(self) -> None:
        """
        BIND has two replies; the connection is open after the second one.
        """
        machine = serverIn(SOCKS5ServerState.REQUEST)
        list(machine.receive(OCTETS[BIND] + b"early"))
        self.assertEqual(machine.send(SUCCEEDED), OCTETS[SUCCEEDED])
        self.assertIs(machine.state, SOCKS5ServerState.RESULT)
        self.assertEqual(machine.send(ARRIVED), OCTETS[ARRIVED])
        self.assertIs(machine.state, SOCKS5ServerState.OPEN)
        self.assertEqual(machine.takeData(), b"early")

    def test_associate(self) -> None:
        """
        UDP ASSOCIATE has one.
        """
        machine = serverIn(SOCKS5ServerState.REQUEST)
        self.assertEqual(
            list(machine.receive(OCTETS[ASSOCIATE])), [SOCKS5RequestReceived(ASSOCIATE, None)]
        )
        machine.send(SUCCEEDED)
        self.assertIs(machine.state, SOCKS5ServerState.OPEN)

    def test_conversations(self) -> None:
        """
        What is said, and what comes of it, for each command and outcome.
        """
        for request, replies, said, state in (
            (CONNECT, (SUCCEEDED, ARRIVED), (SUCCEEDED,), SOCKS5ServerState.OPEN),
            (CONNECT, (FAILED, ARRIVED), (FAILED,), SOCKS5ServerState.CLOSED),
            (BIND, (SUCCEEDED, ARRIVED), (SUCCEEDED, ARRIVED), SOCKS5ServerState.OPEN),
            (BIND, (SUCCEEDED, FAILED), (SUCCEEDED, FAILED), SOCKS5ServerState.CLOSED),
            (BIND, (FAILED, ARRIVED), (FAILED,), SOCKS5ServerState.CLOSED),
            (ASSOCIATE, (SUCCEEDED, ARRIVED), (SUCCEEDED,), SOCKS5ServerState.OPEN),
        ):
            transcript = serve([OFFER_NOTHING + OCTETS[request]], replies)
            self.assertEqual(
                transcript.sent, CHOOSE_NOTHING + b"".join(OCTETS[each] for each in said)
            )
            self.assertIs(transcript.state, state)


class DataTests(SynchronousTestCase):
    """
    Application data that comes early is kept, in order.
    """

    def test_beforeReply(self) -> None:
        """
        What stands behind the request can be had before the reply, once, and so can
        what comes later.
        """
        for request in (CONNECT, BIND):
            machine = serverIn(SOCKS5ServerState.REQUEST)
            list(machine.receive(OCTETS[request] + b"one"))
            self.assertEqual(list(machine.receive(b"two")), [])
            self.assertEqual(machine.heldLength, 6)
            self.assertEqual(machine.takeData(), b"onetwo")
            self.assertEqual(machine.takeData(), b"")
            self.assertEqual(machine.heldLength, 0)
            list(machine.receive(b"three"))
            self.assertEqual(machine.takeData(), b"three")

    def test_looksLikeMessage(self) -> None:
        """
        Data is data, even if it looks like a message.
        """
        for octets in (OFFER_BOTH, CREDENTIALS, OCTETS[BIND], b"\4\1", b"GET / HTTP/1.1\r\n"):
            transcript = serve([OFFER_NOTHING + OCTETS[CONNECT] + octets])
            self.assertEqual(len(transcript.events), 1)
            self.assertEqual(transcript.data, octets)

    def test_everyOtherState(self) -> None:
        """
        Before the request and after a failure no data can be had.
        """
        for state in SOCKS5ServerState:
            error = errorOf(UsageError, serverIn(state).takeData)
            self.assertEqual(error is None, state in TAKING, state.name)


#: State -> what is wrong -> octets, the last of which is the first that is wrong; the
#: error; what the client gets to hear.
BROKEN: Mapping[SOCKS5ServerState, Mapping[str, tuple[str, type[PeerError], str]]] = {
    SOCKS5ServerState.OFFER: {
        "SOCKS 4": ("04", AnotherProtocol, ""),
        "SOCKS 6": ("06", AnotherProtocol, ""),
        "HTTP": ("47", AnotherProtocol, ""),
        "TLS": ("16", AnotherProtocol, ""),
        "no methods": ("05 00", MalformedMessage, "05 ff"),
    },
    SOCKS5ServerState.CREDENTIALS: {
        "version 0": ("00", MalformedMessage, "01 01"),
        "version 5": ("05", MalformedMessage, "01 01"),
    },
    SOCKS5ServerState.REQUEST: {
        "version 1": ("01", MalformedMessage, "05 01 00 01 00000000 0000"),
        "version 4": ("04", MalformedMessage, "05 01 00 01 00000000 0000"),
        "address type 0": ("05 01 00 00", UnknownAddressType, "05 08 00 01 00000000 0000"),
        "address type 2": ("05 01 00 02", UnknownAddressType, "05 08 00 01 00000000 0000"),
        "empty name": ("05 01 00 03 00", MalformedMessage, "05 01 00 01 00000000 0000"),
        "NUL in a name": (
            "05 01 00 03 01 00 0050",
            MalformedMessage,
            "05 01 00 01 00000000 0000",
        ),
    },
}


class AnswerTests(SynchronousTestCase):
    """
    A client that breaks the protocol is answered once, as far as it can be.
    """

    def test_everyReadingState(self) -> None:
        """
        There are broken messages here for each state in which one is read.
        """
        self.assertEqual(set(BROKEN), set(READING))

    def test_broken(self) -> None:
        """
        A message is found broken with the first wrong octet, neither earlier nor
        later, and answered.
        """
        for state, cases in BROKEN.items():
            for name, (octets, expected, answer) in cases.items():
                machine = serverIn(state)
                *fine, wrong = octetwise(bytes.fromhex(octets))
                for octet in fine:
                    self.assertEqual(list(machine.receive(octet)), [], name)
                error = errorOf(PeerError, hear(wrong), machine)
                assert error is not None, name
                self.assertIs(type(error), expected, name)
                self.assertEqual(machine.answer(error), bytes.fromhex(answer), name)
                self.assertIs(machine.state, SOCKS5ServerState.CLOSED, name)

    def test_brokenAtOnce(self) -> None:
        """
        A broken message that comes in one piece with what stands before and behind
        it ends in the same error and answer.
        """
        before = {
            SOCKS5ServerState.OFFER: (b"", b""),
            SOCKS5ServerState.CREDENTIALS: (OFFER_PASSWORD, CHOOSE_PASSWORD),
            SOCKS5ServerState.REQUEST: (OFFER_NOTHING, CHOOSE_NOTHING),
        }
        for state, cases in BROKEN.items():
            for name, (octets, expected, answer) in cases.items():
                start, said = before[state]
                transcript = serve([start + bytes.fromhex(octets) + bytes(300)])
                self.assertIs(transcript.error, expected, name)
                self.assertEqual(transcript.sent, said + bytes.fromhex(answer), name)
                self.assertEqual(transcript.events, [], name)

    def test_end(self) -> None:
        """
        To a client that is gone nothing is said.
        """
        for state in READING:
            machine = serverIn(state)
            self.assertEqual(machine.answer(UnexpectedEnd()), b"")
            self.assertIs(machine.state, SOCKS5ServerState.CLOSED, state.name)

    def test_everyOtherState(self) -> None:
        """
        Where no message of the client is waited for, no error of the client can be
        answered.
        """
        for state, errorType in product(set(SOCKS5ServerState) - set(READING), errorTypes()):
            case = f"{errorType.__name__} in state {state.name}"
            machine = serverIn(state)
            self.assertIsNotNone(errorOf(UsageError, machine.answer, errorType()), case)
            self.assertIs(machine.state, state, case)


class EndOfInputTests(SynchronousTestCase):
    """
    A client may stop sending where no message of it is waited for.
    """

    def test_everyState(self) -> None:
        """
        The end is an error where a message is waited for, and changes nothing.
        """
        for state in SOCKS5ServerState:
            machine = serverIn(state)
            error = errorOf(PeerError, machine.endOfInput)
            expected = UnexpectedEnd if state in READING else type(None)
            self.assertIs(type(error), expected, state.name)
            self.assertIs(machine.state, state)

    def test_everyTruncation(self) -> None:
        """
        An end before the request's last octet is one in the middle: nothing is said
        of it beyond what was said before.
        """
        offer, credentials = len(OFFER_BOTH), len(OFFER_BOTH + CREDENTIALS)
        octets = OFFER_BOTH + CREDENTIALS + OCTETS[CONNECT]
        for size in range(len(octets)):
            transcript = serve([octets[:size]])
            said = CHOOSE_PASSWORD * (size >= offer) + RIGHT * (size >= credentials)
            self.assertIs(transcript.error, UnexpectedEnd, f"{size} octets")
            self.assertEqual(transcript.sent, said, f"{size} octets")
            self.assertEqual(transcript.events, [], f"{size} octets")

    def test_dataKept(self) -> None:
        """
        A client that sends all it has and stops is served.
        """
        machine = SOCKS5ServerConnection()
        list(machine.receive(OFFER_NOTHING + OCTETS[CONNECT] + b"last words"))
        machine.endOfInput()
        machine.send(SUCCEEDED)
        self.assertEqual(machine.takeData(), b"last words")

    def test_wrongAnswer(self) -> None:
        """
        Broken credentials are answered in their own words.
        """
        transcript = serve([OFFER_PASSWORD + b"\2"])
        self.assertEqual(transcript.sent, CHOOSE_PASSWORD + WRONG)
