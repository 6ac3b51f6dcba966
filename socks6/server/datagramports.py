"""
The ports on which clients' datagrams come in, plain and with DTLS.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from socks6.dtls import (
    DTLSConversation,
    DTLSDoor,
    DTLSFailed,
    encryptedRecords,
    helloIn,
    isApplicationData,
)
from socks6.server.associations import Associations
from socks6.server.clientsocket import ClientSocket
from socks6.server.places import Places
from socks6.serving.limits import peerNetwork
from socks6.values.address import ClientNetwork

#: Clients that one port speaks DTLS with at a time, each of which takes about 80 KB, and
#: up to 500 KB until its handshake is over.  More are turned away.
MAX_CLIENTS = 4096

#: Those of one network (L{networkOf<socks6.values.address.networkOf>}).
MAX_CLIENTS_PER_NETWORK = MAX_CLIENTS // 4

#: Those of them that have no association, not yet or not any more.  If there are more, the
#: oldest one makes room.
MAX_NEWCOMERS = 512

#: Those of one network.  If there are more, its oldest one makes room: somebody who has one
#: address cannot push out others.
MAX_NEWCOMERS_PER_NETWORK = MAX_NEWCOMERS // 4

#: Encrypted records that one of these may send before it has agreed on keys: OpenSSL
#: keeps them, in 17 KB each.
MAX_EARLY_RECORDS = 16

#: Octets that one may send before that: OpenSSL keeps pieces of up to ten messages of
#: 100 KB each.  A chain of certificates takes a few thousand, a few times.
MAX_HANDSHAKE = 65536

#: Seconds that one may be without an association.
NEWCOMER_TIMEOUT = 60.0


class PlainPort:
    """
    A UDP port.
    """

    def __init__(self, associations: Associations, handle: socket.socket) -> None:
        """
        Begin to read.

        @param handle: A bound socket; it is ours from now on.
        """
        self._associations = associations
        self._number = handle.getsockname()[1]
        self._socket = ClientSocket(associations.reactor, handle, self._received)
        associations.addClientPort(self._number)

    def close(self) -> None:
        """
        Close the port.
        """
        self._associations.removeClientPort(self._number)
        self._socket.close()

    def begun(self) -> None:
        """
        Nothing is kept of clients here.
        """

    def ended(self) -> None:
        """
        Nothing was kept of the client.
        """

    def sendTo(self, address: Any, header: bytes, payload: bytes) -> bool:
        """
        Send a datagram to a client, or drop it.

        @see: L{ClientPort.sendTo<socks6.server.association.ClientPort.sendTo>}
        """
        isSent = self._socket.send((header, payload), address)
        if not isSent:
            self._associations.dropped["not sent"] += 1
        return isSent

    def _received(self, datagram: bytes, source: Any) -> None:
        """
        Pass a datagram on.
        """
        self._associations.received(datagram, self, source)


class DTLSPort:
    """
    A UDP port on which DTLS is spoken.
    """

    def __init__(self, associations: Associations, handle: socket.socket, door: DTLSDoor) -> None:
        """
        Begin to read.

        @param handle: A bound socket; it is ours from now on.
        @param door: Lets clients in.
        """
        self.associations = associations
        self.reactor = associations.reactor
        self._number = handle.getsockname()[1]
        self._door = door
        self._clients: Places[_Client] = Places()
        #: Some of these.
        self._newcomers: Places[_Client] = Places()
        self._socket = ClientSocket(self.reactor, handle, self._received)
        associations.addClientPort(self._number)
        self._sweep = LoopingCall(self._endIdle)
        self._sweep.clock = self.reactor

    def close(self) -> None:
        """
        Say good-bye to all, and close the port.
        """
        for client in list(self._clients.taken.values()):
            client.close()
        self.associations.removeClientPort(self._number)
        self._socket.close()

    def send(self, datagram: bytes, address: Any) -> bool:
        """
        Send a datagram as it is, or drop it.
        """
        isSent = self._socket.send((datagram,), address)
        if not isSent:
            self.associations.dropped["not sent"] += 1
        return isSent

    def accept(self, client: _Client) -> None:
        """
        Learn that one is no newcomer any more.
        """
        self._newcomers.discard(client)

    def release(self, client: _Client) -> None:
        """
        Learn that one has no association any more: it is like a newcomer again.
        """
        if self._clients.taken.get(client.address) is client:
            self._makeRoom(client.network)
            self._newcomers.add(client)

    def forget(self, client: _Client) -> None:
        """
        Learn that a conversation is over.
        """
        self._clients.discard(client)
        self._newcomers.discard(client)
        if not self._clients.taken and self._sweep.running:
            self._sweep.stop()

    def _received(self, datagram: bytes, source: Any) -> None:
        """
        Take a datagram, of somebody whom we know or not.
        """
        client = self._clients.taken.get(source)
        if client is not None and not client.isBegunAnew(datagram):
            client.received(datagram)
            return
        conversation, answer = self._door.knock(source, datagram)
        if answer:
            self.send(answer, source)
        elif conversation is None:
            self.associations.dropped["no DTLS greeting"] += 1
        if conversation is not None:
            if client is not None:
                # Whoever shows the cookie is there; who was there before is not.
                client.close()
            self._letIn(source, conversation, helloIn(datagram))

    def _letIn(self, source: Any, conversation: DTLSConversation, hello: bytes | None) -> None:
        """
        Begin with a client, if there is room for it.
        """
        network = peerNetwork(self._socket.addressIn(source))
        self._makeRoom(network)
        if self._clients.inTheWay(network, MAX_CLIENTS, MAX_CLIENTS_PER_NETWORK):
            self.associations.dropped["too many DTLS clients"] += 1
            return
        client = _Client(self, source, network, conversation, hello)
        self._clients.add(client)
        self._newcomers.add(client)
        if not self._sweep.running:
            self._sweep.start(NEWCOMER_TIMEOUT / 4, now=False)
        client.start()

    def _makeRoom(self, network: ClientNetwork | None) -> None:
        """
        Make room for one more newcomer of a network.
        """
        oldest = self._newcomers.inTheWay(network, MAX_NEWCOMERS, MAX_NEWCOMERS_PER_NETWORK)
        if oldest is not None:
            self.associations.dropped["too many DTLS newcomers"] += 1
            oldest.close()

    def _endIdle(self) -> None:
        """
        End conversations that are not used.
        """
        now = self.reactor.seconds()
        idleTimeout = max(NEWCOMER_TIMEOUT, self.associations.limits.idleTimeout)
        for client in list(self._clients.taken.values()):
            limit = idleTimeout if client.carried else NEWCOMER_TIMEOUT
            if now - client.lastUsed >= limit:
                client.close()


class _Client:
    """
    The conversation with one client, and where its datagrams come in.

    @ivar address: Where it is.
    @ivar network: Whom it counts against.
    @ivar lastUsed: When it began, when a datagram of an association last passed, or when
        the last association ended, in seconds of the clock.
    @ivar carried: How many associations it has.
    """

    def __init__(
        self,
        port: DTLSPort,
        address: Any,
        network: ClientNetwork | None,
        conversation: DTLSConversation,
        hello: bytes | None,
    ) -> None:
        """
        @param hello: How it began, as L{helloIn} has it.
        """
        self.address = address
        self.network = network
        self.lastUsed = port.reactor.seconds()
        self.carried = 0
        self._port = port
        self._associations = port.associations
        self._conversation = conversation
        self._hello = hello
        #: What has come before we have agreed on keys.
        self._earlyRecords = 0
        self._earlyOctets = 0
        self._timer: IDelayedCall | None = None

    def isBegunAnew(self, datagram: bytes) -> bool:
        """
        Tell whether a client greets us as if for the first time, though we know it.

        @see: RFC 6347, section 4.2.8.
        """
        hello = helloIn(datagram)
        return hello is not None and hello != self._hello

    def start(self) -> None:
        """
        Go on with the handshake.
        """
        try:
            self._conversation.start()
        except DTLSFailed:
            self._fail()
        else:
            self._flush()

    def received(self, datagram: bytes) -> None:
        """
        Take a datagram.
        """
        if not self._conversation.isEstablished:
            self._earlyRecords += encryptedRecords(datagram)
            self._earlyOctets += len(datagram)
            if self._earlyRecords > MAX_EARLY_RECORDS or self._earlyOctets > MAX_HANDSHAKE:
                self._associations.dropped["too early"] += 1
                return
        try:
            for plain in self._conversation.receive(datagram):
                if self._associations.received(plain, self, None):
                    self.lastUsed = self._port.reactor.seconds()
        except DTLSFailed:
            self._fail()
            return
        if self._conversation.isOver:
            self.close()
        elif not isApplicationData(datagram):
            self._flush()

    def begun(self) -> None:
        """
        Learn that the client has one more association.

        @see: L{ClientPort.begun<socks6.server.association.ClientPort.begun>}
        """
        self.carried += 1
        self._port.accept(self)

    def ended(self) -> None:
        """
        Learn that it has one less.

        @see: L{ClientPort.ended<socks6.server.association.ClientPort.ended>}
        """
        self.carried -= 1
        if not self.carried:
            self.lastUsed = self._port.reactor.seconds()
            self._port.release(self)

    def sendTo(self, address: object, header: bytes, payload: bytes) -> bool:
        """
        Send a datagram to the client, or drop it.

        @see: L{ClientPort.sendTo<socks6.server.association.ClientPort.sendTo>}
        """
        try:
            self._conversation.send(header + payload)
        except DTLSFailed:
            self._associations.dropped["not sent"] += 1
            return False
        self.lastUsed = self._port.reactor.seconds()
        # It is one record, so it is one datagram.
        return all(self._port.send(each, self.address) for each in self._conversation.outgoing())

    def close(self) -> None:
        """
        Say good-bye, and be forgotten.
        """
        self._conversation.close()
        self._flush()
        self._stopTimer()
        self._port.forget(self)

    def _fail(self) -> None:
        """
        Give up.
        """
        self._associations.dropped["DTLS failed"] += 1
        self.close()

    def _flush(self) -> None:
        """
        Send what there is to send, and again if nobody answers.
        """
        for datagram in self._conversation.outgoing():
            self._port.send(datagram, self.address)
        self._stopTimer()
        timeout = self._conversation.timeout
        if timeout is not None:
            self._timer = self._port.reactor.callLater(timeout, self._timedOut)

    def _stopTimer(self) -> None:
        """
        Send nothing again.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _timedOut(self) -> None:
        """
        Send again what nobody has answered.
        """
        try:
            self._conversation.timedOut()
        except DTLSFailed:
            self._fail()
        else:
            self._flush()
