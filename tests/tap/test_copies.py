"""
Tests of L{socks6.tap.copies}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socks6.tap.copies import Copies


class CopiesTests(SynchronousTestCase):
    """
    L{Copies}.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.one, self.two = folder / "one", folder / "two"
        self.one.write_bytes(b"first")
        self.two.write_bytes(b"second")

    def make(self) -> Copies:
        """
        Copy the files.
        """
        copies = Copies({"one": str(self.one), "none": None, "two": str(self.two)})
        self.addCleanup(copies.close)
        return copies

    def contents(self, copies: Copies) -> dict[str, bytes]:
        """
        Read the copies, as others do.
        """
        return {
            name: Path(f"/dev/fd/{descriptor}").read_bytes()
            for name, descriptor in copies.descriptors.items()
        }

    def test_made(self) -> None:
        """
        There is a copy of each file that there is.
        """
        self.assertEqual(self.contents(self.make()), {"one": b"first", "two": b"second"})

    def test_renewed(self) -> None:
        """
        The same copies become what the files are, when they were all read, and not before.
        """
        copies = self.make()
        before = dict(copies.descriptors)
        self.addCleanup(os.chdir, os.getcwd())
        self.one.write_bytes(b"1")
        self.two.write_bytes(b"much longer than before")
        os.chdir("/")
        write = copies.prepare()
        self.assertEqual(self.contents(copies), {"one": b"first", "two": b"second"})
        write()
        self.assertEqual(self.contents(copies), {"one": b"1", "two": b"much longer than before"})
        self.assertEqual(copies.descriptors, before)

    def test_unreadable(self) -> None:
        """
        If one cannot be read, all copies stay.
        """
        copies = self.make()
        self.one.write_bytes(b"other")
        self.two.unlink()
        self.assertRaises(OSError, copies.prepare)
        self.assertEqual(self.contents(copies), {"one": b"first", "two": b"second"})
        self.assertRaises(OSError, self.make)

    def test_noCopies(self) -> None:
        """
        Some systems cannot make them; then everybody reads the files themselves.
        """
        if hasattr(os, "memfd_create"):
            made = os.memfd_create
            self.addCleanup(setattr, os, "memfd_create", made)
            del os.memfd_create
        copies = self.make()
        self.assertEqual(copies.descriptors, {})
        copies.prepare()()

    def test_closed(self) -> None:
        """
        In the end they are closed, once.
        """
        copies = self.make()
        descriptors = list(copies.descriptors.values())
        copies.close()
        copies.close()
        for descriptor in descriptors:
            self.assertRaises(OSError, os.fstat, descriptor)
