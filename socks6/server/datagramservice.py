"""
The ports for datagrams as a service of a Twisted application.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from OpenSSL import SSL
from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from socks6.datagramreader import boundSocket
from socks6.dtls import DTLSDoor
from socks6.server.associations import Associations
from socks6.server.datagramports import DTLSPort, PlainPort
from socks6.values.address import addressFromText

#: A host and a port.
Place = tuple[str, int]


class DatagramService(Service):
    """
    Takes clients' datagrams as long as it runs.

    @ivar ports: What is open at the moment.
    """

    _log = Logger()

    def __init__(
        self,
        associations: Associations,
        plain: Callable[[], Sequence[Place]],
        encrypted: Sequence[Place] = (),
        context: SSL.Context | None = None,
        *,
        isOptional: bool = False,
    ) -> None:
        """
        @param plain: Tells where to take plain datagrams, when it is time to listen.
        @param encrypted: Where to speak DTLS.
        @param context: The server's side of DTLS.
        @param isOptional: Whether to go on without those for plain datagrams which
            cannot be opened.
        """
        self.ports: list[PlainPort | DTLSPort] = []
        self._associations = associations
        self._plain = plain
        self._encrypted = tuple(encrypted)
        self._isOptional = isOptional
        # A context serves one door only, and the ports may be opened again.
        self._door = None if context is None else DTLSDoor(context)

    def privilegedStartService(self) -> None:
        """
        Open the ports, while the process may still bind low ones.

        @raise CannotListenError: One of them cannot be opened; then none is.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._open()

    def startService(self) -> None:
        """
        Open the ports, if that has not been done.

        @raise CannotListenError: One of them cannot be opened; then none is.
        """
        super().startService()  # type: ignore[no-untyped-call]
        if not self.ports:
            self._open()

    def stopService(self) -> None:
        """
        Close the ports.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._close()

    def renew(self, context: SSL.Context) -> None:
        """
        Let clients in that come from now on with another context.

        @param context: The server's side of DTLS, which serves nobody else.
        """
        if self._door is not None:
            self._door.use(context)

    def _open(self) -> None:
        """
        Open the ports.
        """
        try:
            for place in self._plain():
                self._openPlain(place)
            if self._door is not None:
                for place in self._encrypted:
                    handle = self._bind(place, "DTLS")
                    self.ports.append(DTLSPort(self._associations, handle, self._door))
        except CannotListenError:
            self._close()
            raise

    def _openPlain(self, place: Place) -> None:
        """
        Open a port for plain datagrams.

        @raise CannotListenError: It cannot be opened, and is wanted.
        """
        try:
            handle = self._bind(place, "UDP")
        except CannotListenError as error:
            if not self._isOptional:
                raise
            self._log.warn("No plain datagrams of clients are taken: {error}", error=str(error))
        else:
            self.ports.append(PlainPort(self._associations, handle))

    def _bind(self, place: Place, kind: str) -> socket.socket:
        """
        Bind a socket, and say so.

        @param kind: What is to be spoken there.
        @raise CannotListenError: It cannot be bound.
        """
        handle = _bound(place)
        host, port = handle.getsockname()[:2]
        self._log.info(
            "Datagrams of clients: {kind} port {place}",
            kind=kind,
            place=str(addressFromText(host, port)),
        )
        return handle

    def _close(self) -> None:
        """
        Close the ports, and say what was dropped.
        """
        ports, self.ports[:] = list(self.ports), []
        for port in ports:
            port.close()
        dropped = self._associations.dropped
        if dropped:
            self._log.info(
                "Datagrams that were dropped: {reasons}",
                reasons=", ".join(f"{reason}: {count}" for reason, count in dropped.most_common()),
            )
            dropped.clear()


def _bound(place: Place) -> socket.socket:
    """
    Bind a UDP socket.

    @raise CannotListenError: It cannot be.
    """
    try:
        return boundSocket(*place)
    except OSError as error:
        raise CannotListenError(*place, error) from None
