"""
The values of the metrics at a moment.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import twisted
from socks6 import __version__
from socks6.local.factory import LocalFactory
from socks6.measurements import Histogram, Measurements
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.serving.accesslog import AccessLog
from socks6.serving.factory import ServingFactory
from socks6.serving.requestlines import FileAccessLog
from socks6.text import words
from socks6.values.codes import TokenOutcome

#: The values of a metric, by those of its labels.
Values = Mapping[tuple[str, ...], float]

#: The values of all metrics, by their names.
Sample = dict[str, Values | Histogram]

#: What becomes of sessions and tokens; each has a value from the start, so that rates
#: can be made of them.
SESSION_EVENTS = ("opened", "resumed", "invalid", "declined", "failed")


#: Why connections are refused; the same holds for them.
REFUSALS = ("connections", "client", "handshakes", "silent", "system")


def sample(factories: Sequence[ServingFactory], measurements: Measurements) -> Sample:
    """
    Ask everybody who knows something.

    @param factories: Know the connections, and those of all of them are added.
    @param measurements: What was measured for these.
    @return: By the names of L{FAMILIES<socks6.metrics.families.FAMILIES>}.
    """
    values: Sample = {
        "socks6_build_info": {
            (__version__, twisted.__version__, platform.python_version()): 1,
        },
        "socks6_connections_open": _only(sum(each.openCount for each in factories)),
        "socks6_tunnels_open": _only(sum(each.tunnels for each in factories)),
        "socks6_connections_total": _only(sum(each.totals.connections for each in factories)),
        "socks6_handshake_seconds": measurements.handshakes,
        "socks6_connect_seconds": measurements.connects,
        "socks6_loop_lag_seconds": measurements.lags,
        **_logged({each.accessLog for each in factories}),
    }
    sessions, tokens, dropped = Counter[str](), Counter[str](), Counter[str]()
    requests: Counter[tuple[str, ...]] = Counter()
    toRemote = toClient = failures = barred = associations = 0
    datagrams, refused = Counter[str](), Counter[str]()
    for each in factories:
        requests += each.totals.inWords()
        up, down = each.octets()
        toRemote += up
        toClient += down
        refused += each.gate.refused
        if isinstance(each, SOCKS6ServerFactory):
            sessions += each.sessions.events
            tokens += Counter(
                {words(outcome): count for outcome, count in each.sessions.outcomes.items()}
            )
            failures += each.authenticator.failed
            barred += each.authenticator.barred
            if each.associations is not None:
                associations += len(each.associations.opened)
                dropped += each.associations.dropped
                datagrams += each.associations.passed
        elif isinstance(each, LocalFactory):
            dropped += each.dropped
    values["socks6_requests_total"] = requests
    values["socks6_octets_total"] = {("to_remote",): toRemote, ("to_client",): toClient}
    values["socks6_sessions_total"] = _labelled(sessions, SESSION_EVENTS)
    values["socks6_tokens_total"] = _labelled(tokens, map(words, TokenOutcome))
    values["socks6_authentication_failures_total"] = _only(failures)
    values["socks6_authentication_barred_total"] = _only(barred)
    values["socks6_connections_refused_total"] = _labelled(refused, REFUSALS)
    values["socks6_associations_open"] = _only(associations)
    values["socks6_datagrams_total"] = _labelled(datagrams, ("to_remote", "to_client"))
    values["socks6_datagrams_dropped_total"] = _labelled(dropped)
    return values


def _only(value: float) -> Values:
    """
    Give the value of a metric without labels.
    """
    return {(): value}


def _labelled(counted: Mapping[str, int], known: Iterable[str] = ()) -> Values:
    """
    Give the values of a metric with one label.

    @param known: What has a value in any case.
    """
    return {(name,): counted.get(name, 0) for name in {**dict.fromkeys(known), **counted}}


def _logged(logs: Iterable[AccessLog]) -> Sample:
    """
    Ask the access logs, which factories may share.
    """
    malformed = Counter[str]()
    lost = 0
    for log in logs:
        malformed += log.malformed
        if isinstance(log, FileAccessLog):
            lost += log.file.lost
    return {
        "socks6_malformed_total": _labelled(malformed),
        "socks6_access_log_lost_total": _only(lost),
    }
