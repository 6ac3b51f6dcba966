"""
The options of C{twistd socks6} that are about sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from socks6.interfaces import SessionTrust
from socks6.policy import sessions
from socks6.policy.sessions import SessionService
from socks6.policy.stores.strings import StoreMaker, storeFromString
from socks6.tap.readings import count, duration
from socks6.values.codes import MAX_TOKEN_WINDOW_SIZE

#: The most sessions that anybody may ask for: as many as a 64-bit number counts.
_MANY = 2**63 - 1

_TRUST: Mapping[str, SessionTrust] = {
    "always": SessionTrust.EVERYWHERE,
    "tls": SessionTrust.OVER_TLS,
    "never": SessionTrust.NOWHERE,
}


def _trust(text: str) -> str:
    """
    Check the word that says where authentication is waived.

    @raise ValueError: It is none.
    """
    if text not in _TRUST:
        raise ValueError(f"--session-trust {text!r} is not one of {', '.join(_TRUST)}")
    return text


class SessionOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    parameters: Sequence[Sequence[Any]] = [
        [
            "sessions",
            None,
            None,
            "Where sessions are kept: memory:, sqlite:PATH, redis://... [default: memory:].",
            storeFromString,
        ],
        duration(
            "session-timeout",
            sessions.DEFAULT_TIMEOUT,
            "Seconds without a request after which a session ends.",
        ),
        [
            "session-trust",
            None,
            "always",
            "Where sessions waive authentication: always, tls or never.",
            _trust,
        ],
        count("max-sessions", 0, _MANY, sessions.MAX_SESSIONS, "Sessions in all."),
        count(
            "max-sessions-per-client",
            0,
            _MANY,
            sessions.MAX_SESSIONS_PER_CLIENT,
            "Sessions of one user, or of one address if unauthenticated.",
        ),
        count(
            "max-token-window",
            1,
            MAX_TOKEN_WINDOW_SIZE,
            sessions.MAX_TOKEN_WINDOW,
            "Idempotence tokens that a window has at most.",
        ),
    ]
    flags: Sequence[Sequence[Any]] = [
        ["no-anonymous-sessions", None, "No sessions for clients that need no password."],
    ]

    def sessionService(self, reactor: Any) -> SessionService:
        """
        Make the service that the options describe.
        """
        makeStore: StoreMaker | None = self["sessions"]
        return SessionService(
            reactor,
            None if makeStore is None else makeStore(reactor),
            timeout=self["session-timeout"],
            trust=_TRUST[self["session-trust"]],
            maxSessions=self["max-sessions"],
            maxSessionsPerClient=self["max-sessions-per-client"],
            anonymous=not self["no-anonymous-sessions"],
            maxTokenWindow=self["max-token-window"],
        )
