"""
One connection to a Redis server, on which txredisapi speaks the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.error import ConnectError, ConnectionClosed, ConnectionDone, DNSLookupError
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from socks6.interfaces import SessionStoreFailed

#: Octets that an answer may have.
MAX_ANSWER = 65536

#: What is wrong with a server in whose answers there is no sense, and with one that
#: gives none.
GARBLED = "what it says makes no sense"
SILENT = "it does not answer"


class RedisLink(Protocol):
    """
    One connection.

    @ivar redis: The library's protocol.
    @ivar fault: Why the connection was lost, once it is.
    """

    def __init__(self, reactor: Any, redis: Any) -> None:
        self.redis = redis
        self.fault = ""
        self._reactor = reactor
        self._isLost = False
        self._waiting: list[Deferred[None]] = []
        #: Octets that have come since the last answer.
        self._received = 0
        self._takeAnswer = redis.replyReceived
        redis.replyReceived = self._answerReceived
        # Its own is the global reactor's.
        redis.callLater = self._callLater

    def connectionMade(self) -> None:
        """
        Hand the transport on.
        """
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        self.redis.makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """
        Hand octets on.
        """
        self._received += len(data)
        self._parse(self.redis.dataReceived, data)
        if self._received > MAX_ANSWER:
            self._drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell all who wait for this, and all who wait for answers.
        """
        self._isLost = True
        self.fault = self.fault or words(reason.value)
        # In this order, so that nobody who gets no answer asks here again.
        fire(self._waiting)
        self.redis.connectionLost(reason)

    def whenLost(self) -> Deferred[None]:
        """
        Wait until the connection is lost.
        """
        if self._isLost:
            return succeed(None)
        lost: Deferred[None] = Deferred()
        self._waiting.append(lost)
        return lost

    def abort(self) -> None:
        """
        Close the connection, whether the server takes notice or not.
        """
        transport: Any = self.transport
        transport.abortConnection()

    async def end(self) -> None:
        """
        Close the connection, and wait until it is lost, even if cancelled.
        """
        self.abort()
        while not self._isLost:
            with suppress(CancelledError):
                await self.whenLost()

    def _callLater(
        self, delay: float, function: Callable[..., object], *arguments: object
    ) -> IDelayedCall:
        """
        Go on with the octets that came behind those of an answer.
        """
        call: IDelayedCall = self._reactor.callLater(delay, self._parse, function, *arguments)
        return call

    def _parse(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Let the library read octets, which it expects to make sense.
        """
        try:
            function(*arguments)
        except Exception:  # noqa: BLE001  it raises whatever comes of nonsense
            self._drop()

    def _answerReceived(self, answer: object) -> None:
        """
        Hand an answer to who has asked for it.

        @raise ValueError: Nobody has: from now on they would go to the wrong ones.
        """
        if not self.redis.replyQueue.waiting:
            raise ValueError("nobody has asked")
        self._received = 0
        self._takeAnswer(answer)

    def _drop(self) -> None:
        """
        Close a connection whose answers can no more be told apart.
        """
        self.fault = GARBLED
        self.abort()


class RedisLinkFactory(Factory):
    """
    Makes connections.
    """

    noisy = False

    def __init__(self, reactor: Any, library: Any) -> None:
        """
        @param library: The module C{txredisapi}.
        """
        self._reactor = reactor
        self._library = library

    def buildProtocol(self, address: IAddress | None) -> RedisLink:
        """
        Make a connection on which octets stay octets.
        """
        redis = self._library.RedisProtocol(charset=None, convertNumbers=False)
        return RedisLink(self._reactor, redis)


def fire(waiting: list[Deferred[None]]) -> None:
    """
    Tell all who wait, each once.
    """
    told, waiting[:] = waiting[:], []
    for each in told:
        each.callback(None)


def words(error: BaseException | None) -> str:
    """
    Say why there is no connection, in one line.
    """
    if isinstance(error, SessionStoreFailed):
        return str(error)
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, ConnectionDone):
        return "it has closed the connection"
    if isinstance(error, SSL.Error):
        return f"TLS failed: {error}"
    if isinstance(error, (ConnectError, ConnectionClosed, DNSLookupError)):
        return " ".join(str(error).split()).rstrip(".")
    return type(error).__name__
