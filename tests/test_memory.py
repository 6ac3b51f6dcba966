"""
Tests of L{socks6.memory}.
"""

from __future__ import annotations

import mmap
import resource
import tempfile
from collections.abc import Mapping
from pathlib import Path
from unittest import skipUnless

from twisted.python.runtime import platform
from twisted.trial.unittest import SynchronousTestCase

from socks6.memory import Bound, Reserve, boundsOfSystem, groupBounds, ofProcess

MEGA = 2**20


class BoundTests(SynchronousTestCase):
    """
    L{Bound}.
    """

    def test_marks(self) -> None:
        """
        A fifth is left free, but no more than 256 MiB; half of it is for those who are in.
        """
        for most, full, dangerous in (
            (100 * MEGA, 80 * MEGA, 90 * MEGA),
            (10240 * MEGA, 9984 * MEGA, 10112 * MEGA),
        ):
            bound = Bound("a limit", most, lambda: 0, lambda: 0)
            self.assertEqual((bound.fullFrom, bound.dangerousFrom), (full, dangerous))

    @skipUnless(platform.isLinux(), "this system does not tell")
    def test_process(self) -> None:
        """
        What the process has counts, and no more of it when free memory has been given back.
        """
        bound = ofProcess(10**9)
        before = bound.exactly()
        self.assertGreater(before, MEGA)
        kept = bytearray(b"x") * (64 * MEGA)
        self.assertGreaterEqual(bound.used(), before + 60 * MEGA)
        del kept
        self.assertLess(bound.exactly(), before + 32 * MEGA)

    @skipUnless(platform.isLinux(), "this system does not tell")
    def test_resources(self) -> None:
        """
        What C{ulimit} has set counts, if it has set anything, with what is in use of that.
        """
        limits = {
            resource.RLIMIT_AS: (10**9, resource.RLIM_INFINITY),
            resource.RLIMIT_DATA: (2 * 10**9, resource.RLIM_INFINITY),
        }
        self.patch(resource, "getrlimit", limits.__getitem__)
        found = {bound.name: bound for bound in boundsOfSystem() if "ulimit" in bound.name}
        self.assertEqual(
            {name: bound.most for name, bound in found.items()},
            {"ulimit -v": 10**9, "ulimit -d": 2 * 10**9},
        )
        for bound in found.values():
            self.assertTrue(bound.canFail)
            before = bound.used()
            with mmap.mmap(-1, 64 * MEGA, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
                self.assertGreaterEqual(bound.used(), before + 60 * MEGA)
            self.assertLessEqual(bound.exactly(), bound.used())
        self.patch(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
        self.assertEqual([bound for bound in boundsOfSystem() if "ulimit" in bound.name], [])


class GroupTests(SynchronousTestCase):
    """
    L{groupBounds}.
    """

    def groups(self, files: Mapping[str, str]) -> Path:
        """
        Make what the kernel shows.
        """
        folder = tempfile.TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        for name, text in files.items():
            path = Path(folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "ascii")
        return Path(folder.name)

    def test_second(self) -> None:
        """
        In version 2, the group counts, and each that it is in, if they have a limit.  Copies
        of files do not count in the end.
        """
        root = self.groups(
            {
                "system/socks6/memory.max": "1000\n",
                "system/socks6/memory.current": "900\n",
                "system/socks6/memory.stat": "anon 1\ninactive_file 300\nactive_file 200\n",
                "system/memory.max": "max\n",
                "memory.max": "5000\n",
                "memory.current": "7\n",
            }
        )
        own, outer = groupBounds("0::/system/socks6\n", root)
        self.assertEqual((own.most, own.used(), own.exactly()), (1000, 900, 400))
        self.assertEqual((outer.most, outer.used(), outer.exactly()), (5000, 7, 7))
        self.assertFalse(own.canFail)

    def test_first(self) -> None:
        """
        In version 1, what counts is the group of the memory controller, if that has a limit.
        """
        root = self.groups(
            {
                "memory/box/memory.limit_in_bytes": "1000\n",
                "memory/box/memory.usage_in_bytes": "900\n",
                "memory/box/memory.stat": "total_inactive_file 300\ntotal_active_file 1\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            }
        )
        (bound,) = groupBounds("9:name=systemd:/\n4:memory:/box\n0::/\n", root)
        self.assertEqual((bound.most, bound.used(), bound.exactly()), (1000, 900, 599))

    def test_absent(self) -> None:
        """
        What cannot be read is no limit; what vanishes uses nothing.
        """
        self.assertEqual(list(groupBounds("0::/there\n", Path("/nowhere"))), [])
        root = self.groups({"memory.max": "1000\n"})
        (bound,) = groupBounds("0::/\n", root)
        self.assertEqual((bound.used(), bound.exactly()), (0, 0))


class ReserveTests(SynchronousTestCase):
    """
    L{Reserve}.
    """

    def test_ranOut(self) -> None:
        """
        When there is no memory, it is given up, and those hear of it who want to.
        """
        reserve = Reserve()
        heard: list[bool] = []
        self.assertFalse(reserve.ranOut())

        def hear() -> bool:
            heard.append(reserve.isKept)
            return len(heard) < 3

        reserve.hearers += [hear, lambda: False]
        for _ in range(2):
            reserve.keep()
            self.assertTrue(reserve.isKept)
            self.assertTrue(reserve.ranOut())
        self.assertFalse(reserve.ranOut())
        self.assertEqual((heard, reserve.count), ([False] * 3, 4))
