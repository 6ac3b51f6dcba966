"""
Tests of L{socks6.outbound.resolver}: who has which share of the threads.
"""

from __future__ import annotations

from socks6.interfaces import OutboundFailed
from socks6.values.codes import ReplyCode
from tests.outbound.resolving import ResolverTestCase


class SharesTests(ResolverTestCase):
    """
    Names that take long do not keep others' names waiting.
    """

    def test_half(self) -> None:
        """
        Nobody gets more than half of the threads, though nobody else wants them; and what
        has been asked counts until the system answers, though nobody waits for it.
        """
        waiting = [self.lookUp(f"{number}.example", b"eve") for number in range(5)]
        self.assertEqual(len(self.pool.work), 2)
        for each in waiting[:2]:
            each.cancel()
        self.assertEqual(len(self.pool.work), 2)
        self.pool.run()
        self.assertEqual(len(self.pool.work), 2)
        self.runAll()
        for each in waiting[2:]:
            self.assertEqual(self.successResultOf(each), [])
        self.assertEqual(self.asked, [f"{number}.example" for number in range(5)])

    def test_newcomer(self) -> None:
        """
        Who comes behind somebody with much to ask has a thread at once or, if all are
        taken, the next one.
        """
        for owner, names in ((b"eve", 3), (b"eva", 2)):
            for number in range(names):
                self.lookUp(f"{number}.{owner.decode()}.example", owner)
        first = self.lookUp("first.example", b"ada")
        self.assertEqual(len(self.pool.work), 4)
        second = self.lookUp("second.example", b"zoe")
        self.pool.run()
        self.assertEqual(len(self.pool.work), 4)
        del self.pool.work[:2]
        self.pool.run()
        self.pool.run()
        self.assertEqual(self.asked, ["0.eve.example", "first.example", "second.example"])
        self.successResultOf(first)
        self.successResultOf(second)

    def test_othersLine(self) -> None:
        """
        Who asks for a name for which somebody else waits does not wait in his line.
        """
        for number in range(4):
            self.lookUp(f"{number}.example", b"eve")
        found = self.lookUp("3.example", b"ada")
        self.assertEqual(len(self.pool.work), 3)
        self.pool.work.pop()()
        self.successResultOf(found)
        self.runAll()
        self.assertEqual(self.asked.count("3.example"), 1)

    def test_abandoned(self) -> None:
        """
        A name that nobody waits for any more when it is its turn is not looked up.
        """
        for number in range(2):
            self.lookUp(f"{number}.example")
        first, second = self.lookUp("2.example"), self.lookUp("2.example")
        other = self.lookUp("3.example")
        other.cancel()
        first.cancel()
        self.runAll()
        self.assertEqual(self.asked, ["0.example", "1.example", "2.example"])
        self.successResultOf(second)
        self.assertEqual(self.resolver._lookups, {})

    def test_rejoined(self) -> None:
        """
        Who asks for a name that is being looked up though nobody waits for it takes no
        second thread.
        """
        self.ask().resolution.cancel()
        later = self.ask()
        self.assertEqual(len(self.pool.work), 1)
        self.pool.run()
        self.assertEqual((self.asked, later.complete), (["host.example"], True))

    def test_bounded(self) -> None:
        """
        When too many names wait, one more is refused, and taken again when there are
        fewer.
        """
        for number in range(5):
            self.lookUp(f"{number}.example", b"eve")
        refused = [self.resolver.lookUp("5.example", b"eve") for _ in range(2)]
        for each in refused:
            error = self.failureResultOf(each, OutboundFailed).value
            self.assertEqual(error.replyCode, ReplyCode.GENERAL_FAILURE)
            self.assertIn("too many names", error.reason)
        joined = self.lookUp("4.example", b"eve")
        self.pool.run()
        taken = self.lookUp("5.example", b"eve")
        self.runAll()
        self.successResultOf(joined)
        self.successResultOf(taken)
        self.assertEqual(self.resolver._lookups, {})

    def test_longestLine(self) -> None:
        """
        A newcomer is not the one who is refused, but the last name of whoever has most.
        """
        waiting = [self.resolver.lookUp(f"{number}.example", b"eve") for number in range(5)]
        self.lookUp("first.example", b"ada")
        self.lookUp("second.example", b"ada")
        self.failureResultOf(waiting.pop(), OutboundFailed)
        self.runAll()
        for each in waiting:
            self.successResultOf(each)
        self.assertIn("second.example", self.asked)

    def test_refusedReceiver(self) -> None:
        """
        A receiver can only be told that there are no addresses.
        """
        for number in range(5):
            self.ask(f"{number}.example")
        refused = self.ask("5.example")
        self.assertEqual((refused.found, refused.complete), ([], True))

    def test_noThread(self) -> None:
        """
        Where the system has no thread for us, names are refused, and looked up again when
        it has.
        """
        self.pool.error = RuntimeError("can't start new thread")
        found = [self.resolver.lookUp("a.example"), self.resolver.lookUp("b.example", b"ada")]
        self.assertEqual(self.reactor.runCalls(), 2)
        for each in found:
            error = self.failureResultOf(each, OutboundFailed).value
            self.assertEqual(error.replyCode, ReplyCode.GENERAL_FAILURE)
        self.pool.error = None
        later = self.resolver.lookUp("a.example")
        self.runAll()
        self.successResultOf(later)
