"""
Tests of everything that reads what peers say, with the inputs that fuzzing has left.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import CORPUS, TARGETS, inputs
from tests.strategies import damaged

#: Octets of all inputs that are kept.
ROOM = 400_000


class CorpusTests(SynchronousTestCase):
    """
    No target finds anything wrong.
    """

    def test_kept(self) -> None:
        """
        Not with the inputs that are kept, and each target has some.
        """
        for name, target in TARGETS.items():
            found = inputs(name)
            self.assertNotEqual(found, [], name)
            for octets in found:
                target(octets)

    def test_seeds(self) -> None:
        """
        Not with those from which fuzzing begins.
        """
        for name, found in seeds().items():
            for octets in found:
                TARGETS[name](octets)

    @settings(max_examples=20)
    @given(st.data())
    def test_damaged(self, data: st.DataObject) -> None:
        """
        Not with inputs that are almost those.
        """
        for name, target in TARGETS.items():
            target(data.draw(damaged(st.sampled_from(inputs(name))), name))

    @given(st.binary(max_size=300))
    def test_anything(self, octets: bytes) -> None:
        """
        Nor with anything at all.
        """
        for target in TARGETS.values():
            target(octets)

    def test_room(self) -> None:
        """
        What is kept belongs to a target, and takes little room.
        """
        self.assertEqual({path.name for path in CORPUS.iterdir()}, set(TARGETS))
        self.assertLess(sum(path.stat().st_size for path in CORPUS.glob("*/*")), ROOM)
