"""
What tests of passwords need: cheap hashes, and threads that run when the test wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bcrypt
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from zope.interface import implementer


def bcryptOf(password: bytes, cost: int = 4) -> bytes:
    """
    Make a hash that is as cheap as there are.
    """
    return bcrypt.hashpw(password, bcrypt.gensalt(cost))


def writePasswords(path: Path, **users: bytes) -> Path:
    """
    Write a password file with cheap hashes.

    @return: The file.
    """
    lines = [b"%s:%s\n" % (name.encode(), bcryptOf(word)) for name, word in users.items()]
    path.write_bytes(b"".join(lines))
    return path


@implementer(IReactorFromThreads)
class FakeThreads(Clock):
    """
    A reactor, and threads that run when the test wants them to.

    @ivar work: What is to run in each thread that has not ended.
    @ivar error: Why there are no more threads; L{None}: there are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.advance(1000)
        self.work: list[Callable[[], None]] = []
        self.error: RuntimeError | None = None

    def start(self, function: Callable[[], None]) -> None:
        """
        Begin a thread.
        """
        if self.error is not None:
            raise self.error
        self.work.append(function)

    def callFromThread(
        self,
        callable: Callable[..., object],  # noqa: A002  as Twisted has it
        *args: object,
        **kwargs: object,
    ) -> None:
        """
        Call a function in the next turn.
        """
        self.callLater(0, callable, *args, **kwargs)

    def run(self) -> None:
        """
        Let the first thread run to its end.
        """
        self.work.pop(0)()
        self.advance(0)

    def runAll(self) -> int:
        """
        Let all run, and those that they make room for.

        @return: How many these were.
        """
        count = 0
        while self.work:
            self.run()
            count += 1
        return count
