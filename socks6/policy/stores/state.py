"""
A session as the stores have it that run in this process.
"""

from __future__ import annotations

from collections.abc import Collection

from socks6.interfaces import SessionDemand, SessionRecord, SessionTrust, SessionUse
from socks6.machine.tokens import TokenWindow
from socks6.values.codes import TokenOutcome


class SessionState:
    """
    A session and what changes about it.

    @ivar window: Its token window, if it has one.
    @ivar expires: When it ends if nobody uses it, in seconds of the store's clock.
    """

    __slots__ = ("expires", "record", "window")

    def __init__(self, record: SessionRecord, window: TokenWindow | None, expires: float) -> None:
        self.record = record
        self.window = window
        self.expires = expires

    def use(
        self, demand: SessionDemand, trusts: Collection[SessionTrust], expires: float
    ) -> SessionUse:
        """
        Do what a request wants; to end the session is left to the store.

        @param expires: When the session ends if nobody uses it any more.
        @see: L{ISessionStore.use<socks6.interfaces.ISessionStore.use>}
        """
        if self.record.trust not in trusts:
            return SessionUse(self.record, admitted=False)
        self.expires = expires
        window = self.window
        if demand.token is None:
            outcome, advertised = None, False
        elif window is None:
            outcome, advertised = TokenOutcome.NO_WINDOW, False
        else:
            base = window.base
            outcome = window.spend(demand.token)
            advertised = outcome is TokenOutcome.OUT_OF_WINDOW or window.base != base
        if _isHonoured(outcome) and demand.windowSize is not None:
            window = self.window = TokenWindow(window.end if window else 0, demand.windowSize)
            advertised = True
        return SessionUse(
            self.record,
            admitted=True,
            outcome=outcome,
            window=window.advertisement if window and advertised else None,
        )


def endsSession(demand: SessionDemand, use: SessionUse) -> bool:
    """
    Tell whether a request has ended its session.
    """
    return demand.teardown and use.admitted and _isHonoured(use.outcome)


def _isHonoured(outcome: TokenOutcome | None) -> bool:
    """
    Tell whether more may be done for a request than to judge its token.
    """
    return outcome in (None, TokenOutcome.SUCCESS)
