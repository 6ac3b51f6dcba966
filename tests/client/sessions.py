"""
What clients and proxy say of sessions and tokens, and the base of tests with them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.session import SOCKS6Session
from socks6.values.codes import ReplyCode, TokenOutcome
from socks6.values.options import (
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UsernamePassword,
)
from tests.client.doubles import (
    HOST,
    PORT,
    Application,
    ApplicationFactory,
    ClientTestCase,
    ProxyTransport,
    authenticationReply,
    operationReply,
    refusal,
)

#: Who we are.
ADA = UsernamePassword(b"ada", b"s3cret")

#: What names sessions.
ID, OTHER_ID = b"a secret of two", b"another secret"

# --- what requests say ---


def opening(size: int = 64) -> list[Option]:
    """
    Make the options of a request that opens a session.

    @param size: That of the window it asks for; 0: none.
    """
    wish = [TokenRequest(size)] if size else []
    return [SessionRequest(), ADA, *wish]


def naming(token: int | None = None, *others: Option, identifier: bytes = ID) -> list[Option]:
    """
    Make the options of a request in a session.

    @param token: What it spends.
    """
    spent = [] if token is None else [TokenExpenditure(token)]
    return [SessionID(identifier), *others, *spent]


FAREWELL: list[Option] = [SessionID(ID), SessionTeardown()]

# --- what the proxy says ---

CONNECTED = operationReply()
FAILED = operationReply(ReplyCode.CONNECTION_REFUSED)


def admitted(*options: Option) -> bytes:
    """
    Write an Authentication Reply that reports success.
    """
    return authenticationReply(options=OptionList(options))


def window(base: int, size: int = 64) -> TokenWindowAdvertisement:
    """
    Make the news of a window.
    """
    return TokenWindowAdvertisement(base, size)


def opened(size: int = 64, identifier: bytes = ID, *others: Option) -> bytes:
    """
    Write the Authentication Reply that opens a session.

    @param size: That of the window it grants; 0: none.
    """
    granted = [window(0, size)] if size else []
    return admitted(SessionID(identifier), *granted, *others)


def spent(*news: TokenWindowAdvertisement) -> bytes:
    """
    Write the Authentication Reply to a request that has spent a token.
    """
    return admitted(SessionOK(), TokenExpenditureReply(TokenOutcome.SUCCESS), *news)


def unspent(outcome: TokenOutcome, *news: TokenWindowAdvertisement) -> bytes:
    """
    Write both replies to a request that could not spend its token.
    """
    return admitted(SessionOK(), TokenExpenditureReply(outcome), *news) + operationReply(
        ReplyCode.GENERAL_FAILURE
    )


WITHIN = admitted(SessionOK())
INVALID = refusal(OptionList([SessionInvalid()]))


class Call:
    """
    One call of an endpoint.

    @ivar application: The user's protocol.
    @ivar result: What C{connect} has returned.
    """

    def __init__(self, endpoint: SOCKS6ClientEndpoint, application: Application) -> None:
        self.application = application
        self.result: Deferred[Any] = endpoint.connect(ApplicationFactory(application))


class SessionTestCase(ClientTestCase):
    """
    Connects in a session with a proxy that the test plays.

    @ivar session: The session.
    """

    session: SOCKS6Session

    def setUp(self) -> None:
        """
        Have a session that is not open.
        """
        super().setUp()
        # Time did not begin with us.
        self.reactor.rightNow = 1000.0
        self.renew()

    def renew(self, **arguments: Any) -> None:
        """
        Have another session, which is not open.
        """
        arguments = {"username": "ada", "password": "s3cret", **arguments}
        self.session = SOCKS6Session(self.reactor, self.proxyEndpoint, **arguments)

    def call(
        self, application: Application | None = None, port: int = PORT, **arguments: Any
    ) -> Call:
        """
        Begin to connect.

        @param arguments: Of the endpoint.
        """
        endpoint = SOCKS6ClientEndpoint(self.reactor, self.session, HOST, port, **arguments)
        return Call(endpoint, application or Application())

    def calls(self, count: int, **arguments: Any) -> list[Call]:
        """
        Begin to connect several times.
        """
        return [self.call(**arguments) for _ in range(count)]

    def acceptAll(self) -> list[ProxyTransport]:
        """
        Let the proxy accept all connections that it has not accepted.
        """
        return [self.acceptNext() for _ in range(self.unaccepted)]

    def open(self, reply: bytes | None = None) -> None:
        """
        Open the session with a request that succeeds.

        @param reply: The Authentication Reply.
        """
        call = self.call()
        transport = self.acceptNext()
        transport.receive((opened() if reply is None else reply) + CONNECTED)
        self.assertConnected(call)
        self.assertTrue(self.session.isOpen)

    def assertSays(self, transport: ProxyTransport, options: list[Option], name: str = "") -> None:
        """
        Check what a request says of who makes it.
        """
        self.assertEqual(list(transport.request.options), options, name)

    def assertConnected(self, call: Call) -> None:
        """
        Check that the user's protocol is connected.
        """
        self.assertIdentical(self.successResultOf(call.result), call.application)
        self.assertEqual(call.application.events[0], "made")

    def assertWaiting(self, *calls: Call) -> None:
        """
        Check that requests wait to go out.
        """
        self.assertEqual(self.unaccepted, 0)
        for call in calls:
            self.assertNoResult(call.result)
