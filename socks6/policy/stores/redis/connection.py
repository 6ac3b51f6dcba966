"""
A connection to a Redis server that is made anew whenever it is lost.

txredisapi speaks the protocol.  Its own ways to stay connected are not used: they
give up for good when the server refuses a password or a database, which it does
while it is still reading its file.  Nor is Twisted's C{ClientService}: it neither
closes a connection that it has rejected, nor expects one to be lost while it is
being prepared, and it writes a line for each attempt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.interfaces import SessionStoreFailed
from socks6.policy.stores.redis.link import (
    GARBLED,
    SILENT,
    RedisLink,
    RedisLinkFactory,
    fire,
    words,
)
from socks6.policy.stores.redis.server import RedisServer

#: Seconds that a request may take, and that it may take to connect.
REQUEST_TIMEOUT = 5.0

#: Requests in flight.
MAX_IN_FLIGHT = 1000

#: Seconds until we connect again: at first, and at most.
FIRST_DELAY = 0.1
LAST_DELAY = 1.0

#: Seconds in which it is said once that the server is away, and that it is back.
LINE_PERIOD = 60.0

#: The errors of a server that has become a replica, so that we may find its
#: successor where it was.
_SUPERSEDED = "READONLY"

#: What an error of the server begins with, or, up to Redis 6, that of a command in a
#: script; what follows may quote us.
_ERROR_CODE = re.compile(r"(?:(?:ERR )?Error running script.*: -)?([A-Z]+)\b")

_Result = TypeVar("_Result")


class RedisConnection:
    """
    Carries out scripts, several at once over one connection.

    It connects from the beginning on, again and again, until it is closed, which it
    is for good.
    """

    _log = Logger()

    def __init__(self, reactor: Any, server: RedisServer) -> None:
        # It imports the reactor.
        import txredisapi

        self._library: Any = txredisapi
        self._reactor = reactor
        self._server = server
        self._closing = False
        #: The connection that is ready for requests.
        self._link: RedisLink | None = None
        #: Why the server cannot be reached, while that is known.
        self._trouble: str | None = None
        #: Who waits until it is known.
        self._waiting: list[Deferred[None]] = []
        self._inFlight = 0
        self._whenIdle: list[Deferred[None]] = []
        #: When the log was told that the server is away.
        self._toldAt: float | None = None
        #: Whether it was told since of nothing else.
        self._isTold = False
        #: What keeps us connected.
        self._work = Deferred.fromCoroutine(self._stayConnected())

    def run(
        self,
        script: bytes,
        keys: Sequence[bytes],
        arguments: Sequence[bytes | str | int],
        read: Callable[[Any], _Result],
    ) -> Deferred[_Result]:
        """
        Let the server carry out a script.

        @param read: Makes sense of its answer, or raises L{ValueError}.
        @return: Fires with what C{read} has made of it.  Fails with
            L{SessionStoreFailed} within L{REQUEST_TIMEOUT}; at once if it is known
            that the server cannot be reached, or if there are too many requests.
            Then the script may have been carried out nevertheless.  Cancelling does
            not keep it from that.
        """
        request = Deferred.fromCoroutine(self._run(script, keys, arguments, read))
        request.addTimeout(REQUEST_TIMEOUT, self._reactor)
        request.addErrback(self._nameTimeout)
        # Whoever cancels the result does not cancel the request: a server that hangs
        # must be noticed even if nobody waits.
        result: Deferred[_Result] = Deferred()
        request.chainDeferred(result)
        return result

    def close(self) -> Deferred[None]:
        """
        Close the connection as soon as no request is in flight, and make no other.

        @return: Fires when it is closed; never fails.
        """
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        """
        Close the connection.
        """
        if self._inFlight:
            idle: Deferred[None] = Deferred()
            self._whenIdle.append(idle)
            await idle
        self._closing = True
        self._work.cancel()
        await self._work

    # Requests.

    async def _run(
        self,
        script: bytes,
        keys: Sequence[bytes],
        arguments: Sequence[bytes | str | int],
        read: Callable[[Any], _Result],
    ) -> _Result:
        """
        Let the server carry out a script.

        @raise SessionStoreFailed: It does not.
        """
        if self._inFlight >= MAX_IN_FLIGHT:
            raise self._failed("has too much to do")
        self._inFlight += 1
        try:
            link = await self._ready()
            try:
                return read(await link.redis.eval(script, keys, arguments))
            except CancelledError:
                # Nobody but the timeout cancels.
                self._leave(link, SILENT)
                raise
            except (ValueError, self._library.InvalidResponse, self._library.InvalidData):
                self._leave(link, GARBLED)
                raise self._failed("gives no answer that makes sense") from None
            except self._library.ResponseError as error:
                code = _codeOf(error)
                if code == _SUPERSEDED:
                    self._leave(link, "it is a replica")
                raise self._failed(f"refuses to serve ({code})") from None
            except self._library.RedisError:
                raise self._failed("is no longer connected") from None
        finally:
            self._inFlight -= 1
            if not self._inFlight:
                fire(self._whenIdle)

    def _nameTimeout(self, reason: Failure) -> None:
        """
        Say what happened when a request has taken too long.

        @raise SessionStoreFailed: Always, unless it is something else.
        """
        reason.trap(TimeoutError)
        raise self._failed("does not answer") from None

    def _failed(self, words: str) -> SessionStoreFailed:
        """
        Make an error about the server.
        """
        return SessionStoreFailed(f"{self._server.name} {words}")

    async def _ready(self) -> RedisLink:
        """
        Wait for a connection, unless it is known that there can be none.

        @raise SessionStoreFailed: There is none.
        """
        if self._link is None and self._trouble is None:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        if self._link is None:
            raise self._failed(f"cannot be reached: {self._trouble}")
        return self._link

    def _leave(self, link: RedisLink, trouble: str) -> None:
        """
        Drop a connection that is of no use.
        """
        self._link = None
        self._note(trouble)
        link.abort()

    # The connection.

    async def _stayConnected(self) -> None:
        """
        Connect again and again, until we are to close and all is closed.
        """
        failures = 0
        while not self._closing:
            try:
                link = await self._connect()
            except Exception as error:  # noqa: BLE001  whatever it is may pass
                if self._closing:
                    return
                failures += 1
                self._note(words(error))
            else:
                failures = 0
                await self._serve(link)
                if self._closing:
                    return
            delay = min(FIRST_DELAY * 2 ** min(failures, 10), LAST_DELAY)
            with suppress(CancelledError):
                await deferLater(self._reactor, delay)

    def _connect(self) -> Deferred[RedisLink]:
        """
        Connect.

        @return: Fires with a connection that is ready for requests.  Fails if there
            is none, or none soon enough.  When it is cancelled, it fails when what
            there was of a connection is closed.
        """

        def tooLate(result: object, seconds: float) -> Failure:
            return Failure(TimeoutError())

        attempt = Deferred.fromCoroutine(self._prepared())
        return attempt.addTimeout(REQUEST_TIMEOUT, self._reactor, tooLate)

    async def _prepared(self) -> RedisLink:
        """
        Connect, log in and choose the database.

        @raise Exception: There is no connection.
        """
        factory = RedisLinkFactory(self._reactor, self._library)
        link = await self._server.endpoint(self._reactor).connect(factory)
        assert isinstance(link, RedisLink)
        try:
            await self._prepare(link)
        except Exception:
            await link.end()
            raise
        return link

    async def _prepare(self, link: RedisLink) -> None:
        """
        Log in and choose the database.

        @raise SessionStoreFailed: The server does not let us, or is of no use.
        """
        server, redis = self._server, link.redis
        step = ""
        try:
            if server.password is not None:
                step = "AUTH"
                await redis.auth(server.password, server.username)
            if server.database:
                step = "SELECT"
                await redis.select(server.database)
            # While it reads its file it answers the others, and not this.
            step = "PING"
            await redis.ping()
        except self._library.ResponseError as error:
            raise SessionStoreFailed(f"it refuses {step} ({_codeOf(error)})") from None
        except self._library.RedisError:
            raise SessionStoreFailed(link.fault or GARBLED) from None

    async def _serve(self, link: RedisLink) -> None:
        """
        Let requests use a connection until it is lost.
        """
        self._link, self._trouble = link, None
        if self._isTold:
            self._isTold = False
            self._log.info("{server} can be reached again", server=self._server.name)
        fire(self._waiting)
        try:
            await link.whenLost()
        except CancelledError:
            await link.end()
        self._link = None

    def _note(self, trouble: str) -> None:
        """
        Remember why the server cannot be reached, and tell all who wait for it.
        """
        self._trouble = trouble
        now = self._reactor.seconds()
        if not self._isTold and (self._toldAt is None or now - self._toldAt >= LINE_PERIOD):
            self._isTold, self._toldAt = True, now
            self._log.warn(
                "{server} cannot be reached, and without it there are no sessions: {trouble}",
                server=self._server.name,
                trouble=trouble,
            )
        fire(self._waiting)


def _codeOf(error: Exception) -> str:
    """
    Get the word that names an error of the server; the others may hold what we have
    sent.
    """
    match = _ERROR_CODE.match(str(error))
    # The library takes this one away.
    return match[1] if match else "ERR"
