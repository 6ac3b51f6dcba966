"""
The metrics that there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """
    What Prometheus calls the type of a metric.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Family:
    """
    A metric.

    @ivar words: What it is.
    @ivar labels: What its values are told apart by.
    """

    kind: Kind
    words: str
    labels: tuple[str, ...] = ()


#: By name.
FAMILIES: Mapping[str, Family] = {
    "socks6_build_info": Family(
        Kind.GAUGE, "What runs; always 1.", ("version", "twisted", "python")
    ),
    "socks6_connections_open": Family(Kind.GAUGE, "Clients' connections that are open."),
    "socks6_tunnels_open": Family(Kind.GAUGE, "Those of them that pass octets."),
    "socks6_connections_total": Family(Kind.COUNTER, "Connections that clients have made."),
    "socks6_connections_refused_total": Family(
        Kind.COUNTER, "Connections that were refused, or dropped for others.", ("reason",)
    ),
    "socks6_requests_total": Family(
        Kind.COUNTER, "Requests that have ended.", ("command", "result")
    ),
    "socks6_octets_total": Family(
        Kind.COUNTER, "Octets passed on, those of open tunnels included.", ("direction",)
    ),
    "socks6_sessions_total": Family(Kind.COUNTER, "What became of sessions.", ("event",)),
    "socks6_tokens_total": Family(Kind.COUNTER, "What became of tokens.", ("outcome",)),
    "socks6_authentication_failures_total": Family(
        Kind.COUNTER, "User names and passwords that were wrong."
    ),
    "socks6_authentication_barred_total": Family(
        Kind.COUNTER, "Logins that were refused because of where they came from."
    ),
    "socks6_malformed_total": Family(Kind.COUNTER, "Clients that broke the protocol.", ("kind",)),
    "socks6_associations_open": Family(Kind.GAUGE, "UDP associations that are open."),
    "socks6_datagrams_total": Family(Kind.COUNTER, "Datagrams passed on.", ("direction",)),
    "socks6_datagrams_dropped_total": Family(
        Kind.COUNTER, "Datagrams that were dropped.", ("reason",)
    ),
    "socks6_handshake_seconds": Family(
        Kind.HISTOGRAM, "From when a client connected until it was let in."
    ),
    "socks6_connect_seconds": Family(
        Kind.HISTOGRAM, "What remote hosts took until they were connected."
    ),
    "socks6_loop_lag_seconds": Family(
        Kind.HISTOGRAM, "How much too late the reactor was, looked at twice a second."
    ),
    "socks6_access_log_lost_total": Family(
        Kind.COUNTER, "Lines of the access log that could not be written."
    ),
}
