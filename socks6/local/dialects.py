"""
What programs speak to proxies, each in the same terms: a wish comes in, and what the
program gets to hear of it goes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Protocol as Structure

from socks6.machine.buffer import takeMessage
from socks6.machine.events import SOCKS5Answered, SOCKS5RequestReceived
from socks6.machine.socks5server import SOCKS5ServerConnection
from socks6.text import words
from socks6.values.address import UNSPECIFIED_IPV4, Address
from socks6.values.codes import Command, ReplyCode
from socks6.wire import http, socks4, socks5
from socks6.wire.errors import AnotherProtocol, PeerError, UnexpectedEnd
from socks6.wire.http import CONNECTION_ESTABLISHED, RequestHead, encodeResponse
from socks6.wire.httpproxy import (
    absoluteTarget,
    authorityAddress,
    basicCredentials,
    connectTarget,
    errorStatus,
    forwardedHead,
)
from socks6.wire.password import ProgramCredentials
from socks6.wire.replycodes import toHTTP, toSOCKS4, toSOCKS5
from socks6.wire.socks4 import SOCKS4Reply
from socks6.wire.socks5 import SOCKS5Reply

_CONNECT = b"CONNECT"


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What a program wants.

    @ivar command: A plain C{int} if we do not know it.
    @ivar address: Where to.
    @ivar credentials: Who it says it is, if it does.
    """

    command: Command | int
    address: Address
    credentials: ProgramCredentials | None


class NothingOffered(PeerError):
    """
    The program offers no way to authenticate that we know, and has been told so.
    """


class Dialect(Structure):
    """
    One side of a conversation with one program.

    @cvar answersEarly: Whether programs usually send their first data without delay
        when they have got their answer, so that it pays to give it early.
    @cvar commands: What programs may want in it.
    """

    answersEarly: bool
    commands: Collection[Command]

    @property
    def heldLength(self) -> int:
        """
        How many octets of the program wait in here.
        """

    def receive(self, octets: bytes) -> Iterator[bytes | Wish]:
        """
        Take octets of the program.

        @return: What to write, and what it wants, once.
        @raise PeerError: It does not speak this dialect well.
        """

    def endOfInput(self) -> None:
        """
        Learn that the program sends nothing more.

        @raise PeerError: It should have.
        """

    def granted(self, bound: Address) -> bytes:
        """
        Say that the program's wish is fulfilled; of BIND, that its peer can connect
        now, and then that it has.

        @param bound: The address that its peer sees; in the second answer to BIND, the
            peer's own; of UDP ASSOCIATE, where to send datagrams.
        """

    def refused(self, code: int) -> bytes:
        """
        Say that it is not.

        @param code: Why, as SOCKS 6 says it.
        """

    def answer(self, error: PeerError) -> bytes:
        """
        Say what is wrong with what the program has said.
        """

    def takeData(self) -> bytes:
        """
        Hand over the octets that are for its peer, in order, once.
        """


class SOCKS5Dialect:
    """
    SOCKS 5.
    """

    answersEarly = True
    commands: Collection[Command] = (Command.CONNECT, Command.BIND, Command.UDP_ASSOCIATE)

    def __init__(self) -> None:
        self._machine = SOCKS5ServerConnection()

    @property
    def heldLength(self) -> int:
        """
        How many octets wait in the machine.
        """
        return self._machine.heldLength

    def receive(self, octets: bytes) -> Iterator[bytes | Wish]:
        """
        Feed the machine.

        @see: L{Dialect.receive}
        """
        for event in self._machine.receive(octets):
            if isinstance(event, SOCKS5Answered):
                yield event.octets
            elif isinstance(event, SOCKS5RequestReceived):
                yield Wish(event.request.command, event.request.address, event.credentials)
            else:
                raise NothingOffered("no authentication method that we know")

    def endOfInput(self) -> None:
        """
        Tell the machine.

        @see: L{Dialect.endOfInput}
        """
        self._machine.endOfInput()

    def granted(self, bound: Address) -> bytes:
        """
        Write a reply.

        @see: L{Dialect.granted}
        """
        return self._machine.send(SOCKS5Reply(0, bound))

    def refused(self, code: int) -> bytes:
        """
        Write a reply.

        @see: L{Dialect.refused}
        """
        return self._machine.send(SOCKS5Reply(toSOCKS5(code), UNSPECIFIED_IPV4))

    def answer(self, error: PeerError) -> bytes:
        """
        Ask the machine.

        @see: L{Dialect.answer}
        """
        return b"" if isinstance(error, NothingOffered) else self._machine.answer(error)

    def takeData(self) -> bytes:
        """
        Take what waits in the machine.

        @see: L{Dialect.takeData}
        """
        return self._machine.takeData()


