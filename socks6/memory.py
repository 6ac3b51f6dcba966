"""
How much memory this process has, and how much it may have.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

if sys.platform == "linux":
    # Whoever has changed to another user may not be able to read it later.
    import resource

#: The most that is left free of what the process may have, and the part of it otherwise.
_MAX_MARGIN = 256 * 2**20
_MARGIN_PART = 5

#: Octets that are given up when there is no memory, so that what must be done then can be.
RESERVE_SIZE = 8 * 2**20

#: Where control groups are, of version 2 and of version 1.
_GROUPS = Path("/sys/fs/cgroup")

#: From here on, a number means that there is no limit.
_NO_LIMIT = 2**60


@dataclass(frozen=True, slots=True)
class Bound:
    """
    What limits how much memory there may be.

    @ivar name: What the operator calls it.
    @ivar most: How many octets there may be.
    @ivar used: Tells how many there are, maybe too many.
    @ivar exactly: Tells it without what is free, which takes longer.
    @ivar canFail: Whether the process is refused memory beyond it, and not ended.
    """

    name: str
    most: int
    used: Callable[[], int]
    exactly: Callable[[], int]
    canFail: bool = False

    @property
    def _margin(self) -> int:
        """
        Tell how many octets should be left.
        """
        return min(self.most // _MARGIN_PART, _MAX_MARGIN)

    @property
    def fullFrom(self) -> int:
        """
        Tell from how many octets on nobody new should come.
        """
        return self.most - self._margin

    @property
    def dangerousFrom(self) -> int:
        """
        Tell from how many octets on somebody has to go.
        """
        return self.most - self._margin // 2


class _MallInfo(ctypes.Structure):
    """
    What glibc tells of its memory.
    """

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """
    Find the C library, if it is one that tells what is free.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _MallInfo
        library.malloc_trim.argtypes = [ctypes.c_size_t]
        return library
    return None


def _freeInside() -> int:
    """
    Tell how many octets the process has that it does not use, and can use again.
    """
    library = _library()
    return 0 if library is None else int(library.mallinfo2().fordblks)


def _giveBack() -> None:
    """
    Give the system what the process does not use.
    """
    library = _library()
    if library is not None:
        library.malloc_trim(0)


def _pages(field: int) -> int:
    """
    Read how much memory the process has.

    @param field: What counts: 0 is all that it can address, 1 what is resident, 5 its data.
    @return: In octets; 0: the system does not tell.
    """
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(128).split()[field]) * mmap.PAGESIZE
    except OSError:
        return 0


def _addressed(field: int) -> int:
    """
    The same, without what can be used again.
    """
    return _pages(field) - _freeInside()


def _resident() -> int:
    """
    Tell how many octets are resident once what is free has been given back.
    """
    _giveBack()
    return _pages(1)


def ofProcess(most: int) -> Bound:
    """
    Limit what may be resident of this process.
    """
    return Bound("--max-memory", most, partial(_pages, 1), _resident)


def _resourceBounds() -> Iterator[Bound]:
    """
    Find what C{ulimit} has set.
    """
    if sys.platform != "linux":
        return
    for name, kind, field in (
        ("ulimit -v", resource.RLIMIT_AS, 0),
        ("ulimit -d", resource.RLIMIT_DATA, 5),
    ):
        most, _ = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            yield Bound(name, most, partial(_pages, field), partial(_addressed, field), True)


class _Group:
    """
    A control group.
    """

    def __init__(self, folder: Path, current: str, inactive: str, active: str) -> None:
        """
        @param folder: Where it is.
        @param current: The file that has how much it uses.
        @param inactive: What file cache is called there that can go.
        @param active: The same of what was used lately.
        """
        self._folder = folder
        self._current = current
        self._names = {inactive, active}

    def used(self) -> int:
        """
        Tell how many octets it has, with copies of files, which can go at any time.
        """
        try:
            return int((self._folder / self._current).read_text("utf-8"))
        except (OSError, ValueError):
            return 0

    def exactly(self) -> int:
        """
        Tell it without these, when free memory has been given back.
        """
        _giveBack()
        used = self.used()
        with suppress(OSError, ValueError):
            for line in (self._folder / "memory.stat").read_text("utf-8").splitlines():
                name, _, value = line.partition(" ")
                if name in self._names:
                    used -= int(value)
        return max(used, 0)


def groupBounds(membership: str, root: Path = _GROUPS) -> Iterator[Bound]:
    """
    Find what the control groups have set that the process is in.

    @param membership: What C{/proc/self/cgroup} says.
    @param root: Where they are.
    """
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, limit, current = root, "memory.max", "memory.current"
            names = ("inactive_file", "active_file")
        elif "memory" in controllers.split(","):
            base, limit, current = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            names = ("total_inactive_file", "total_active_file")
        else:
            continue
        folder = base / path.lstrip("/")
        # A container may see its own group as the first one.
        for each in (folder, *folder.parents):
            if each == base or base in each.parents:
                with suppress(OSError, ValueError):
                    most = int((each / limit).read_text("utf-8"))
                    if most < _NO_LIMIT:
                        group = _Group(each, current, *names)
                        yield Bound("the control group", most, group.used, group.exactly)


def boundsOfSystem() -> list[Bound]:
    """
    Find what the system lets this process have.

    @return: Nothing, where it sets no limit.
    """
    bounds = list(_resourceBounds())
    with suppress(OSError):
        bounds += groupBounds(Path("/proc/self/cgroup").read_text("utf-8"))
    return bounds


class Reserve:
    """
    Memory to give up when there is none, and who is told that there was none.

    @ivar count: How often there was none.
    @ivar hearers: Are called each time, and tell whether they can get some.
    """

    def __init__(self) -> None:
        self.count = 0
        self.hearers: list[Callable[[], bool]] = []
        self._mapping: mmap.mmap | None = None

    @property
    def isKept(self) -> bool:
        """
        Tell whether there is something to give up.
        """
        return self._mapping is not None

    def keep(self) -> None:
        """
        Get it, if the system has it.  Nothing is written to it, so it costs no memory, but
        counts.
        """
        if self._mapping is None:
            with suppress(OSError, MemoryError):
                self._mapping = mmap.mmap(-1, RESERVE_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def giveUp(self) -> None:
        """
        Give it up.
        """
        mapping, self._mapping = self._mapping, None
        if mapping is not None:
            mapping.close()

    def ranOut(self) -> bool:
        """
        Take note of a L{MemoryError}.

        @return: Whether there will be some in the reactor's next turn, so that whoever has
            lost nothing can try once more.
        """
        self.giveUp()
        self.count += 1
        answers = [hear() for hear in self.hearers]
        return any(answers)


#: That of this process.
RESERVE = Reserve()
