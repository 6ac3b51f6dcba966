"""
Copies of files in memory, which other processes have open, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path


class Copies:
    """
    Copies of files that only we may be able to read, where the system can make such.

    A copy is a file without a name.  All processes that were given its descriptor read in
    it what we have written last.

    @ivar descriptors: The copies' descriptors, by the names of the files.
    """

    def __init__(self, files: Mapping[str, str | None]) -> None:
        """
        Make the copies.

        @param files: The paths, by names of their own; L{None}: there is no such file.
        @raise OSError: One cannot be read any more.
        """
        self.descriptors: dict[str, int] = {}
        self._paths: dict[str, Path] = {}
        if hasattr(os, "memfd_create"):
            # They are the same files wherever the process goes.
            self._paths = {
                name: Path(path).absolute() for name, path in files.items() if path is not None
            }
        write = self.prepare()
        for name in self._paths:
            self.descriptors[name] = os.memfd_create(name)
        write()

    def prepare(self) -> Callable[[], None]:
        """
        Read the files.

        @return: Makes the copies what was read.
        @raise OSError: One cannot be read.
        """
        contents = {name: path.read_bytes() for name, path in self._paths.items()}

        def write() -> None:
            for name, octets in contents.items():
                with open(self.descriptors[name], "r+b", closefd=False) as copy:
                    copy.seek(0)
                    copy.write(octets)
                    copy.truncate()

        return write

    def close(self) -> None:
        """
        Leave the copies to the others.
        """
        descriptors, self.descriptors = self.descriptors, {}
        for descriptor in descriptors.values():
            os.close(descriptor)
