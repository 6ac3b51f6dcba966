"""
Tests for L{socks6.command.standard}.
"""

from __future__ import annotations

import errno
import os

from OpenSSL import SSL
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from socks6.command.standard import complain, endOutput, inWords, letBlock, openDescriptors
from tests.command.harness import written


class DescriptorTests(SynchronousTestCase):
    """
    The standard descriptors, which are trial's own here and left alone.
    """

    def test_open(self) -> None:
        """
        Those that are closed are opened; the first one above them is not kept.
        """
        for free, kept in [([0, 2, 3], [0, 2]), ([0, 1, 2, 7], [0, 1, 2]), ([5], [])]:
            numbers = iter(free)
            opened: list[int] = []

            def openNothing(path: str, flags: int) -> int:
                self.assertEqual((path, flags), (os.devnull, os.O_RDWR))
                opened.append(next(numbers))  # noqa: B023  it is called in this turn
                return opened[-1]  # noqa: B023

            self.patch(os, "open", openNothing)
            self.patch(os, "close", opened.remove)
            openDescriptors()
            self.assertEqual(opened, kept)

    def test_letBlock(self) -> None:
        """
        All three are made to block.
        """
        blocking: dict[int, bool] = {}
        self.patch(os, "set_blocking", blocking.__setitem__)
        letBlock()
        self.assertEqual(blocking, {0: True, 1: True, 2: True})

    def test_endOutput(self) -> None:
        """
        Standard output leads to nothing from now on.
        """
        found: list[tuple[bool, int]] = []

        def duplicate(descriptor: int, number: int) -> None:
            isNothing = os.fstat(descriptor).st_rdev == os.stat(os.devnull).st_rdev
            found.append((isNothing, number))

        self.patch(os, "dup2", duplicate)
        endOutput()
        self.assertEqual(found, [(True, 1)])


class WordsTests(SynchronousTestCase):
    """
    What went wrong, for people.
    """

    def test_words(self) -> None:
        """
        It is one line without a full stop, whatever the error is.
        """
        tls = ("SSL routines", "", "certificate verify failed")
        for error, words in [
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
            self.assertEqual(inWords(error), words)

    def test_complain(self) -> None:
        """
        The program says so on standard error, and who it is.
        """
        with written() as (output, errors):
            complain(ValueError("no such thing"))
        self.assertEqual((output.getvalue(), errors.getvalue()), ("", "socks6: no such thing\n"))
