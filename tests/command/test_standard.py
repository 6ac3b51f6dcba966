"""
Tests for L{socks6.command.standard}.
"""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from socks6.command.standard import (
    complain,
    endOutput,
    hasReader,
    letBlock,
    openDescriptors,
)
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

    def test_hasReader(self) -> None:
        """
        Another process reads pipes and sockets; nobody reads files and devices.
        """
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        ends = socket.socketpair()
        for end in ends:
            self.addCleanup(end.close)
        with open(os.devnull, "wb") as nothing, open(self.mktemp(), "wb") as file:
            for descriptor, expected in (
                (writer, True),
                (ends[0].fileno(), True),
                (nothing.fileno(), False),
                (file.fileno(), False),
            ):
                self.assertIs(hasReader(descriptor), expected)


class ComplaintTests(SynchronousTestCase):
    """
    What went wrong, for people.
    """

    def test_complain(self) -> None:
        """
        The program says so on standard error, and who it is.
        """
        with written() as (output, errors):
            complain(ValueError("no such thing"))
        self.assertEqual((output.getvalue(), errors.getvalue()), ("", "socks6: no such thing\n"))

    def test_nobodyReads(self) -> None:
        """
        That nobody reads what is written is not worth a word.
        """
        for error in (BrokenPipeError("no more"), ConnectionResetError(104, "reset")):
            with written() as (output, errors):
                complain(error)
            self.assertEqual((output.getvalue(), errors.getvalue()), ("", ""))
