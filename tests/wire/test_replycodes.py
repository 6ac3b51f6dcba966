"""
Tests of L{socks6.wire.replycodes}.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from socks6.values.codes import ReplyCode
from socks6.wire.replycodes import (
    SOCKS4ReplyCode,
    SOCKS5ReplyCode,
    fromSOCKS5,
    toHTTP,
    toSOCKS4,
    toSOCKS5,
)

#: What SOCKS 4, SOCKS 5 and HTTP say for each code of SOCKS 6.
SAID: Mapping[int, tuple[int, int, int]] = {
    ReplyCode.SUCCESS: (90, 0, 200),
    ReplyCode.GENERAL_FAILURE: (91, 1, 502),
    ReplyCode.NOT_ALLOWED: (91, 2, 403),
    ReplyCode.NETWORK_UNREACHABLE: (91, 3, 502),
    ReplyCode.HOST_UNREACHABLE: (91, 4, 502),
    ReplyCode.CONNECTION_REFUSED: (91, 5, 502),
    ReplyCode.TTL_EXPIRED: (91, 6, 504),
    ReplyCode.COMMAND_NOT_SUPPORTED: (91, 7, 501),
    ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED: (91, 8, 502),
    ReplyCode.TIMED_OUT: (91, 6, 504),
}

#: What SOCKS 6 says for the codes of SOCKS 5 that it does not have.
ONION_SERVICES: Mapping[int, ReplyCode] = {
    0xF0: ReplyCode.HOST_UNREACHABLE,
    0xF1: ReplyCode.HOST_UNREACHABLE,
    0xF2: ReplyCode.HOST_UNREACHABLE,
    0xF3: ReplyCode.HOST_UNREACHABLE,
    0xF4: ReplyCode.NOT_ALLOWED,
    0xF5: ReplyCode.NOT_ALLOWED,
    0xF6: ReplyCode.HOST_UNREACHABLE,
    0xF7: ReplyCode.TIMED_OUT,
}


class ToOthersTests(SynchronousTestCase):
    """
    What SOCKS 6 says is said in the words of others.
    """

    def test_everyCode(self) -> None:
        """
        Each reply code has a word in each protocol.
        """
        self.assertEqual(set(SAID), set(ReplyCode))
        for code, said in SAID.items():
            found = (toSOCKS4(code), toSOCKS5(code), toHTTP(code))
            self.assertEqual(tuple(map(int, found)), said, f"{code!r}")

    def test_socks4(self) -> None:
        """
        The codes of SOCKS 4 are those of the memo.
        """
        self.assertEqual([int(code) for code in SOCKS4ReplyCode], [90, 91, 92, 93])

    def test_unknown(self) -> None:
        """
        A code that we do not know is a general failure.
        """
        for code in set(range(256)) - set(ReplyCode):
            self.assertIs(toSOCKS4(code), SOCKS4ReplyCode.REJECTED, f"{code}")
            self.assertIs(toSOCKS5(code), SOCKS5ReplyCode.GENERAL_FAILURE, f"{code}")
            self.assertEqual(toHTTP(code), 502, f"{code}")


class FromSOCKS5Tests(SynchronousTestCase):
    """
    What SOCKS 5 says is said in the words of SOCKS 6.
    """

    def test_everyCode(self) -> None:
        """
        The codes of RFC 1928 are the same, and Tor's have their nearest; all others
        are a general failure.
        """
        for code in range(256):
            expected = ReplyCode(code) if code <= 8 else ONION_SERVICES.get(code, 1)
            self.assertEqual(fromSOCKS5(code), expected, f"{code}")
            self.assertIsInstance(fromSOCKS5(code), ReplyCode)

    def test_names(self) -> None:
        """
        Those are all codes that have a name.
        """
        self.assertEqual({*map(int, SOCKS5ReplyCode)}, {*range(9), *ONION_SERVICES})

    def test_thereAndBack(self) -> None:
        """
        What SOCKS 5 can say comes back as it was.
        """
        for code in set(ReplyCode) - {ReplyCode.TIMED_OUT}:
            self.assertIs(fromSOCKS5(toSOCKS5(code)), code)
