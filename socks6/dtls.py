"""
TLS over datagrams (DTLS): one side of one conversation, without sockets and clock.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator

from OpenSSL import SSL

#: Octets of the datagrams that we send, the headers of IP and UDP not included: fits
#: IPv6's minimum of 1280 with room for a tunnel or two.
MAX_DATAGRAM = 1200

#: Octets of application data that a record can have.
MAX_RECORD = 2**14

#: Octets of a record's header: type:1 version:2 epoch:2 sequence:6 length:2
_RECORD_HEADER = 13

#: Types of records.
_HANDSHAKE = 22
_TYPE_OF_DATA = bytes([23])

#: The type of a handshake message, and where in a datagram it and the random number of
#: a ClientHello stand: record header:13 type:1 length:3 sequence:2 fragment offset:3
#: fragment length:3 version:2 random:32
_CLIENT_HELLO = 1
_MESSAGE_TYPE = _RECORD_HEADER
_RANDOM = slice(27, 59)

#: Octets of the largest datagram in which a conversation may begin: one record.
_MAX_HELLO = _RECORD_HEADER + MAX_RECORD

#: Octets that are taken out of OpenSSL at once; a flight of handshake messages may be
#: larger than a datagram.
_FLIGHT = 65536

_SECRET_LENGTH = 32

#: The version's number, which pyOpenSSL does not name.
_DTLS_1_2 = 0xFEFD

#: What every context needs: a memory has no MTU that could be asked for.
_OPTIONS = SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET


class DTLSFailed(Exception):
    """
    The conversation has failed for good.
    """


def newContext() -> SSL.Context:
    """
    Make a context: DTLS 1.2, and what OpenSSL has beyond it.
    """
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_options(_OPTIONS)
    # Conversations are many and not resumed.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


class DTLSConversation:
    """
    One side.

    Feed it with the peer's datagrams, write what L{outgoing} gives after each call, and
    call L{timedOut} when L{timeout} is over.

    Each piece of application data is one record in one datagram: up to 16 KiB, and it is
    never cut, whatever the path's MTU.

    @ivar isEstablished: Whether application data can pass.
    @ivar isOver: Whether the peer has said good-bye.
    """

    def __init__(self, connection: SSL.Connection) -> None:
        """
        @param connection: One that has its role, with memories in place of a socket.
        """
        self.connection = connection
        self.isEstablished = False
        self.isOver = False

    def start(self) -> None:
        """
        Begin, as the client; or go on, as the server.

        @raise DTLSFailed: It cannot be.
        """
        self._handshake()

    def receive(self, datagram: bytes) -> Iterator[bytes]:
        """
        Take a datagram of the peer.

        @return: The application data in it, one piece for each record.
        @raise DTLSFailed: The handshake has failed.
        """
        if not datagram:
            return
        self.connection.bio_write(datagram)
        # Asking in vain costs more than a record does.
        isSingle = self.isEstablished and isApplicationData(datagram)
        if not self.isEstablished:
            self._handshake()
        while self.isEstablished:
            try:
                yield self.connection.recv(MAX_RECORD)
                if isSingle:
                    return
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.isOver = True
                return
            except SSL.Error as error:
                raise DTLSFailed(_words(error)) from None

    def send(self, data: bytes) -> None:
        """
        Send application data, in one record.

        @raise DTLSFailed: It is too large, or nothing can be sent any more.
        """
        try:
            self.connection.send(data)
        except SSL.Error as error:
            raise DTLSFailed(_words(error)) from None

    def outgoing(self) -> Iterator[bytes]:
        """
        Take what is to be sent, as datagrams of up to L{MAX_DATAGRAM} octets, or of one
        record.
        """
        try:
            flight = self.connection.bio_read(_FLIGHT)
        except SSL.WantReadError:
            return
        if len(flight) <= MAX_DATAGRAM:
            yield flight
            return
        start = end = 0
        while end < len(flight):
            size = _recordSize(flight, end)
            if start < end and end + size - start > MAX_DATAGRAM:
                yield flight[start:end]
                start = end
            end += size
        yield flight[start:end]

    @property
    def timeout(self) -> float | None:
        """
        Seconds until a message has to be sent again; L{None}: none has.
        """
        seconds: float | None = self.connection.DTLSv1_get_timeout()
        return seconds

    def timedOut(self) -> None:
        """
        Send messages again that nobody has answered.

        @raise DTLSFailed: That has been tried often enough.
        """
        try:
            self.connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise DTLSFailed(_words(error)) from None

    def close(self) -> None:
        """
        Say good-bye.
        """
        if self.isEstablished:
            try:
                self.connection.shutdown()
            except SSL.Error:
                # It has failed before.
                return

    def _handshake(self) -> None:
        """
        Go on with the handshake.

        @raise DTLSFailed: It has failed.
        """
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise DTLSFailed(_words(error)) from None
        self.isEstablished = True


def clientConversation(context: SSL.Context) -> DTLSConversation:
    """
    Make the client's side.
    """
    connection = _connection(context)
    connection.set_connect_state()
    return DTLSConversation(connection)


class DTLSDoor:
    """
    What lets clients in: before anything is kept of one, it must show with a cookie that
    it gets what is sent to where it claims to be.

    @see: RFC 6347, section 4.2.1.
    """

    def __init__(self, context: SSL.Context) -> None:
        """
        @param context: The server's; its cookies are ours from now on.
        """
        self._secret = os.urandom(_SECRET_LENGTH)
        self.use(context)

    def use(self, context: SSL.Context) -> None:
        """
        Let in who comes from now on with another context.

        @param context: The server's; its cookies are ours from now on.
        """
        self._context = context
        context.set_options(SSL.OP_COOKIE_EXCHANGE or 0)
        context.set_cookie_generate_callback(self._cookie)
        context.set_cookie_verify_callback(self._isCookie)
        self._listening = self._newConnection()

    def knock(self, address: object, datagram: bytes) -> tuple[DTLSConversation | None, bytes]:
        """
        Take a datagram of somebody of whom nothing is known.

        @param address: Where it came from.
        @return: The conversation with the client, which is to be started, if its cookie
            is right; and what to answer, if anything.
        """
        if not 0 < len(datagram) <= _MAX_HELLO:
            # What is left of a larger one would be in front of the next one.
            return None, b""
        connection = self._listening
        connection.set_app_data(address)
        connection.bio_write(datagram)
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            return None, self._answer()
        except SSL.Error:
            # Rubbish may leave it in any state.
            self._listening = self._newConnection()
            return None, b""
        self._listening = self._newConnection()
        return DTLSConversation(connection), b""

    def _answer(self) -> bytes:
        """
        Take what is to be sent.
        """
        try:
            answer: bytes = self._listening.bio_read(_FLIGHT)
        except SSL.WantReadError:
            return b""
        return answer

    def _newConnection(self) -> SSL.Connection:
        """
        Wait for the next client.
        """
        connection = _connection(self._context)
        connection.set_accept_state()
        return connection

    def _cookie(self, connection: SSL.Connection) -> bytes:
        """
        Make the cookie of an address.
        """
        address = repr(connection.get_app_data()).encode("utf-8")
        return hmac.new(self._secret, address, hashlib.sha256).digest()

    def _isCookie(self, connection: SSL.Connection, cookie: bytes) -> bool:
        """
        Check a cookie.
        """
        return hmac.compare_digest(cookie, self._cookie(connection))


def _connection(context: SSL.Context) -> SSL.Connection:
    """
    Make a connection with memories in place of a socket.
    """
    connection: SSL.Connection = SSL.Connection(context)
    connection.set_ciphertext_mtu(MAX_DATAGRAM)
    return connection


def isApplicationData(datagram: bytes) -> bool:
    """
    Tell whether a datagram is one record of application data.
    """
    return datagram[:1] == _TYPE_OF_DATA and len(datagram) == _recordSize(datagram, 0)


def helloIn(datagram: bytes) -> bytes | None:
    """
    Find out which conversation a datagram would begin.

    @return: The random number in its ClientHello, which is the same in all that a client
        sends for one conversation; L{None}: it has none.
    """
    isHello = (
        datagram[:1] == bytes([_HANDSHAKE])
        and datagram[3:5] == bytes(2)
        and datagram[_MESSAGE_TYPE : _MESSAGE_TYPE + 1] == bytes([_CLIENT_HELLO])
    )
    return datagram[_RANDOM] if isHello else None


def encryptedRecords(datagram: bytes) -> int:
    """
    Count the records in a datagram that are encrypted.
    """
    count = start = 0
    while len(datagram) - start >= _RECORD_HEADER:
        count += datagram[start + 3 : start + 5] != bytes(2)
        start += _recordSize(datagram, start)
    return count


def _recordSize(octets: bytes, start: int) -> int:
    """
    Tell how many octets the record takes that begins somewhere.
    """
    return _RECORD_HEADER + int.from_bytes(octets[start + 11 : start + 13], "big")


def _words(error: SSL.Error) -> str:
    """
    Say what OpenSSL says, in one line.
    """
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(each[-1]) for each in reasons) or type(error).__name__
