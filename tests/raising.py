"""
Whether something raises, as a value: so that a test that walks a table can
name the case in its message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Error = TypeVar("_Error", bound=Exception)


def errorOf(
    expected: type[_Error], function: Callable[..., object], *arguments: object
) -> _Error | None:
    """
    Call a function for the error that it raises.

    @return: The error, if it is an expected one; L{None} if there is none.
        Others pass.
    """
    try:
        function(*arguments)
    except expected as error:
        return error
    return None
