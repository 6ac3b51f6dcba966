"""
State tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from socks6.wire.errors import UsageError

_State = TypeVar("_State", bound=Enum)
_Step = TypeVar("_Step", bound=Enum)


def following(
    transitions: Mapping[tuple[_State, _Step], _State], state: _State, step: _Step
) -> _State:
    """
    Look up the state that follows.

    @raise UsageError: The step is not possible in that state.
    """
    try:
        return transitions[state, step]
    except KeyError:
        raise UsageError(f"{step.name} in state {state.name}") from None
