"""
Tests of L{socks6.text}.
"""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from socks6.text import errorWords, escaped, octets, words
from socks6.values.codes import Command, ReplyCode


class TextTests(SynchronousTestCase):
    """
    Text and octets.
    """

    def test_octets(self) -> None:
        """
        Text becomes UTF-8; octets stay as they are, even if they are not.
        """
        self.assertEqual(octets("zoë"), b"zo\xc3\xab")
        self.assertEqual(octets(b"zo\xeb"), b"zo\xeb")

    def test_words(self) -> None:
        """
        A number that has a name is called so.
        """
        self.assertEqual(words(Command.UDP_ASSOCIATE), "udp associate")
        self.assertEqual(words(ReplyCode.SUCCESS), "success")
        self.assertEqual(words(153), "153")

    def test_escaped(self) -> None:
        """
        Text that is one line of printable ASCII stays as it is.
        """
        for text, expected in (
            ("", ""),
            (r"a\b", r"a\b"),
            ("a\r\nb", r"a\r\nb"),
            ("zoë \x7f", r"zo\xeb \x7f"),
            ("\udcff", r"\\udcff"),
        ):
            self.assertEqual(escaped(text), expected)

    def test_errorWords(self) -> None:
        """
        An error is one line without a full stop, whatever it is.
        """
        tls = ("SSL routines", "", "certificate verify failed")
        for error, expected in [
            (ValueError("no\n such  thing."), "no such thing"),
            (ValueError(), "ValueError"),
            (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
            (BrokenPipeError("too late"), "too late"),
            (ConnectionRefusedError(), "Connection was refused by other side"),
            (SSL.Error([tls]), "TLS: certificate verify failed"),
            (SSL.Error([("SSL routines", "f", "first"), tls]), "TLS: certificate verify failed"),
            (SSL.Error([]), "[]"),
            (
                ConnectError(string=str([tls])),
                "An error occurred while connecting: TLS: certificate verify failed",
            ),
        ]:
            self.assertEqual(errorWords(error), expected)
