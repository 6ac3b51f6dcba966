"""
One request to a proxy, what it answers, and how long that takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectingCancelledError, ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.machine import events
from socks6.machine.client import ClientConnection
from socks6.text import errorWords
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.wire import DEFAULT_CODEC
from socks6.wire.errors import PeerError


@dataclass(slots=True)
class Answer:
    """
    What came of a request.

    @ivar authentication: The first Authentication Reply that decides something.
    @ivar demandsCredentials: Whether the proxy has asked for a user name and password
        in the way of RFC 1929.
    @ivar operation: The Operation Reply.
    @ivar fault: Why there is no more; empty if nothing is missing.
    @ivar tls: What was agreed on, if TLS is spoken: C{version} and C{cipher}.
    @ivar times: When each phase ended, in seconds since the beginning, in their order:
        C{connect}, C{tls}, C{authentication}, C{operation}.
    """

    authentication: AuthenticationReply | None = None
    demandsCredentials: bool = False
    operation: OperationReply | None = None
    fault: str = ""
    tls: dict[str, str] | None = None
    times: dict[str, float] = field(default_factory=dict)

    @property
    def roundTrip(self) -> float | None:
        """
        The seconds of one round trip to the proxy; with a name, its look-up is in them.
        """
        return self.times.get("connect")


async def ask(
    reactor: Any, endpoint: IStreamClientEndpoint, request: Request, timeout: float
) -> Answer:
    """
    Make a request, on a connection of its own, which ends with the last reply.

    @param timeout: Seconds that it may take to connect, and then to get all replies.
    @return: What came of it; there is no other outcome.  Cancelling breaks it off.
    """
    inquiry = _Inquiry(reactor, request)
    error = await attend(reactor, endpoint, inquiry, timeout)
    if isinstance(error, TimeoutError):
        inquiry.answer.fault = f"no answer within {timeout:g} s"
    elif error is not None:
        inquiry.answer.fault = errorWords(error)
    return inquiry.answer


class Visitor(Protocol):
    """
    A protocol that has an end of its own.

    @ivar done: Fires when no more is to come.
    """

    transport: Any = None

    def __init__(self) -> None:
        """
        Begin.
        """
        self.done: Deferred[None] = Deferred()

    def end(self) -> None:
        """
        Wait for nothing more.
        """
        if not self.done.called:
            self.done.callback(None)


async def attend(
    clock: IReactorTime, endpoint: IStreamClientEndpoint, visitor: Visitor, timeout: float
) -> BaseException | None:
    """
    Connect a visitor, and close its connection when it is done.

    @param timeout: Seconds that it may take to connect, and then until it is done.
    @return: Why it did not come to that, if it did not; L{TimeoutError}: it has taken
        too long.
    @raise CancelledError: We were cancelled.
    """
    try:
        error = await _within(timeout, clock, connectProtocol(endpoint, visitor))
        if error is None:
            error = await _within(timeout, clock, visitor.done)
    finally:
        if visitor.transport is not None:
            visitor.transport.abortConnection()
    return error


async def _within(
    seconds: float, clock: IReactorTime, result: Deferred[Any]
) -> BaseException | None:
    """
    Wait for something, but not too long.

    @see: L{attend}
    """

    def tooLate(value: object, seconds: float) -> NoReturn:
        raise TimeoutError(seconds)

    result.addTimeout(seconds, clock, tooLate)
    error: BaseException | None
    error = await result.addCallbacks(lambda _: None, lambda failure: failure.value)
    # The other one is what endpoints fail with.
    if isinstance(error, CancelledError | ConnectingCancelledError):
        raise CancelledError
    return error


@implementer(IHandshakeListener)
class _Inquiry(Visitor):
    """
    Makes the request.
    """

    def __init__(self, clock: IReactorTime, request: Request) -> None:
        """
        Let the clock run.
        """
        super().__init__()
        self.answer = Answer()
        self._clock = clock
        self._began = clock.seconds()
        self._request = request
        self._machine = ClientConnection(DEFAULT_CODEC)

    def _note(self, phase: str) -> None:
        """
        Take note of the end of a phase.
        """
        self.answer.times[phase] = self._clock.seconds() - self._began

    def connectionMade(self) -> None:
        """
        Make the request; TLS keeps it until it can be sent.
        """
        self._note("connect")
        self.transport.write(self._machine.open(self._request))

    def handshakeCompleted(self) -> None:
        """
        Take note of what was agreed on.
        """
        self._note("tls")
        connection = self.transport.getHandle()
        self.answer.tls = {
            "version": connection.get_protocol_version_name(),
            "cipher": connection.get_cipher_name(),
        }

    def dataReceived(self, data: bytes) -> None:
        """
        Read replies.
        """
        try:
            for event in self._machine.receive(data):
                self._act(event)
        except PeerError as error:
            self._fail(str(error))

    def _act(self, event: events.ClientEvent) -> None:
        """
        Take note of a reply.
        """
        if isinstance(event, events.OperationReplied):
            self._note("operation")
            self.answer.operation = event.reply
            self.end()
            return
        self._note("authentication")
        if isinstance(event, events.Authenticated):
            self.answer.authentication = event.reply
        elif isinstance(event, events.AuthenticationRefused):
            self.answer.authentication = event.reply
            self._fail("the proxy does not let us in")
        else:
            self.answer.demandsCredentials = True
            self._fail("the proxy wants a user name and password")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Nothing more can come.
        """
        try:
            self._machine.endOfInput()
        except PeerError as error:
            isOrderly = reason.check(ConnectionDone)
            self._fail(errorWords(error if isOrderly else reason.value or error))

    def _fail(self, fault: str) -> None:
        """
        Wait for nothing more, as something is missing.
        """
        if not self.done.called:
            self.answer.fault = fault
        self.end()
