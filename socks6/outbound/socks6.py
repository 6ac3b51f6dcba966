"""
The way through another SOCKS 6 proxy, or one of several.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.adoption import Prepared
from socks6.client.access import Access
from socks6.client.attempt import ConnectionAttempt
from socks6.client.destination import addressShown
from socks6.client.errors import NoAnswer, RequestRefused, SessionClosed
from socks6.client.negotiation import Terms
from socks6.client.pool import SessionPool
from socks6.client.session import SOCKS6Session
from socks6.client.urls import DatagramRoute
from socks6.interfaces import (
    IAssociatingOutbound,
    IAssociation,
    IBindingOutbound,
    IOutbound,
    OutboundFailed,
    OutboundRequest,
    Place,
)
from socks6.outbound.socks6ports import Association, OneHostPort
from socks6.text import errorWords
from socks6.values.address import UNSPECIFIED_IPV4, Address, unspecifiedLike
from socks6.values.codes import Command, Leg, ReplyCode
from socks6.values.options import IPTypeOfService, Option, UsernamePassword
from socks6.wire import DEFAULT_CODEC

#: Seconds for which a proxy that could not be reached is tried after the others.
AVOIDANCE_PERIOD = 30.0

#: Seconds that proxies may take to hear that sessions end.
STOP_TIMEOUT = 5.0

#: The key of the session that all requests share.
_SHARED = b""

#: Failures for which another proxy would be no better: it has said no, or waits for the
#: remote host; or it is we who gave up.
_NOT_TO_BLAME = (RequestRefused, NoAnswer, SessionClosed, CancelledError, ConnectionClosed)

_T = TypeVar("_T")


class UpstreamProxy:
    """
    A proxy that requests go through.

    @ivar name: What it is called in logs.
    @ivar pool: Our sessions with it.
    @ivar access: The way to it without a session.
    @ivar datagrams: How datagrams get to it; L{None}: not at all.
    @ivar failedAt: When it could not be reached, if that was the last one hears of it.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        name: str,
        endpoint: IStreamClientEndpoint,
        credentials: UsernamePassword | None = None,
        datagrams: DatagramRoute | None = None,
    ) -> None:
        """
        @param endpoint: The way to it.
        @param credentials: Who we are, if that is to be told.
        @param datagrams: How datagrams get to it; L{None}: not at all.
        """
        self.name = name
        username = password = None
        if credentials is not None:
            username, password = credentials.username, credentials.password
        self.pool = SessionPool(
            reactor,
            lambda: SOCKS6Session(reactor, endpoint, username=username, password=password),
        )
        self.access = Access(endpoint, () if credentials is None else (credentials,))
        self.datagrams = datagrams
        self.failedAt: float | None = None


class _Attempt(ConnectionAttempt):
    """
    An attempt that also tells how it ended if the connection counted as made before.
    """

    def __init__(
        self,
        access: Access,
        terms: Terms,
        protocol: IProtocol,
        judge: Callable[[Failure | None], None],
    ) -> None:
        """
        @param protocol: What to connect.
        @param judge: Is called with why it has failed; with L{None} if it has not.
        """
        super().__init__(access, terms, Prepared(protocol))
        self._judge = judge

    def succeeded(self) -> None:
        """
        Tell that the proxy has replied.
        """
        super().succeeded()
        self._judge(None)

    def failed(self, failure: Failure) -> None:
        """
        Tell why there is no tunnel, before another proxy is tried.
        """
        self._judge(failure)
        super().failed(failure)


