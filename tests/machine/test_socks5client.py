"""
Tests of L{socks6.machine.socks5client}.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.events import (
    SOCKS5Answered,
    SOCKS5AuthenticationRefused,
    SOCKS5Replied,
)
from socks6.machine.socks5client import (
    TRANSITIONS,
    SOCKS5ClientConnection,
    SOCKS5ClientState,
    _Step,
)
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command
from socks6.wire import socks5
from socks6.wire.errors import (
    AnotherProtocol,
    MalformedMessage,
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    UsageError,
)
from socks6.wire.socks5 import SOCKS5Reply, SOCKS5Request
from tests.machine.drivers import octetwise
from tests.machine.samples import conversations, routes
from tests.machine.socks5drivers import (
    ADA,
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
    OFFER_PASSWORD,
    RIGHT,
    SUCCEEDED,
    TARGET,
    WRONG,
    consume,
    hearToTheEnd,
)
from tests.raising import errorOf


def flexible(request: SOCKS5Request) -> SOCKS5ClientConnection:
    """
    Make a machine that offers both methods.
    """
    return SOCKS5ClientConnection(request, ADA, anonymousToo=True)


#: What the server says, in steps that do not depend on our request.
SERVER_STEPS: Mapping[_Step, bytes] = {
    _Step.CREDENTIALS_SENT: CHOOSE_PASSWORD,
    _Step.SUCCEEDED: OCTETS[SUCCEEDED],
    _Step.FAILED: OCTETS[FAILED],
}

#: State -> what lets us in, and what does not.
VERDICTS: Mapping[SOCKS5ClientState, tuple[bytes, bytes]] = {
    SOCKS5ClientState.CHOICE: (CHOOSE_NOTHING, CHOOSE_NONE),
    SOCKS5ClientState.CREDENTIALS_CHECK: (RIGHT, WRONG),
}

ROUTES = routes(TRANSITIONS, SOCKS5ClientState.IDLE)


def take(machine: SOCKS5ClientConnection, step: _Step) -> None:
    """
    Let a machine take a step, where that is possible.
    """
    if step is _Step.METHODS_SENT:
        machine.open()
        return
    octets = SERVER_STEPS.get(step, b"")
    if step in (_Step.REQUEST_SENT, _Step.BIND_SENT):
        octets = VERDICTS[machine.state][0]
    elif step is _Step.REFUSED:
        octets = VERDICTS[machine.state][1]
    list(machine.receive(octets))


def clientIn(state: SOCKS5ClientState, then: _Step | None = None) -> SOCKS5ClientConnection:
    """
    Make a machine and lead it to a state.

    @param then: The step that it is to take there: what it asks for decides which one
        that is.
    """
    steps = ROUTES[state]
    bind = _Step.BIND_SENT in (*steps, then)
    machine = flexible(BIND if bind else CONNECT)
    for step in steps:
        take(machine, step)
    return machine


#: States in which the server may send what it wants, or nothing.
DONE = (SOCKS5ClientState.OPEN, SOCKS5ClientState.CLOSED)


class StateTableTests(SynchronousTestCase):
    """
    The machine does what its table says, and the table what RFC 1928 says.
    """

    def test_conversations(self) -> None:
        """
        A conversation goes one of these ways: credentials are sent if they were
        chosen, BIND has two replies, and after a failure comes nothing.
        """
        self.assertEqual(
            sorted(conversations(TRANSITIONS, SOCKS5ClientState.IDLE)),
            sorted(
                f"METHODS_SENT {method}{rest}"
                for method in ("", "CREDENTIALS_SENT ")
                for rest in (
                    "REFUSED",
                    "REQUEST_SENT SUCCEEDED",
                    "REQUEST_SENT FAILED",
                    "BIND_SENT FAILED",
                    "BIND_SENT SUCCEEDED FAILED",
                    "BIND_SENT SUCCEEDED SUCCEEDED",
                )
            ),
        )

    def test_everyState(self) -> None:
        """
        Each state can be reached, and the machine gets there.
        """
        for state in SOCKS5ClientState:
            self.assertIs(clientIn(state).state, state)

    def test_everyRow(self) -> None:
        """
        Each step in the table leads to the state that stands there.
        """
        for (state, step), target in TRANSITIONS.items():
            machine = clientIn(state, step)
            take(machine, step)
            self.assertIs(machine.state, target, f"{step.name} in state {state.name}")

    def test_everyStep(self) -> None:
        """
        Each step of the machine is in the table.
        """
        self.assertEqual({step for _, step in TRANSITIONS}, set(_Step))

    def test_openTwice(self) -> None:
        """
        Methods are offered once: to do so again is our mistake, and changes nothing.
        """
        for state in set(SOCKS5ClientState) - {SOCKS5ClientState.IDLE}:
            machine = clientIn(state)
            self.assertIsNotNone(errorOf(UsageError, machine.open), state.name)
            self.assertIs(machine.state, state)

    def test_serverOutOfTurn(self) -> None:
        """
        A message of the server that is not the one waited for leads nowhere; it is
        the server's mistake, known when its input ends at the latest.
        """
        messages = {
            SOCKS5ClientState.CHOICE: (CHOOSE_NOTHING, CHOOSE_PASSWORD, CHOOSE_NONE),
            SOCKS5ClientState.CREDENTIALS_CHECK: (RIGHT, WRONG),
            SOCKS5ClientState.RESULT: (OCTETS[SUCCEEDED], OCTETS[FAILED]),
        }
        messages[SOCKS5ClientState.BINDING] = messages[SOCKS5ClientState.RESULT]
        # A reply begins as a choice does, and is one with something behind it.
        alike = {
            (SOCKS5ClientState.CHOICE, SOCKS5ClientState.RESULT),
            (SOCKS5ClientState.CHOICE, SOCKS5ClientState.BINDING),
            (SOCKS5ClientState.RESULT, SOCKS5ClientState.BINDING),
            (SOCKS5ClientState.BINDING, SOCKS5ClientState.RESULT),
        }
        for state, (wanted, octets) in product(messages, messages.items()):
            if state is wanted or (state, wanted) in alike:
                continue
            for message in octets:
                machine = clientIn(state)
                events: list[object] = []
                case = f"{message!r} in state {state.name}"
                error = errorOf(PeerError, hearToTheEnd, machine, message, events)
                self.assertIsNotNone(error, case)
                self.assertEqual(events, [], case)
                self.assertIs(machine.state, state, case)

    def test_serverWhenDone(self) -> None:
        """
        After the last reply nothing that the server sends is looked at.
        """
        for state, octets in product(DONE, [OCTETS[SUCCEEDED], CHOOSE_NONE, b"SSH-2.0", b"\4"]):
            machine = clientIn(state)
            self.assertEqual(list(machine.receive(octets)), [], state.name)
            machine.endOfInput()
            self.assertIs(machine.state, state)


class MethodTests(SynchronousTestCase):
    """
    The server chooses one of the methods that we offer.
    """

    def test_offers(self) -> None:
        """
        Nothing if we are nobody; else user name and password, and nothing besides if
        we are told that this may do.
        """
        for machine, offer in (
            (SOCKS5ClientConnection(CONNECT), OFFER_NOTHING),
            (SOCKS5ClientConnection(CONNECT, anonymousToo=True), OFFER_NOTHING),
            (SOCKS5ClientConnection(CONNECT, ADA), OFFER_PASSWORD),
            (SOCKS5ClientConnection(CONNECT, ADA, anonymousToo=True), OFFER_BOTH),
        ):
            self.assertEqual(machine.open(), offer)

    def test_choices(self) -> None:
        """
        A method that was offered is followed, and one that was not is the server's
        mistake, however well we know it.
        """
        for credentials, anonymousToo, fine in (
            (None, False, {0}),
            (None, True, {0}),
            (ADA, False, {2}),
            (ADA, True, {0, 2}),
        ):
            for method in range(255):
                machine = SOCKS5ClientConnection(CONNECT, credentials, anonymousToo=anonymousToo)
                offer = machine.open()
                transcript = consume(
                    SOCKS5ClientConnection(CONNECT, credentials, anonymousToo=anonymousToo),
                    [bytes([5, method])],
                )
                case = f"{offer!r}, method {method}"
                next_ = {0: OCTETS[CONNECT], 2: CREDENTIALS}.get(method, b"")
                if method in fine:
                    self.assertEqual(transcript.sent, offer + next_, case)
                    self.assertIs(transcript.error, UnexpectedEnd, case)
                else:
                    self.assertEqual(transcript.sent, offer, case)
                    self.assertIs(transcript.error, MalformedMessage, case)

    def test_noneAcceptable(self) -> None:
        """
        A server may take none of them: that is the end.
        """
        for credentials in (None, ADA):
            transcript = consume(
                SOCKS5ClientConnection(CONNECT, credentials), [CHOOSE_NONE + OCTETS[SUCCEEDED]]
            )
            self.assertEqual(transcript.events, [SOCKS5AuthenticationRefused(None)])
            self.assertIs(transcript.state, SOCKS5ClientState.CLOSED)
            self.assertIsNone(transcript.error)

    def test_everyStatus(self) -> None:
        """
        Only status 0 lets us in.
        """
        for status in range(256):
            transcript = consume(
                SOCKS5ClientConnection(CONNECT, ADA), [CHOOSE_PASSWORD + bytes([1, status])]
            )
            said = OFFER_PASSWORD + CREDENTIALS
            if status:
                self.assertEqual(transcript.events, [SOCKS5AuthenticationRefused(status)])
                self.assertIs(transcript.state, SOCKS5ClientState.CLOSED)
                self.assertEqual(transcript.sent, said)
            else:
                self.assertEqual(transcript.events, [])
                self.assertIs(transcript.state, SOCKS5ClientState.RESULT)
                self.assertEqual(transcript.sent, said + OCTETS[CONNECT])

    def test_secrets(self) -> None:
        """
        No event shows a password.
        """
        machine = SOCKS5ClientConnection(CONNECT, ADA)
        machine.open()
        (event,) = machine.receive(CHOOSE_PASSWORD)
        self.assertEqual(event, SOCKS5Answered(CREDENTIALS))
        self.assertNotIn("s3cret", repr(event))


class ReceiveTests(SynchronousTestCase):
    """
    The server's messages are found in the stream, however it is cut.
    """

    def test_everySplit(self) -> None:
        """
        A conversation cut at any octet yields the same events, answers and data.
        """
        for start, said in (
            (CHOOSE_NOTHING, OFFER_BOTH),
            (CHOOSE_PASSWORD + RIGHT, OFFER_BOTH + CREDENTIALS),
        ):
            octets = start + OCTETS[SUCCEEDED] + b"banner"
            for cut in range(len(octets) + 1):
                transcript = consume(flexible(CONNECT), [octets[:cut], octets[cut:]])
                case = f"cut at {cut}"
                self.assertEqual(transcript.events, [SOCKS5Replied(SUCCEEDED)], case)
                self.assertEqual(transcript.sent, said + OCTETS[CONNECT], case)
                self.assertEqual(transcript.data, b"banner", case)
                self.assertIs(transcript.state, SOCKS5ClientState.OPEN, case)

    def test_octetByOctet(self) -> None:
        """
        One octet at a time will do, and an event comes with the last one of its
        message.
        """
        machine = SOCKS5ClientConnection(CONNECT, ADA)
        machine.open()
        for message, event in (
            (CHOOSE_PASSWORD, SOCKS5Answered(CREDENTIALS)),
            (RIGHT, SOCKS5Answered(OCTETS[CONNECT])),
            (OCTETS[SUCCEEDED], SOCKS5Replied(SUCCEEDED)),
        ):
            *most, last = octetwise(message)
            for octet in most:
                self.assertEqual(list(machine.receive(octet)), [])
            self.assertEqual(list(machine.receive(last)), [event])

    def test_takenAtOnce(self) -> None:
        """
        Octets are taken when they are handed in, even if nobody asks for the events,
        or if nothing has been offered yet.
        """
        machine = SOCKS5ClientConnection(CONNECT)
        machine.receive(CHOOSE_NOTHING[:1])
        self.assertEqual(list(machine.receive(CHOOSE_NOTHING[1:])), [])
        machine.open()
        self.assertEqual(list(machine.receive()), [SOCKS5Answered(OCTETS[CONNECT])])


class ReplyTests(SynchronousTestCase):
    """
    The operation succeeds, or does not.
    """

    def test_everyReplyCode(self) -> None:
        """
        Only success opens the connection; a code that we do not know keeps its
        number.
        """
        for code in range(256):
            reply = SOCKS5Reply(code, UNSPECIFIED_IPV4)
            transcript = consume(
                SOCKS5ClientConnection(CONNECT), [CHOOSE_NOTHING + socks5.encodeReply(reply)]
            )
            self.assertEqual(transcript.events, [SOCKS5Replied(reply)])
            expected = SOCKS5ClientState.CLOSED if code else SOCKS5ClientState.OPEN
            self.assertIs(transcript.state, expected, f"reply code {code}")

    def test_conversations(self) -> None:
        """
        BIND has two replies, anything else one, and after a failure comes none; what
        stands behind the last one is data.
        """
        for request, octets, replies, state in (
            (CONNECT, (SUCCEEDED,), (SUCCEEDED,), SOCKS5ClientState.OPEN),
            (CONNECT, (FAILED,), (FAILED,), SOCKS5ClientState.CLOSED),
            (BIND, (SUCCEEDED, ARRIVED), (SUCCEEDED, ARRIVED), SOCKS5ClientState.OPEN),
            (BIND, (SUCCEEDED, FAILED), (SUCCEEDED, FAILED), SOCKS5ClientState.CLOSED),
            (BIND, (FAILED,), (FAILED,), SOCKS5ClientState.CLOSED),
            (ASSOCIATE, (SUCCEEDED,), (SUCCEEDED,), SOCKS5ClientState.OPEN),
        ):
            said = b"".join(OCTETS[each] for each in octets)
            for behind in (b"", b"data", OCTETS[ARRIVED]):
                transcript = consume(
                    SOCKS5ClientConnection(request), [CHOOSE_NOTHING + said + behind]
                )
                self.assertEqual(transcript.events, [SOCKS5Replied(each) for each in replies])
                self.assertIs(transcript.state, state)
                expected = behind if state is SOCKS5ClientState.OPEN else b""
                self.assertEqual(transcript.data, expected)

    def test_everyCommand(self) -> None:
        """
        Whatever is wanted is asked for.
        """
        for number in range(256):
            request = SOCKS5Request(number, TARGET)
            transcript = consume(SOCKS5ClientConnection(request), [CHOOSE_NOTHING])
            self.assertEqual(
                transcript.sent, OFFER_NOTHING + b"\5%c" % number + OCTETS[CONNECT][2:]
            )
            expected = (
                SOCKS5ClientState.BINDING if number == Command.BIND else SOCKS5ClientState.RESULT
            )
            self.assertIs(transcript.state, expected, f"command {number}")

    def test_data(self) -> None:
        """
        What stands behind the reply is handed over once, and so is what comes later.
        """
        machine = clientIn(SOCKS5ClientState.RESULT)
        list(machine.receive(OCTETS[SUCCEEDED] + b"one"))
        self.assertEqual(machine.takeData(), b"one")
        self.assertEqual(machine.takeData(), b"")
        list(machine.receive(b"two"))
        list(machine.receive(b"three"))
        self.assertEqual(machine.takeData(), b"twothree")

    def test_dataInEveryOtherState(self) -> None:
        """
        Before the replies are complete, and after a failure, no data can be had.
        """
        for state in set(SOCKS5ClientState) - {SOCKS5ClientState.OPEN}:
            self.assertIsNotNone(errorOf(UsageError, clientIn(state).takeData), state.name)


#: What is wrong with a reply -> octets, the last of which is the first that is wrong;
#: the error.
BROKEN_REPLIES: Mapping[str, tuple[str, type[PeerError]]] = {
    "version 0": ("00", MalformedMessage),
    "version 4": ("04", MalformedMessage),
    "unknown address type": ("05 00 00 02", UnknownAddressType),
    "failure with an unknown address type": ("05 05 00 00", UnknownAddressType),
    "empty name": ("05 00 00 03 00", MalformedMessage),
    "NUL in a name": ("05 00 00 03 01 00 0050", MalformedMessage),
}

#: State -> the same of what is waited for.
BROKEN: Mapping[SOCKS5ClientState, Mapping[str, tuple[str, type[PeerError]]]] = {
    SOCKS5ClientState.CHOICE: {
        "SOCKS 4": ("00", AnotherProtocol),
        "SOCKS 6": ("06", AnotherProtocol),
        "HTTP": ("48", AnotherProtocol),
        "a method that was not offered": ("05 01", MalformedMessage),
    },
    SOCKS5ClientState.CREDENTIALS_CHECK: {
        "version 0": ("00", MalformedMessage),
        "version 5": ("05", MalformedMessage),
    },
    SOCKS5ClientState.BINDING: BROKEN_REPLIES,
    SOCKS5ClientState.RESULT: BROKEN_REPLIES,
}


class BrokenMessageTests(SynchronousTestCase):
    """
    A server that breaks the protocol is found out.
    """

    def hear(self, machine: SOCKS5ClientConnection, octets: bytes) -> None:
        """
        Feed a machine that has nothing to tell.
        """
        self.assertEqual(list(machine.receive(octets)), [])

    def test_everyReadingState(self) -> None:
        """
        There are broken messages here for each state in which one is read.
        """
        self.assertEqual(set(BROKEN), set(SOCKS5ClientState) - {SOCKS5ClientState.IDLE} - set(DONE))

    def test_broken(self) -> None:
        """
        A message is found broken with the first wrong octet, neither earlier nor
        later, and yields no event.
        """
        for state, cases in BROKEN.items():
            for name, (octets, expected) in cases.items():
                case = f"{name} in state {state.name}"
                machine = clientIn(state)
                *fine, wrong = octetwise(bytes.fromhex(octets))
                for octet in fine:
                    self.hear(machine, octet)
                error = errorOf(PeerError, self.hear, machine, wrong)
                self.assertIs(type(error), expected, case)
                self.assertIs(machine.state, state, case)

    def test_brokenAtOnce(self) -> None:
        """
        A broken message that comes in one piece, with more behind it, ends in the
        same error.
        """
        for state, cases in BROKEN.items():
            for name, (octets, expected) in cases.items():
                wrong = bytes.fromhex(octets) + bytes(300)
                error = errorOf(PeerError, self.hear, clientIn(state), wrong)
                self.assertIs(type(error), expected, f"{name} in state {state.name}")


class EndOfInputTests(SynchronousTestCase):
    """
    The server may stop sending after its last reply.
    """

    def test_everyState(self) -> None:
        """
        The end is an error until the replies are complete, and changes nothing.
        """
        for state in SOCKS5ClientState:
            machine = clientIn(state)
            error = errorOf(PeerError, machine.endOfInput)
            expected = type(None) if state in DONE else UnexpectedEnd
            self.assertIs(type(error), expected, state.name)
            self.assertIs(machine.state, state)

    def test_everyTruncation(self) -> None:
        """
        Messages that end before their last octet are incomplete.
        """
        for request, replies in (
            (CONNECT, OCTETS[SUCCEEDED]),
            (BIND, OCTETS[SUCCEEDED] + OCTETS[ARRIVED]),
        ):
            for start in (CHOOSE_NOTHING, CHOOSE_PASSWORD + RIGHT):
                octets = start + replies
                for size in range(len(octets)):
                    transcript = consume(flexible(request), [octets[:size]])
                    self.assertIs(transcript.error, UnexpectedEnd, f"{size} octets")
                self.assertIsNone(consume(flexible(request), [octets]).error)
