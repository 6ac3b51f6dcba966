"""
Tests for the client's exceptions.
"""

from twisted.internet.error import ConnectError, TimeoutError
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    MalformedAnswer,
    NoAnswer,
    NotASOCKS6Proxy,
    ProxyFault,
    RequestRefused,
    SessionClosed,
    TokenRefused,
    UnreadableAddress,
    VersionNotSpoken,
    proxyFault,
    requestRefused,
)
from socks6.values.codes import ReplyCode, TokenOutcome
from socks6.wire.errors import (
    MalformedMessage,
    NotSOCKS6,
    PeerError,
    SOCKS6Error,
    UnexpectedEnd,
    UnknownAddressType,
    VersionMismatch,
)


class RequestRefusedTests(SynchronousTestCase):
    """
    L{RequestRefused} and what makes it.
    """

    def test_everyCode(self) -> None:
        """
        Each reply code is kept, and named in words beside its number.
        """
        for code in ReplyCode:
            error = requestRefused(code)
            self.assertIs(error.code, code)
            self.assertIsInstance(error, ConnectError)
            self.assertIsInstance(error, SOCKS6Error)
            self.assertIn(f"({int(code)})", str(error))
        self.assertEqual(
            str(requestRefused(ReplyCode.HOST_UNREACHABLE)),
            "the proxy refused: host unreachable (4).",
        )

    def test_unknownCode(self) -> None:
        """
        A reply code that nobody knows keeps its number.
        """
        error = requestRefused(77)
        self.assertEqual(error.code, 77)
        self.assertEqual(str(error), "the proxy refused: unknown reply code (77).")

    def test_authentication(self) -> None:
        """
        A failed authentication has no reply code, and may be the session's fault.
        """
        error = AuthenticationRefused()
        self.assertIsInstance(error, RequestRefused)
        self.assertIsNone(error.code)
        self.assertFalse(error.sessionInvalid)
        self.assertEqual(str(error), "the proxy refused: authentication failed.")
        error = AuthenticationRefused(True)
        self.assertTrue(error.sessionInvalid)
        self.assertEqual(str(error), "the proxy refused: invalid session.")

    def test_token(self) -> None:
        """
        What became of a token is kept, and named in words.
        """
        for outcome, said in [
            (TokenOutcome.NO_WINDOW, "no window"),
            (TokenOutcome.OUT_OF_WINDOW, "out of window"),
            (TokenOutcome.DUPLICATE, "duplicate"),
        ]:
            error = TokenRefused(outcome)
            self.assertIsInstance(error, RequestRefused)
            self.assertIs(error.outcome, outcome)
            self.assertIs(error.code, ReplyCode.GENERAL_FAILURE)
            self.assertEqual(str(error), f"the proxy refused: token not eligible: {said}.")


class SessionClosedTests(SynchronousTestCase):
    """
    L{SessionClosed}
    """

    def test_session(self) -> None:
        """
        It is an error of a connection, but the proxy has not refused anything.
        """
        error = SessionClosed()
        self.assertIsInstance(error, ConnectError)
        self.assertIsInstance(error, SOCKS6Error)
        self.assertNotIsInstance(error, RequestRefused)
        self.assertEqual(str(error), "not through the proxy: the session is closed.")


class NoAnswerTests(SynchronousTestCase):
    """
    L{NoAnswer}
    """

    def test_words(self) -> None:
        """
        It is a timeout of a connection, and tells how long was waited; the proxy has
        refused nothing, and broken no rule.
        """
        for seconds, said in ((60.0, "60"), (0.25, "0.25")):
            error = NoAnswer(seconds)
            for kind in (TimeoutError, ConnectError, SOCKS6Error):
                self.assertIsInstance(error, kind)
            self.assertNotIsInstance(error, RequestRefused)
            self.assertNotIsInstance(error, PeerError)
            self.assertEqual(
                str(error), f"no connection through the proxy: no answer within {said} s."
            )


class ProxyFaultTests(SynchronousTestCase):
    """
    L{proxyFault}: errors of the wire that are errors of a connection as well.
    """

    def test_everyError(self) -> None:
        """
        Each has the nearest class of its own, which is the original one, too.
        """
        for kind, fault in [
            (VersionMismatch, VersionNotSpoken),
            (NotSOCKS6, NotASOCKS6Proxy),
            (MalformedMessage, MalformedAnswer),
            (UnknownAddressType, UnreadableAddress),
            (UnexpectedEnd, EndedEarly),
            (PeerError, ProxyFault),
        ]:
            error = proxyFault(kind("so it is"))
            self.assertIs(type(error), fault)
            self.assertIsInstance(error, kind)
            self.assertIsInstance(error, ConnectError)
            self.assertEqual(str(error), "no connection through the proxy: so it is.")

    def test_laterClass(self) -> None:
        """
        An error of a class that is not known here is what its base is.
        """

        class EmptyMessage(MalformedMessage):
            """
            A new kind.
            """

        self.assertIs(type(proxyFault(EmptyMessage("nothing"))), MalformedAnswer)

    def test_everyClassIsKnown(self) -> None:
        """
        No class of L{socks6.wire.errors} is blurred into its base.
        """

        def below(kind: type[PeerError]) -> list[type[PeerError]]:
            return [kind, *(lower for each in kind.__subclasses__() for lower in below(each))]

        for kind in below(PeerError):
            if kind.__module__ == "socks6.wire.errors":
                fault = type(proxyFault(kind("so it is")))
                self.assertIn(kind, fault.__mro__)