class _OneMessage:
    """
    A dialect in which one message says it all; what follows is for the peer.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._isSaid = False

    @property
    def heldLength(self) -> int:
        """
        How many octets wait.
        """
        return len(self._buffer)

    def _wish(self) -> Wish | None:
        """
        Read the message, if it is whole.
        """
        raise NotImplementedError

    def receive(self, octets: bytes) -> Iterator[bytes | Wish]:
        """
        Wait for the message.

        @see: L{Dialect.receive}
        """
        self._buffer += octets
        if not self._isSaid:
            wish = self._wish()
            if wish is not None:
                self._isSaid = True
                yield wish

    def endOfInput(self) -> None:
        """
        Check that the message is there.

        @see: L{Dialect.endOfInput}
        """
        if not self._isSaid:
            raise UnexpectedEnd("the connection ended before the program's request did")

    def takeData(self) -> bytes:
        """
        Take what waits.

        @see: L{Dialect.takeData}
        """
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


class SOCKS4Dialect(_OneMessage):
    """
    SOCKS 4 and 4a.
    """

    answersEarly = False
    commands: Collection[Command] = (Command.CONNECT, Command.BIND)

    def _wish(self) -> Wish | None:
        """
        Read the request; a user ID tells programs from one another.
        """
        request = takeMessage(self._buffer, socks4.requestLength, socks4.decodeRequest)
        if request is None:
            return None
        who = ProgramCredentials(request.userID, b"") if request.userID else None
        return Wish(request.command, request.address, who)

    def granted(self, bound: Address) -> bytes:
        """
        Write a reply.

        @see: L{Dialect.granted}
        """
        host = bound.host if isinstance(bound.host, IPv4Address) else IPv4Address(0)
        return socks4.encodeReply(SOCKS4Reply(toSOCKS4(0), host, bound.port))

    def refused(self, code: int) -> bytes:
        """
        Write a reply.

        @see: L{Dialect.refused}
        """
        return socks4.encodeReply(SOCKS4Reply(toSOCKS4(code)))

    def answer(self, error: PeerError) -> bytes:
        """
        Reject.

        @see: L{Dialect.answer}
        """
        return b"" if isinstance(error, UnexpectedEnd) else self.refused(1)


class HTTPDialect(_OneMessage):
    """
    HTTP: CONNECT, and requests for http URIs.

    A request for a URI needs no answer of ours, as the origin server will give one.
    """

    answersEarly = True
    commands: Collection[Command] = (Command.CONNECT,)

    def __init__(self) -> None:
        super().__init__()
        self._granted = b""

    def _wish(self) -> Wish | None:
        """
        Read the head of the request.
        """
        head: RequestHead | None
        head = takeMessage(self._buffer, http.headLength, http.decodeHead)
        if head is None:
            return None
        if head.method == _CONNECT:
            self._granted = CONNECTION_ESTABLISHED
            authority = connectTarget(head)
        else:
            authority, _ = absoluteTarget(head)
            self._buffer[:0] = forwardedHead(head)
        return Wish(Command.CONNECT, authorityAddress(authority), basicCredentials(head))

    def granted(self, bound: Address) -> bytes:
        """
        Say so, of a tunnel.

        @see: L{Dialect.granted}
        """
        return self._granted

    def refused(self, code: int) -> bytes:
        """
        Write a response.

        @see: L{Dialect.refused}
        """
        reason = words(ReplyCode(code) if code in tuple(ReplyCode) else code)
        return _response(toHTTP(code), f"The proxy could not connect: {reason}")

    def answer(self, error: PeerError) -> bytes:
        """
        Write a response.

        @see: L{Dialect.answer}
        """
        if isinstance(error, UnexpectedEnd):
            return b""
        return _response(errorStatus(error), str(error))


class SilentDialect:
    """
    What programs speak that do not know of us: nothing.
    """

    answersEarly = False
    commands: Collection[Command] = (Command.CONNECT,)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def heldLength(self) -> int:
        """
        How many octets wait.
        """
        return len(self._buffer)

    def receive(self, octets: bytes) -> Iterator[bytes | Wish]:
        """
        Keep it all for the peer.

        @see: L{Dialect.receive}
        """
        self._buffer += octets
        return iter(())

    def endOfInput(self) -> None:
        """
        Expect nothing.

        @see: L{Dialect.endOfInput}
        """

    def granted(self, bound: Address) -> bytes:
        """
        Say nothing.

        @see: L{Dialect.granted}
        """
        return b""

    def refused(self, code: int) -> bytes:
        """
        Say nothing.

        @see: L{Dialect.refused}
        """
        return b""

    def answer(self, error: PeerError) -> bytes:
        """
        Say nothing.

        @see: L{Dialect.answer}
        """
        return b""

    def takeData(self) -> bytes:
        """
        Take what waits.

        @see: L{Dialect.takeData}
        """
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


def _response(status: HTTPStatus, text: str) -> bytes:
    """
    Write a response for people.
    """
    fields = [(b"Content-Type", b"text/plain; charset=us-ascii")]
    return encodeResponse(status, status.phrase, fields, f"{text}.\n".encode("ascii"))


def dialectFor(octet: int) -> Dialect:
    """
    Find out by its first octet what a program speaks.

    @raise AnotherProtocol: None of these.
    """
    if octet == socks5.VERSION:
        return SOCKS5Dialect()
    if octet == socks4.VERSION:
        return SOCKS4Dialect()
    if bytes([octet]).isalpha():
        return HTTPDialect()
    raise AnotherProtocol(f"neither SOCKS 4, SOCKS 5 nor HTTP: the first octet is {octet}")
