"""
Tests of L{socks6.wire.codec} and of the codecs that L{socks6.wire} offers.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isfunction, signature
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.wire import DEFAULT_CODEC, DRAFT_06, draft06
from socks6.wire.codec import Codec


def offered() -> dict[str, Callable[..., Any]]:
    """
    Find the functions that a codec must have.
    """
    return {
        name: function
        for name, function in vars(Codec).items()
        if isfunction(function) and not name.startswith("_")
    }


class CodecTests(SynchronousTestCase):
    """
    A draft's module is a L{Codec}.
    """

    def test_signatures(self) -> None:
        """
        Each function is there, with the parameters and types that the protocol
        gives it.
        """
        for name, function in offered().items():
            expected = signature(function, eval_str=True)
            withoutSelf = list(expected.parameters.values())[1:]
            self.assertEqual(
                signature(getattr(draft06, name), eval_str=True),
                expected.replace(parameters=withoutSelf),
                name,
            )

    def test_nothingElse(self) -> None:
        """
        A draft offers nothing that the protocol does not know of.
        """
        self.assertEqual(set(draft06.__all__), set(offered()))

    def test_constants(self) -> None:
        """
        Draft -06 has a name, and is what is spoken where the user says nothing.
        """
        self.assertIs(DRAFT_06, draft06)
        self.assertIs(DEFAULT_CODEC, DRAFT_06)
