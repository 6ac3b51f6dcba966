"""
A client's connection, until octets are relayed.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.relay.farewell import breakOff, sayFarewell
from socks6.relay.legs import LegProtocol, describe, lossWords
from socks6.relay.relay import Relay, RelayResult
from socks6.relay.throttle import Buckets
from socks6.serving.accesslog import RequestRecord
from socks6.serving.speech import Speech
from socks6.serving.totals import Passing
from socks6.sockets import isEncrypted
from socks6.values.address import Address
from socks6.values.codes import Command
from socks6.wire.errors import PeerError, UnexpectedEnd

if TYPE_CHECKING:
    from socks6.serving.factory import ClientProtocol, ServingFactory

#: Seconds until we look again whether we are still busy.
_BUSY_INTERVAL = 0.5

#: Octets that a client may send ahead before we stop to read.
EARLY_DATA_LIMIT = 65536


class Conversation:
    """
    The receiver of a client's connection until octets are relayed or it is closed.

    Subclasses know the protocol that the client speaks: L{feed}, L{endOfInput},
    L{answer}, L{heldLength}, L{takeData}, L{workFailed} and L{waitNoMore} are theirs.

    @ivar factory: Who knows all connections.
    @ivar leg: The client's connection.
    @ivar transport: Its transport.
    @ivar inputOver: Whether the client has ended its direction.
    @ivar isOver: Whether what was under way has been given up: nothing may come of it.
    @ivar isBusy: Whether we wait for something that has a time limit of its own: that
        does not count as the client's time.
    @ivar began: When the client connected, in seconds of the clock.
    @ivar record: What is known of the client's request, once it is there.
    @ivar passing: What passes octets of the request, datagrams or not, once it does.
    @ivar buckets: What its octets are taken from besides those of the proxy and the
        client.
    """

    _log = Logger()

    def __init__(self, factory: ServingFactory, leg: ClientProtocol) -> None:
        """
        Begin to wait for what the client says.

        @param leg: The client's connection, with its transport.
        """
        self.factory = factory
        self.leg = leg
        self.transport: Any = leg.transport
        self.inputOver = self.isOver = self.isBusy = False
        self.record: RequestRecord | None = None
        self.buckets: Sequence[Buckets] = ()
        self.began = factory.clock.seconds()
        self._deadline = factory.timeouts.callLater(factory.requestTimeout, self._tooLate)
        self._relay: Relay | None = None
        self.passing: Passing | None = None
        self._speech = Speech(self.transport)
        #: What it will have been if the client's connection is lost.
        self._ending = "client lost"
        #: What is done about the request.
        self._work: Deferred[None] | None = None

    # What depends on the protocol.

    @property
    def heldLength(self) -> int:
        """
        How many octets of the client wait to be relayed.
        """
        raise NotImplementedError

    def feed(self, octets: bytes) -> None:
        """
        Take octets of the client, and do what they ask for.

        @raise PeerError: The client broke the protocol.
        """
        raise NotImplementedError

    def endOfInput(self) -> None:
        """
        Learn that the client sends nothing more.

        @raise PeerError: It should have.
        """
        raise NotImplementedError

    def answer(self, error: PeerError) -> bytes:
        """
        Give what a client gets to hear that broke the protocol.
        """
        raise NotImplementedError

    def takeData(self) -> bytes:
        """
        Hand over the application data that has come so far, in order, once.
        """
        raise NotImplementedError

    def workFailed(self) -> None:
        """
        Tell the client that its request cannot be served, as we have failed, and
        close the connection.
        """
        raise NotImplementedError

    def lastWords(self, reason: Failure) -> bytes:
        """
        Give what the client gets to hear if the remote host is lost before it has
        said anything.
        """
        return b""

    def waitNoMore(self) -> None:
        """
        Wait no more for what else the client was to say.
        """

    def requestEnded(self) -> None:
        """
        The request is over, and the tunnel if there was one.
        """

    # What happens to the connection.

    def started(self) -> None:
        """
        The connection is known; nothing has come yet.
        """

    def dataReceived(self, octets: bytes) -> None:
        """
        Take what the client says.
        """
        self._speech.hold()
        try:
            self.feed(octets)
        except PeerError as error:
            self._peerFailed(error)
        else:
            if self.leg.receiver is self and self.heldLength > EARLY_DATA_LIMIT:
                self.transport.pauseProducing()
        finally:
            self._speech.letGo()

    def inputEnded(self) -> None:
        """
        The client sends no more, which is no reason not to serve its request.
        """
        self.inputOver = True
        try:
            self.endOfInput()
        except PeerError as error:
            self._peerFailed(error)

    def outputEnded(self) -> None:
        """
        Only a farewell ends our direction.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self.stop()
        if self.record is None:
            self._logPeer(UnexpectedEnd(f"the client went away: {lossWords(reason)}"))
        else:
            self._finish(self._ending)
        self.factory.connectionGone(self.leg)

    @property
    def tunnel(self) -> Relay | None:
        """
        Give what passes octets, once it does.
        """
        return self._relay

    @property
    def served(self) -> RequestRecord | None:
        """
        Give what is known of the client's request while it is served.
        """
        return self.record if self.record is not None and not self.record.result else None

    @property
    def passed(self) -> tuple[int, int]:
        """
        Count the octets that have passed so far: for the remote host, and for the client.
        """
        return (0, 0) if self.passing is None else self.passing.passed

    def abort(self, ending: str = "aborted") -> None:
        """
        Close the connection, and the tunnel if there is one, at once.

        @param ending: Why, for the log.
        """
        self._ending = ending
        if self._relay is not None:
            self._relay.abort(ending)
        else:
            self.leg.abort()

    def _peerFailed(self, error: PeerError) -> None:
        """
        Answer a client that broke the protocol, and close.
        """
        self._logPeer(error)
        self.stop()
        self._speech.letGo()
        self.transport.write(self.answer(error))
        self._close()

    def _tooLate(self) -> None:
        """
        Close a connection that has taken too long to say what it wants and who
        it is.
        """
        if self.isBusy:
            self._deadline = self.factory.timeouts.callLater(_BUSY_INTERVAL, self._tooLate)
            return
        seconds = self.factory.requestTimeout
        self._logPeer(UnexpectedEnd(f"no authenticated request within {seconds:g} s"))
        self.stop()
        self._close()

    @property
    def timeLeft(self) -> float:
        """
        How many seconds the client still has to say what it wants and who it is.
        """
        return self._deadline.getTime() - self.factory.clock.seconds()

    @timeLeft.setter
    def timeLeft(self, seconds: float) -> None:
        """
        Give the client that many seconds, if it is waited for at all.
        """
        if self._deadline.active():
            self._deadline.reset(seconds)

    def _logPeer(self, error: PeerError) -> None:
        """
        Take note of what the client did wrong.
        """
        if self.record is None:
            self.factory.accessLog.peerFailed(describe(self.transport.getPeer()), error)
        else:
            self.factory.accessLog.count(error)
            self._finish(str(error))

    # The request.

    def begin(
        self, command: Command | int, destination: Address, work: Coroutine[Any, Any, None]
    ) -> None:
        """
        Begin to serve the client's request.

        @param work: What is done about it.
        """
        # Behind "haproxy:" the peer is known only now.
        peer = describe(self.transport.getPeer())
        self.record = RequestRecord(peer, self.began, command, destination)
        self.record.isEncrypted = isEncrypted(self.transport)
        self._work = Deferred.fromCoroutine(work)
        self._work.addErrback(self._failed)

    def write(self, octets: bytes) -> None:
        """
        Say something to the client.

        @raise CancelledError: Nobody is there to hear it; whoever was waited
            for did not mind that we gave up.
        """
        if self.isOver:
            raise CancelledError
        self._speech.say(octets)

    def relay(self, remote: LegProtocol, sent: int = 0) -> None:
        """
        Pass octets between the client and a remote host from now on.

        @param sent: How many octets of the client that host has been sent already.
        @raise CancelledError: The client is gone, and so is the remote host then.
        """
        if self.isOver:
            # Nobody else knows of it, if it was connected although we gave up.
            remote.abort()
            raise CancelledError
        self._speech.letGo()
        factory = self.factory
        factory.served(self.leg, remote)
        self._relay = self.passing = Relay(
            factory.timeouts,
            self.leg,
            remote,
            self._relayFinished,
            factory.idleTimeout,
            self.lastWords,
            factory.pipes,
            (*self.buckets, *factory.bandwidth.of(self.leg)),
        )
        self._relay.start(self.takeData(), self.inputOver, sent)

    def _relayFinished(self, result: RelayResult) -> None:
        """
        Both connections are closed.
        """
        self._finish(result.ending)
        self.factory.connectionGone(self.leg)

    # The end.

    def end(self, result: str) -> None:
        """
        Be done with the request, and close the connection.
        """
        self._finish(result)
        self._close()

    def endAtOnce(self, result: str) -> None:
        """
        Be done with the request, and break off the connection, so that the client
        does not take it for a good end.
        """
        self._finish(result)
        self.forgetDeadline()
        self._speech.forget()
        breakOff(self.leg, self.factory.timeouts, self._gone)

    def stop(self) -> None:
        """
        Give up what is under way.
        """
        self.isOver = True
        self.forgetDeadline()
        self.waitNoMore()
        if self._work is not None:
            self._work.cancel()

    def forgetDeadline(self) -> None:
        """
        Let the rest take as long as it takes.
        """
        if self._deadline.active():
            self._deadline.cancel()

    def _failed(self, failure: Failure) -> None:
        """
        We have failed, or the client is gone and the work was cancelled.
        """
        if self.isOver and failure.check(CancelledError):
            return
        self._log.failure("A request could not be served", failure)
        if not self.isOver:
            self.workFailed()

    def _finish(self, result: str) -> None:
        """
        Write the request's line, once its end is known.
        """
        assert self.record is not None
        self.record.toRemote, self.record.toClient = self.passed
        self.record.result = result
        self.requestEnded()
        self.factory.requestFinished(self.record)

    def _close(self) -> None:
        """
        Close the client's connection, once it has got what was written.
        """
        self.forgetDeadline()
        self._speech.letGo()
        sayFarewell(self.leg, self.factory.timeouts, self._gone, self.inputOver)

    def _gone(self) -> None:
        """
        The client's connection is closed.
        """
        self.factory.connectionGone(self.leg)
