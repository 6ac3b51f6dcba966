"""
The ways of datagrams between us and the proxy: as they are, and with DTLS.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any
from typing import Protocol as Structure

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectionLost, MessageLengthError
from twisted.internet.interfaces import IDelayedCall

from socks6.client.dtls import ClientDTLSOptions
from socks6.datagramreader import DatagramReader, SocketAddress
from socks6.dtls import MAX_RECORD, DTLSFailed

#: Takes what came from the proxy.
Receiver = Callable[[bytes], object]


class Way(Structure):
    """
    A way to the proxy.

    @ivar dropped: How many datagrams were dropped, by reason.
    """

    dropped: Counter[str]

    def start(self, received: Receiver, lost: Callable[[Exception], object]) -> Deferred[None]:
        """
        Begin.

        @param received: Is called with each datagram of the proxy.
        @param lost: Is called, once, if the way ends by itself after it was there.
        @return: Fires when datagrams can pass.  Fails with L{ConnectError} if they
            never can; not at all after L{close}.
        """

    def send(self, header: bytes, payload: bytes) -> None:
        """
        Send a datagram, or drop it if that cannot be done at the moment.

        @raise MessageLengthError: It is too large.
        """

    def close(self) -> None:
        """
        End; to do so again changes nothing.
        """


class PlainWay:
    """
    UDP to the proxy.

    @ivar dropped: See L{Way}.
    """

    def __init__(self, reactor: Any, handle: socket.socket, proxy: SocketAddress) -> None:
        """
        Begin to read.

        @param handle: A socket that does not block; it is ours from now on.
        @param proxy: Where the proxy takes datagrams.
        """
        self.dropped: Counter[str] = Counter()
        self._handle = handle
        self._proxy = proxy
        self._received: Receiver | None = None
        self._reader = DatagramReader(reactor, handle, self._arrived)

    def start(self, received: Receiver, lost: Callable[[Exception], object]) -> Deferred[None]:
        """
        Pass on what comes.

        @see: L{Way.start}
        """
        self._received = received
        return succeed(None)

    def send(self, header: bytes, payload: bytes) -> None:
        """
        Send a datagram.

        @see: L{Way.send}
        """
        try:
            self._handle.sendmsg((header, payload), (), 0, self._proxy)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise MessageLengthError("message too long") from None
            self.dropped["not sent"] += 1

    def close(self) -> None:
        """
        Close the socket.

        @see: L{Way.close}
        """
        self._reader.close()
        self._received = None

    def _arrived(self, datagram: bytes, source: SocketAddress) -> None:
        """
        Take a datagram of anybody.
        """
        if source != self._proxy:
            self.dropped["not from the proxy"] += 1
        elif self._received is not None:
            self._received(datagram)


def openPlainWay(reactor: Any, host: str, port: int) -> PlainWay:
    """
    Open a socket for datagrams to a proxy.

    @param host: The proxy's IP address; an IPv6 one may have a zone.
    @raise OSError: That cannot be done.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    family, kind, _, _, proxy = found[0]
    handle = socket.socket(family, kind)
    handle.setblocking(False)
    return PlainWay(reactor, handle, proxy)


class DTLSWay:
    """
    DTLS with the proxy.

    @ivar dropped: See L{Way}.
    """

    def __init__(self, reactor: Any, options: ClientDTLSOptions, plain: Way) -> None:
        """
        @param plain: Takes datagrams to the proxy as they are; it is ours from now on.
        """
        self.dropped = plain.dropped
        self._reactor = reactor
        self._plain = plain
        self._conversation = options.conversation()
        self._established: Deferred[None] = Deferred()
        self._received: Receiver | None = None
        self._lost: Callable[[Exception], object] | None = None
        self._timer: IDelayedCall | None = None
        self._isStanding = False
        self._isClosed = False

    def start(self, received: Receiver, lost: Callable[[Exception], object]) -> Deferred[None]:
        """
        Shake hands.

        @see: L{Way.start}
        """
        self._received, self._lost = received, lost
        self._plain.start(self._arrived, lost)
        self._go(self._conversation.start)
        return self._established

    def send(self, header: bytes, payload: bytes) -> None:
        """
        Send a datagram, in a record of its own.

        @see: L{Way.send}
        """
        datagram = header + payload
        if len(datagram) > MAX_RECORD:
            raise MessageLengthError("message too long")
        try:
            self._conversation.send(datagram)
        except DTLSFailed:
            self.dropped["not sent"] += 1
        else:
            self._flush()

    def close(self) -> None:
        """
        Say good-bye.

        @see: L{Way.close}
        """
        if self._isClosed:
            return
        self._isClosed = True
        self._stopTimer()
        self._conversation.close()
        self._flush()
        self._plain.close()
        self._received = self._lost = None

    def _arrived(self, datagram: bytes) -> None:
        """
        Take a datagram of the proxy.
        """
        self._go(lambda: self._read(datagram))

    def _read(self, datagram: bytes) -> None:
        """
        Pass on what is in a datagram.
        """
        for data in self._conversation.receive(datagram):
            if not self._isStanding:
                self.dropped["too early"] += 1
            # Whoever got the last one may have closed us.
            elif self._received is not None:
                self._received(data)

    def _go(self, step: Callable[[], object]) -> None:
        """
        Go on with the conversation, and do what follows from that.
        """
        failed: DTLSFailed | None = None
        try:
            step()
        except DTLSFailed as error:
            failed = error
        if self._isClosed:
            return
        self._flush()
        if failed is None and self._conversation.isOver:
            failed = DTLSFailed("the proxy has ended it")
        if failed is not None:
            self._fail(failed)
            return
        self._setTimer()
        if self._conversation.isEstablished and not self._isStanding:
            self._isStanding = True
            self._established.callback(None)

    def _fail(self, failed: DTLSFailed) -> None:
        """
        Tell that it is over.
        """
        lost = self._lost
        self.close()
        if self._isStanding:
            assert lost is not None
            lost(ConnectionLost(f"DTLS with the proxy: {failed}"))
        else:
            error = ConnectError(string=f"DTLS with the proxy failed: {failed}")
            error.__cause__ = failed
            self._established.errback(error)

    def _flush(self) -> None:
        """
        Send what there is to send.
        """
        for datagram in self._conversation.outgoing():
            self._plain.send(b"", datagram)

    def _setTimer(self) -> None:
        """
        Send a message again if nobody answers.
        """
        self._stopTimer()
        timeout = self._conversation.timeout
        if timeout is not None:
            self._timer = self._reactor.callLater(timeout, self._go, self._conversation.timedOut)

    def _stopTimer(self) -> None:
        """
        Send nothing again.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
