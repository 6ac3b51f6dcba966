"""
Which inputs are kept: the smallest ones that go, together, wherever all of them go.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import CORPUS, TARGETS, inputs
from tests.fuzz.wire import Target

#: A step from one line to another: a file, and two numbers.
Step = tuple[str, int, int]


def steps(target: Target, octets: bytes) -> set[Step]:
    """
    Run a target, and see which steps it takes in our code.
    """
    taken: set[Step] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        path = frame.f_code.co_filename
        if "/socks6/" not in path:
            return None
        before = 0

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            taken.add((path, before, frame.f_lineno))
            before = frame.f_lineno
            return line

        return line

    sys.settrace(trace)
    try:
        target(octets)
    finally:
        sys.settrace(None)
    return taken


def keep(name: str, found: Path) -> int:
    """
    Choose among the inputs that are kept so far, and others.

    @return: How many are kept.
    """
    candidates = {*inputs(name), *seeds().get(name, ())}
    candidates |= {path.read_bytes() for path in found.glob("*")}
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*"):
        path.unlink()
    known: set[Step] = set()
    kept = 0
    for octets in sorted(candidates, key=lambda each: (len(each), each)):
        taken = steps(TARGETS[name], octets)
        if taken - known:
            known |= taken
            kept += 1
            (folder / sha256(octets).hexdigest()[:16]).write_bytes(octets)
    return kept
