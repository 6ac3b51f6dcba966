"""
What the operator sees, as JSON has it.

Session IDs, their keys and passwords are not among it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Network
from typing import Any

from twisted.internet.task import deferLater

from socks6 import __version__
from socks6.interfaces import IListingSessionStore, ListedSession
from socks6.policy.sessions import SessionService
from socks6.relay.relay import Relay
from socks6.serving.accesslog import RequestRecord
from socks6.serving.factory import ClientProtocol, ServingFactory
from socks6.sockets import silence
from socks6.text import printable, words

#: The most tunnels, or sessions, that one answer lists.
MOST = 1000

#: Connections that are looked at in one turn of the reactor.
AT_ONCE = 250

#: What JSON has.
Object = dict[str, Any]


class Snapshots:
    """
    Looks at a proxy.
    """

    def __init__(self, factory: ServingFactory, sessions: SessionService) -> None:
        """
        @param factory: Knows the connections.
        @param sessions: The clients' sessions.
        """
        self._factory = factory
        self._sessions = sessions
        self._began = factory.clock.seconds()

    def overview(self) -> Object:
        """
        Count.
        """
        factory, totals = self._factory, self._factory.totals
        toRemote, toClient = factory.octets()
        store = self._sessions.listing
        return {
            "version": __version__,
            "uptime": factory.clock.seconds() - self._began,
            "connections": {"open": factory.openCount, "total": totals.connections},
            "tunnels": factory.servedCount,
            "sessions": None if store is None else len(store),
            "octets": {"toRemote": toRemote, "toClients": toClient},
            "requests": [
                {"command": command, "result": result, "count": count}
                for (command, result), count in totals.inWords().most_common()
            ],
            "malformed": dict(factory.accessLog.malformed),
        }

    async def tunnels(self, start: int = 0, most: int = MOST, wanted: str = "") -> Object:
        """
        List the requests that are being served, the latest first.

        @param start: How many to pass over.
        @param most: How many to list; never more than L{MOST}.
        @param wanted: What is to stand in the client's address, its user's name or the
            destination, in whatever case.
        """
        wanted = wanted.lower()
        end = start + min(most, MOST)
        listed = []
        total = 0
        now = self._factory.clock.seconds()
        async for protocol, record in self._requests():
            if not wanted or wanted in _searched(record):
                if start <= total < end:
                    listed.append(_tunnel(protocol, record, now))
                total += 1
        return {"total": total, "start": start, "tunnels": listed}

    def sessions(self, start: int = 0, most: int = MOST) -> Object:
        """
        List the sessions, the one that was used last first.

        @param start: How many to pass over.
        @param most: How many to list; never more than L{MOST}.
        """
        store = self._sessions.listing
        if store is None:
            return {"listed": False, "reason": "not listed by this store", "sessions": []}
        return {
            "listed": True,
            "total": len(store),
            "start": start,
            "sessions": [_session(each) for each in store.latest(start, min(most, MOST))],
        }

    def tunnel(self, number: int) -> tuple[ClientProtocol, str] | None:
        """
        Find a request that is being served.

        @return: Its connection, and its words for the log; L{None}: there is none.
        """
        protocol = self._factory.connection(number)
        record = None if protocol is None else protocol.conversation.served
        if protocol is None or record is None:
            return None
        return protocol, f"{record.peer} {record.user} {words(record.command)} {record.destination}"

    @property
    def store(self) -> IListingSessionStore | None:
        """
        Give the sessions' store, if it can list them.
        """
        return self._sessions.listing

    async def _requests(
        self,
    ) -> AsyncIterator[tuple[ClientProtocol, RequestRecord]]:
        """
        Look at what is being served.  Where that is much, others have their turn in between.
        """
        for number, protocol in enumerate(list(self._factory.connections()), 1):
            record = protocol.conversation.served
            if record is not None:
                yield protocol, record
            if not number % AT_ONCE:
                await deferLater(self._factory.clock, 0)


def _searched(record: RequestRecord) -> str:
    """
    Give what is searched.
    """
    return f"{record.peer} {record.user} {record.destination}".lower()


def _tunnel(protocol: ClientProtocol, record: RequestRecord, now: float) -> Object:
    """
    Describe a request that is being served.
    """
    relay = protocol.conversation.tunnel
    toRemote, toClient = protocol.conversation.passed
    return {
        "id": protocol.number,
        "peer": record.peer,
        "user": record.user,
        "command": words(record.command),
        "destination": str(record.destination),
        "age": now - record.began,
        "relaying": relay is not None,
        "toRemote": toRemote,
        "toClient": toClient,
        "idle": None if relay is None else _idle(protocol, relay),
        "spliced": relay is not None and relay.isShortened,
    }


def _idle(protocol: ClientProtocol, relay: Relay) -> float | None:
    """
    Tell for how many seconds nothing has come from either side.

    @return: L{None} where the system does not tell.
    """
    transports: tuple[Any, ...] = (protocol.transport, relay.remoteTransport)
    known = [seconds for each in transports if (seconds := silence(each)) is not None]
    return min(known) if len(known) == len(transports) else None


def _session(listed: ListedSession) -> Object:
    """
    Describe a session.
    """
    record = listed.record
    return {
        "id": listed.number,
        "user": printable(record.name) or "-",
        "owner": _owner(record.owner),
        "address": record.address or "-",
        "trust": words(record.trust),
        "window": listed.windowSize,
        "age": listed.age,
        "left": listed.left,
    }


def _owner(owner: bytes) -> str:
    """
    Write for people whom a session counts against.

    @see: L{socks6.policy.sessions.ownerOf}
    """
    kind, _, name = owner.partition(b" ")
    if kind == b"ipv4":
        return str(IPv4Address(name))
    if kind == b"ipv6":
        return str(IPv6Network((name + bytes(8), 64)))
    return printable(owner)
