"""
All targets, and the inputs that are kept of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.fuzz import dtls, http, machines, wire
from tests.fuzz.wire import Target

#: Name -> target.
TARGETS: Mapping[str, Target] = {
    **wire.TARGETS,
    **http.TARGETS,
    **machines.TARGETS,
    **dtls.TARGETS,
}

#: A folder for each target, with a file for each input.
CORPUS = Path(__file__).resolve().parent / "corpus"


def inputs(name: str) -> list[bytes]:
    """
    Read what is kept of a target, the smallest first.
    """
    found = [path.read_bytes() for path in (CORPUS / name).glob("*")]
    return sorted(found, key=lambda octets: (len(octets), octets))