@implementer(IOutbound, IBindingOutbound, IAssociatingOutbound)
class SOCKS6Outbound(Service):
    """
    Reaches remote hosts through the first of some SOCKS 6 proxies that can be reached.

    It works from construction; as a service it ends its sessions when it stops.
    """

    isDirect = False

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        proxies: Sequence[UpstreamProxy],
        *,
        isolate: bool = False,
        timeout: float = 30.0,
    ) -> None:
        """
        @param reactor: Measures how long it takes.
        @param proxies: At least one; those that come first are preferred.
        @param isolate: Whether each session of ours has one of its own with the
            proxy, and what is in no session is in none there; if not, all requests
            share one.
        @param timeout: Seconds that a proxy may take for its replies.
        """
        self._reactor = reactor
        self._proxies = tuple(proxies)
        self._isolate = isolate
        self._timeout = timeout

    def stopService(self) -> Deferred[Any]:
        """
        End all sessions.

        @return: Fires when that is done, or has taken too long; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        ended = DeferredList([proxy.pool.close() for proxy in self._proxies])
        return ended.addTimeout(STOP_TIMEOUT, self._reactor, lambda result, seconds: None)

    def connect(self, request: OutboundRequest, protocol: IProtocol) -> Deferred[Address | None]:
        """
        Connect to a remote host.

        @see: L{IOutbound.connect}
        """
        return Deferred.fromCoroutine(self._connect(request, protocol))

    async def _connect(self, request: OutboundRequest, protocol: IProtocol) -> Address | None:
        """
        Connect through one of the proxies.

        @raise OutboundFailed: A proxy said no, or none can be reached.
        """
        terms = self._terms(Command.CONNECT, request.address, request)

        def through(access: Access, proxy: UpstreamProxy) -> Deferred[IProtocol]:
            return _Attempt(access, terms, protocol, partial(self._judge, proxy)).start()

        connected: Any = await self._throughFirst(self._proxies, request, through)
        return None if request.optimistic else addressShown(connected.transport.getHost())

    def bind(
        self,
        request: OutboundRequest,
        protocol: IProtocol,
        listening: Callable[[Address], object],
    ) -> Deferred[Address]:
        """
        Wait for a remote host.

        The proxy chooses the address and the port, of the version of IP of the host that
        is expected.

        @see: L{IBindingOutbound.bind}
        """
        return Deferred.fromCoroutine(self._bind(request, protocol, listening))

    async def _bind(
        self,
        request: OutboundRequest,
        protocol: IProtocol,
        listening: Callable[[Address], object],
    ) -> Address:
        """
        Wait at one of the proxies.

        @raise OutboundFailed: A proxy said no, or none can be reached.
        """
        terms = self._terms(Command.BIND, unspecifiedLike(request.address.host), request)
        isListening = False

        def listens(bound: Address) -> None:
            nonlocal isListening
            isListening = True
            listening(bound)

        def through(access: Access, proxy: UpstreamProxy) -> Deferred[Address]:
            return OneHostPort(access, terms, protocol, listens).open()

        return await self._throughFirst(
            self._proxies, request, through, isSettled=lambda: isListening
        )

    def associate(
        self,
        request: OutboundRequest,
        received: Callable[[bytes, Place], object],
        lost: Callable[[str], object],
    ) -> Deferred[IAssociation]:
        """
        Find a way for datagrams.

        @see: L{IAssociatingOutbound.associate}
        """
        return Deferred.fromCoroutine(self._associate(request, received, lost))

    async def _associate(
        self,
        request: OutboundRequest,
        received: Callable[[bytes, Place], object],
        lost: Callable[[str], object],
    ) -> IAssociation:
        """
        Have one of the proxies pass datagrams, which one must be able to send to it.

        @raise OutboundFailed: A proxy said no, none can be reached, or datagrams get to
            none.
        """
        terms = self._terms(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4, request)
        proxies = [proxy for proxy in self._proxies if proxy.datagrams is not None]
        if not proxies:
            names = ", ".join(proxy.name for proxy in self._proxies)
            raise OutboundFailed(
                ReplyCode.COMMAND_NOT_SUPPORTED,
                f"{names}: where to send datagrams is not known, see dtls= and udp=",
            )

        async def through(access: Access, proxy: UpstreamProxy) -> IAssociation:
            assert proxy.datagrams is not None
            association = Association(received, lost)
            return await association.open(self._reactor, access, terms, proxy.datagrams)

        return await self._throughFirst(proxies, request, through)

    def _terms(self, command: Command, address: Address, request: OutboundRequest) -> Terms:
        """
        Say what a proxy is asked for.
        """
        options: list[Option] = []
        if request.typeOfService is not None:
            options.append(IPTypeOfService(Leg.BOTH, request.typeOfService))
        return Terms(
            self._reactor,
            command,
            address,
            request.optimistic,
            self._timeout,
            DEFAULT_CODEC,
            options,
            # Where the connection counts as made, no other proxy can be tried any more.
            mayHurry=not request.optimistic or len(self._proxies) == 1,
        )

    async def _throughFirst(
        self,
        proxies: Sequence[UpstreamProxy],
        request: OutboundRequest,
        through: Callable[[Access, UpstreamProxy], Awaitable[_T]],
        isSettled: Callable[[], bool] = lambda: False,
    ) -> _T:
        """
        Try one proxy after the other.

        @param through: Tries one.
        @param isSettled: Tells whether it is too late for another one.
        @return: What C{through} has returned.
        @raise OutboundFailed: A proxy said no, or none can be reached.
        """
        reasons = []
        for proxy in sorted(proxies, key=self._isAvoided):
            try:
                found = await self._through(proxy, request, through)
            except RequestRefused as refused:
                code = refused.code
                if not isinstance(code, ReplyCode):
                    code = ReplyCode.GENERAL_FAILURE
                raise OutboundFailed(code, f"{proxy.name}: {errorWords(refused)}") from None
            except NoAnswer as error:
                raise OutboundFailed(
                    ReplyCode.TIMED_OUT, f"{proxy.name}: {errorWords(error)}"
                ) from None
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  endpoints fail in many ways
                reasons.append(f"{proxy.name}: {errorWords(error)}")
                if isSettled():
                    break
                self._judge(proxy, Failure(error))
            else:
                if not request.optimistic:
                    self._judge(proxy, None)
                return found
        raise OutboundFailed(ReplyCode.GENERAL_FAILURE, "; ".join(reasons))

    async def _through(
        self,
        proxy: UpstreamProxy,
        request: OutboundRequest,
        through: Callable[[Access, UpstreamProxy], Awaitable[_T]],
    ) -> _T:
        """
        Try one proxy.
        """
        key = request.session if self._isolate else _SHARED
        if key is not None:
            # There may be too many sessions, and then the proxy is not to blame.
            with suppress(SessionClosed):
                return await through(proxy.pool.session(key), proxy)
        return await through(proxy.access, proxy)

    def _isAvoided(self, proxy: UpstreamProxy) -> bool:
        """
        Tell whether to try others first.
        """
        now = self._reactor.seconds()
        return proxy.failedAt is not None and now - proxy.failedAt < AVOIDANCE_PERIOD

    def _judge(self, proxy: UpstreamProxy, failure: Failure | None) -> None:
        """
        Learn how a proxy has done, be it that the connection has counted as made
        before.
        """
        if failure is None:
            proxy.failedAt = None
        elif not failure.check(*_NOT_TO_BLAME):
            self._avoid(proxy, failure.value)

    def _avoid(self, proxy: UpstreamProxy, error: BaseException | None) -> None:
        """
        Try others first for a while.
        """
        if not self._isAvoided(proxy):
            self._log.warn(
                "{proxy} cannot be reached: {error}", proxy=proxy.name, error=errorWords(error)
            )
        proxy.failedAt = self._reactor.seconds()
