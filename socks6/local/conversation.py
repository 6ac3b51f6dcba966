"""
A program's connection, from its first octet until octets are relayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from socks6.client.errors import NoAnswer, RequestRefused
from socks6.interfaces import (
    IAssociatingOutbound,
    IBindingOutbound,
    OutboundFailed,
    OutboundRequest,
)
from socks6.local.dialects import Dialect, SilentDialect, Wish, dialectFor
from socks6.local.isolation import sessionKey
from socks6.local.programport import ProgramPort, openSocket, socketAddressOf
from socks6.relay.legs import LegProtocol
from socks6.serving.conversation import Conversation
from socks6.sockets import originalDestination
from socks6.text import printable, words
from socks6.values.address import UNSPECIFIED_IPV4, Address
from socks6.values.codes import MAX_CREDENTIAL_LENGTH, Command, ReplyCode
from socks6.wire.errors import PeerError, UnexpectedEnd, UsageError

if TYPE_CHECKING:
    from socks6.local.factory import LocalFactory

_A = TypeVar("_A", bound=Address | None)


class LocalConversation(Conversation):
    """
    The conversation with a program that speaks one of the dialects.
    """

    factory: LocalFactory
    _dialect: Dialect | None = None
    #: Whether the program has been told that its wish is fulfilled.
    _isGreeted = False
    #: Whether all is over when the program sends no more: one that has ended looks like
    #: one that has only ended its direction.
    _endsWithInput = False
    #: Whether what the program sends means nothing.
    _isDeaf = False

    @property
    def heldLength(self) -> int:
        """
        How many octets wait in the dialect.
        """
        return 0 if self._dialect is None else self._dialect.heldLength

    def feed(self, octets: bytes) -> None:
        """
        Find out what the program speaks, and hear what it wants.

        @see: L{Conversation.feed}
        """
        if self._dialect is None:
            self._dialect = dialectFor(octets[0])
        for answer in self._dialect.receive(octets):
            if isinstance(answer, Wish):
                self.begin(answer.command, answer.address, self.serve(self._dialect, answer))
            else:
                self.write(answer)
        if self._isDeaf and self.leg.receiver is self:
            self._dialect.takeData()

    def endOfInput(self) -> None:
        """
        Check that the program has said what it wants.

        @see: L{Conversation.endOfInput}
        """
        if self._dialect is None:
            raise UnexpectedEnd("the connection ended before a request")
        self._dialect.endOfInput()
        if self._endsWithInput:
            self.stop()
            self.end("closed")

    def answer(self, error: PeerError) -> bytes:
        """
        Say it in the program's own words.

        @see: L{Conversation.answer}
        """
        return b"" if self._dialect is None else self._dialect.answer(error)

    def takeData(self) -> bytes:
        """
        Take what waits in the dialect.

        @see: L{Conversation.takeData}
        """
        assert self._dialect is not None
        return self._dialect.takeData()

    def lastWords(self, reason: Failure) -> bytes:
        """
        Refuse the program's wish, if it has not been told otherwise.

        @see: L{Conversation.lastWords}
        """
        error = reason.value
        code: int | None = None
        if isinstance(error, RequestRefused):
            code = error.code
        elif isinstance(error, NoAnswer):
            code = ReplyCode.TIMED_OUT
        return self._refusal(ReplyCode.GENERAL_FAILURE if code is None else code)

    def workFailed(self) -> None:
        """
        Refuse the program's wish.

        @see: L{Conversation.workFailed}
        """
        self._refuse(ReplyCode.GENERAL_FAILURE, "failed")

    async def serve(self, dialect: Dialect, wish: Wish) -> None:
        """
        Do what the program wants.
        """
        assert self.record is not None
        self.forgetDeadline()
        self.factory.gate.asked(self.leg)
        self.factory.letIn(self.began)
        if wish.credentials is not None:
            name = wish.credentials.username[:MAX_CREDENTIAL_LENGTH]
            self.record.user = printable(name) or "-"
        if wish.command not in dialect.commands:
            self._refuseCommand()
        elif wish.command == Command.CONNECT:
            await self._connect(dialect, wish)
        elif wish.command == Command.BIND:
            await self._bind(dialect, wish)
        else:
            await self._associate(dialect, wish)

    def _request(self, wish: Wish, isOptimistic: bool = False) -> OutboundRequest:
        """
        Say what is wanted of the way out.
        """
        client = getattr(self.transport.getPeer(), "host", "")
        key = sessionKey(self.factory.isolations, wish, client)
        return OutboundRequest(wish.address, session=key, optimistic=isOptimistic)

    async def _connect(self, dialect: Dialect, wish: Wish) -> None:
        """
        Connect to a remote host, and pass octets.
        """
        factory = self.factory
        isEarly = factory.answersEarly(dialect)
        if isEarly:
            self._grant(dialect, None)
        remote = LegProtocol()
        began = factory.clock.seconds()
        request = self._request(wish, isEarly)

        def connected(bound: Address | None) -> None:
            self.factory.connected(began)
            if not isEarly:
                self._grant(dialect, bound)

        await self._relayTo(
            remote,
            lambda: factory.outbound.connect(request, remote),
            connected,
        )

    async def _bind(self, dialect: Dialect, wish: Wish) -> None:
        """
        Wait for a remote host to connect, and pass octets.
        """
        outbound = self.factory.outbound
        if not IBindingOutbound.providedBy(outbound):
            self._refuseCommand()
            return
        self._endsWithInput = True
        remote = LegProtocol()

        def listening(bound: Address) -> None:
            # It is only half of what the program waits for.
            self.write(dialect.granted(bound))

        await self._relayTo(
            remote,
            lambda: outbound.bind(self._request(wish), remote, listening),
            lambda host: self._grant(dialect, host),
        )

    async def _relayTo(
        self,
        remote: LegProtocol,
        connect: Callable[[], Deferred[_A]],
        tell: Callable[[_A], None],
    ) -> None:
        """
        Pass octets as soon as there is a connection.

        @param remote: The remote host's, then.
        @param connect: Makes it.
        @param tell: Tells the program of what that has fired with.
        """
        try:
            address = await connect()
        except OutboundFailed as failure:
            self._refuseFor(failure)
            return
        if remote.transport is None:
            raise UsageError("the outbound has connected nothing")
        if remote.lost:
            self._refuse(ReplyCode.GENERAL_FAILURE, "the remote host is gone already")
            return
        try:
            tell(address)
        except BaseException:
            # Nobody else knows of it.
            remote.abort()
            raise
        self.relay(remote)

    async def _associate(self, dialect: Dialect, wish: Wish) -> None:
        """
        Pass datagrams, as long as the program's connection is there.
        """
        factory, transport = self.factory, self.transport
        outbound = factory.outbound
        here, program = (socketAddressOf(end) for end in (transport.getHost(), transport.getPeer()))
        if not IAssociatingOutbound.providedBy(outbound) or here is None or program is None:
            # Who can reach a UNIX socket is somebody else than who can reach a port.
            self._refuseCommand()
            return
        self._isDeaf = self._endsWithInput = True
        try:
            handle = openSocket(here)
        except OSError as error:
            self._refuse(ReplyCode.GENERAL_FAILURE, f"no port for datagrams: {error.strerror}")
            return
        program = (program[0], wish.address.port, *program[2:])
        port = ProgramPort(factory.clock, handle, program, factory.dropped, factory.idleTimeout)
        self.passing = port
        try:
            result = await self._passDatagrams(dialect, outbound, self._request(wish), port)
        except OutboundFailed as failure:
            self._refuseFor(failure)
            return
        finally:
            port.close()
        self.end(result)

    async def _passDatagrams(
        self,
        dialect: Dialect,
        outbound: IAssociatingOutbound,
        request: OutboundRequest,
        port: ProgramPort,
    ) -> str:
        """
        Pass datagrams between a program's port and a way out, until one of them ends.

        @return: How it ended, for the log.
        @raise OutboundFailed: There is no way out.
        """
        association = await outbound.associate(request, port.toProgramFrom, port.end)
        try:
            self._grant(dialect, port.bound)
            return await port.serve(association)
        finally:
            association.close()

    def _grant(self, dialect: Dialect, bound: Address | None) -> None:
        """
        Tell the program that its wish is fulfilled.

        @param bound: The address that its peer sees, if it is known.
        """
        assert self.record is not None
        self.record.code = ReplyCode.SUCCESS
        greeting = dialect.granted(bound or UNSPECIFIED_IPV4)
        self.write(greeting)
        self._isGreeted = bool(greeting)

    def _refusal(self, code: int) -> bytes:
        """
        Write that the program's wish is not fulfilled, if it has not been told
        otherwise.
        """
        if self._dialect is None or self._isGreeted:
            return b""
        return self._dialect.refused(code)

    def _refuseCommand(self) -> None:
        """
        Tell the program that we do not do what it wants.
        """
        code = ReplyCode.COMMAND_NOT_SUPPORTED
        self._refuse(code, words(code))

    def _refuseFor(self, failure: OutboundFailed) -> None:
        """
        Tell the program that there is no way out.
        """
        self._refuse(failure.replyCode, f"{words(failure.replyCode)} ({failure.reason})")

    def _refuse(self, code: int, result: str) -> None:
        """
        Tell the program that its wish is not fulfilled, and close the connection.

        @param result: How it ended, for the log.
        """
        assert self.record is not None
        self.record.code = code
        refusal = self._refusal(code)
        # Even if that is nothing: perhaps the program is gone, and all is said and done.
        self.write(refusal)
        if refusal:
            self.end(result)
        else:
            self.endAtOnce(result)


class TransparentConversation(LocalConversation):
    """
    The conversation with a program that believes itself to be connected to where it
    wants to go.
    """

    def started(self) -> None:
        """
        Find out where that is.
        """
        dialect = self._dialect = SilentDialect()
        destination = originalDestination(self.transport)
        if destination is None:
            # It has come here on purpose, and we would connect to ourselves.
            self.begin(Command.CONNECT, UNSPECIFIED_IPV4, self._nowhere())
        else:
            wish = Wish(Command.CONNECT, destination, None)
            self.begin(wish.command, wish.address, self.serve(dialect, wish))

    async def _nowhere(self) -> None:
        """
        Close the connection.
        """
        self.endAtOnce("not redirected")
