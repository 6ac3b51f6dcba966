"""
Numbers as people write them on a command line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any


def seconds(option: str, text: str) -> float:
    """
    Read a duration.

    @param option: What it is for.
    @raise ValueError: It is not a number above zero.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"--{option} {text!r} is not a number of seconds above 0")
    return value


def duration(option: str, default: float | None, doc: str) -> Sequence[Any]:
    """
    Describe an option that is a duration.
    """
    return [option, None, default, doc, partial(seconds, option)]


def number(option: str, least: int, most: int, text: str) -> int:
    """
    Read a whole number.

    @param option: What it is for.
    @raise ValueError: It is none, or out of range.
    """
    # Python refuses to read thousands of digits, in words of its own.
    digits = text.lstrip("0") or text[-1:]
    isNumber = text.isascii() and text.isdigit() and len(digits) <= len(str(most))
    if not (isNumber and least <= int(digits) <= most):
        raise ValueError(f"--{option} {text!r} is not a number from {least} to {most}")
    return int(digits)


def count(option: str, least: int, most: int, default: int, doc: str) -> Sequence[Any]:
    """
    Describe an option that is a whole number.
    """
    return [option, None, default, doc, partial(number, option, least, most)]
