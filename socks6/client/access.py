"""
The way to a proxy, and what each request says of who makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint

from socks6.text import octets
from socks6.values.codes import TokenOutcome
from socks6.values.options import (
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    TokenExpenditureReply,
    UsernamePassword,
)

if TYPE_CHECKING:
    from socks6.client.session import SOCKS6Session


class Remedy(Enum):
    """
    Why a request that was refused may succeed if it is made again.

    Nothing has been done for it in either case.
    """

    #: The proxy does not know the session: the next request opens another one.
    NEW_SESSION = auto()
    #: It wants the credentials, although the session was a trusted one.
    CREDENTIALS = auto()
    #: The token was not in its window: the next one will be.
    NEW_TOKEN = auto()


class Passage:
    """
    What one request says of who makes it, and who hears what came of that; here,
    nobody.

    Exactly one of L{replied}, L{refused} and L{abandoned} ends it; what is called
    after that changes nothing.

    @ivar options: The options for the request.
    @ivar mayNeedRemedy: Whether it can happen that the request has to be made again.
    """

    mayNeedRemedy = False

    def __init__(self, options: Sequence[Option] = ()) -> None:
        """
        @param options: See C{options}.
        """
        self.options = OptionList(options)

    def authenticated(self, options: OptionList) -> Remedy | None:
        """
        The proxy has let us in.

        @param options: Those of its Authentication Reply.
        @return: What may help; L{None}: the request is being worked on.
        """
        return None

    def replied(self, options: OptionList) -> None:
        """
        The proxy has told how the operation went.

        @param options: Those of its Operation Reply.
        """

    def refused(self, options: OptionList) -> Remedy | None:
        """
        The proxy did not let us in.

        @param options: Those of its Authentication Reply.
        @return: What may help; L{None}: nothing does.
        """
        return None

    def abandoned(self) -> None:
        """
        It will not be known what came of the request.
        """


class SessionPassage(Passage):
    """
    What one request says of its session.

    @ivar identifier: The session's ID, as soon as it is known.
    @ivar isAdmitted: Whether the proxy has let us in.
    """

    def __init__(self, session: SOCKS6Session, options: Sequence[Option]) -> None:
        """
        @param options: The options for the request.
        """
        super().__init__(options)
        named = self.options.first(SessionID)
        self.identifier = None if named is None else named.identifier
        self.isAdmitted = False
        self.mayNeedRemedy = named is not None
        self._session = session

    def authenticated(self, options: OptionList) -> Remedy | None:
        """
        Learn from a reply.

        @see: L{Passage.authenticated}
        """
        self.isAdmitted = True
        self._session.learn(self, options)
        reply = options.first(TokenExpenditureReply)
        if reply is None or reply.outcome in (TokenOutcome.SUCCESS, TokenOutcome.DUPLICATE):
            return None
        return Remedy.NEW_TOKEN

    def replied(self, options: OptionList) -> None:
        """
        Learn from the last reply; session options may stand here, too.

        @see: L{Passage.replied}
        """
        self._session.learn(self, options)
        self._session.ended(self)

    def refused(self, options: OptionList) -> Remedy | None:
        """
        Learn why the request was refused.

        @see: L{Passage.refused}
        """
        remedy = None
        if self.mayNeedRemedy:
            assert self.identifier is not None
            if options.first(SessionInvalid) is not None:
                self._session.forget(self.identifier)
                remedy = Remedy.NEW_SESSION
            elif self._session.options and self.options.first(UsernamePassword) is None:
                self._session.distrust()
                remedy = Remedy.CREDENTIALS
        self._session.ended(self, remedy)
        return remedy

    def abandoned(self) -> None:
        """
        Let others go on.

        @see: L{Passage.abandoned}
        """
        self._session.ended(self)


class Access:
    """
    A way to a proxy, for requests that have nothing to do with one another.

    @ivar proxyEndpoint: How to connect to the proxy.
    @ivar options: What each request says of who makes it.
    """

    def __init__(self, proxyEndpoint: IStreamClientEndpoint, options: Sequence[Option]) -> None:
        """
        @param options: See C{options}.
        """
        self.proxyEndpoint = proxyEndpoint
        self.options = OptionList(options)

    def enter(self) -> Deferred[Passage]:
        """
        Let a request go out.

        @return: Fires when it may, with what it is to say.  Fails if it never may.
            Cancelling waits no more.
        """
        return succeed(Passage(self.options))


def authenticationData(
    username: str | bytes | None, password: str | bytes | None
) -> tuple[UsernamePassword, ...]:
    """
    Make the options that tell the proxy who we are.

    They are Authentication Data; without a list of methods beside it the proxy
    answers at once, and data may follow the request.

    @return: None, or one.
    @raise ValueError: One of the arguments is missing, empty or too long.
    @see: draft 06, "Authentication Data options"; "False Starts".
    """
    if username is None and password is None:
        return ()
    if username is None or password is None:
        raise ValueError("username and password go together")
    return (UsernamePassword(octets(username), octets(password)),)


def accessTo(
    proxy: IStreamClientEndpoint | Access,
    username: str | bytes | None,
    password: str | bytes | None,
) -> Access:
    """
    Find the way to a proxy, for an endpoint.

    @param proxy: The way, for whoever has the user name and the password, if there are
        any; or a session, which has its own.
    @raise ValueError: One of the arguments cannot be.
    """
    credentials = authenticationData(username, password)
    if not isinstance(proxy, Access):
        return Access(proxy, credentials)
    if credentials:
        raise ValueError("in a session, who we are is the session's to say")
    return proxy
