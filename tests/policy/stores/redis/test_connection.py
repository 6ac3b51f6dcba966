"""
Tests of L{socks6.policy.stores.redis.connection}, with a store on top of it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

from socks6.interfaces import SessionStoreFailed
from socks6.policy.stores.redis.connection import LINE_PERIOD, MAX_IN_FLIGHT, REQUEST_TIMEOUT
from socks6.policy.stores.redis.store import RedisSessionStore
from tests.policy.stores.calls import newKey
from tests.policy.stores.redis.resp import RedisTestCase

REFUSED = ConnectionRefusedError(111, "Connection refused.")

#: What a server answers that reads its file.
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"

#: What Redis 6 puts before an error of a command in a script.
IN_SCRIPT = b"-ERR Error running script (call to f_a2): @user_script:1: @user_script: 1: "


class RequestTests(RedisTestCase):
    """
    A server that is in order.
    """

    def test_connectsAtFirstUse(self) -> None:
        """
        Without need it does not connect; then it does so once, and keeps the
        connection.
        """
        self.server.serve()
        self.assertEqual(len(self.server.peers), 0)
        for _ in range(3):
            self.assertServed()
        self.assertEqual(len(self.server.peers), 1)

    def test_start(self) -> None:
        """
        When it starts it begins to connect.
        """
        self.store.start()
        self.store.start()
        self.server.serve()
        self.assertEqual([command[0] for command in self.server.commands], [b"PING"])

    def test_scripts(self) -> None:
        """
        A script is sent once, and then named; one that the server has forgotten is
        sent again.
        """
        for _ in range(3):
            self.assertServed()
        self.server.answers = {b"EVALSHA": b"-NOSCRIPT No matching script.\r\n"}
        self.assertServed()
        self.server.answers = {}
        self.assertServed()
        names = [command[0] for command in self.server.commands]
        self.assertEqual(
            names, [b"PING", b"EVAL", b"EVALSHA", b"EVALSHA", b"EVALSHA", b"EVAL", b"EVALSHA"]
        )

    def test_logIn(self) -> None:
        """
        What the server is told of us before it is asked for anything.
        """
        for database, username, password, expected in (
            (0, None, None, []),
            (5, None, None, [[b"SELECT", b"5"]]),
            (0, None, b"pass\r\n\xff", [[b"AUTH", b"pass\r\n\xff"]]),
            (7, b"ann", b"pass", [[b"AUTH", b"ann", b"pass"], [b"SELECT", b"7"]]),
        ):
            description = self.server.description(database, username, password)
            self.store = RedisSessionStore(self.network, description)
            self.server.commands.clear()
            self.assertServed()
            self.assertEqual(self.server.commands[:-1], [*expected, [b"PING"]])

    def test_tooMany(self) -> None:
        """
        Only so many requests are in flight; what is answered makes room.
        """
        self.assertServed()
        waiting = [self.open() for _ in range(MAX_IN_FLIGHT)]
        self.assertFailed(self.open(), "has too much to do")
        self.server.serve()
        for each in waiting:
            self.successResultOf(each)
        self.assertServed()

    def test_tooManyWaitForConnection(self) -> None:
        """
        Those that wait for a connection count as well.
        """
        self.server.hangs = True
        waiting = [self.open() for _ in range(MAX_IN_FLIGHT)]
        self.assertFailed(self.open(), "has too much to do")
        self.server.hangs = False
        self.network.elapse(REQUEST_TIMEOUT)
        for each in waiting:
            self.failureResultOf(each, SessionStoreFailed)
        self.server.serve(1)
        self.assertServed()

    def test_cancelled(self) -> None:
        """
        A request that nobody waits for any more is in flight nevertheless, so that it
        is counted and a server that hangs is noticed.
        """
        self.assertServed()
        for _ in range(MAX_IN_FLIGHT):
            call = self.open()
            call.cancel()
            self.failureResultOf(call, CancelledError)
        self.assertFailed(self.open(), "has too much to do")
        self.assertEqual(len(self.server.open), 1)
        self.network.elapse(REQUEST_TIMEOUT)
        self.assertEqual(len(self.server.peers), 1)
        self.assertEqual(self.server.open, [])


class FailureTests(RedisTestCase):
    """
    Servers that are out of order.
    """

    def askAgainAfter(self, call: Deferred[Any]) -> list[Deferred[Any]]:
        """
        Make another call at the very moment when one has failed.

        @return: It, once it has been made.
        """
        calls: list[Deferred[Any]] = []

        def ask(reason: Failure) -> Failure:
            calls.append(self.open())
            return reason

        call.addErrback(ask)
        return calls

    def test_refused(self) -> None:
        """
        If nobody listens, a request fails; those that follow fail at once, until we
        find the server by ourselves.
        """
        self.server.refusal = REFUSED
        words = "cannot be reached: Connection was refused by other side: 111: Connection refused"
        self.assertFailed(self.open(), words)
        for _ in range(10):
            self.assertFailed(self.open(), words)
        self.assertEqual(len(self.server.attempts), 1)
        self.server.refusal = None
        self.server.serve(0.5)
        self.assertServed()
        # All of that is past.
        self.server.peer.end()
        self.assertNoResult(self.open())

    def test_attempts(self) -> None:
        """
        We try again and again, less often after a while.
        """
        self.server.refusal = REFUSED
        self.store.start()
        self.network.elapse(10)
        times = self.server.attempts
        pauses = [round(after - before, 3) for before, after in pairwise(times)]
        self.assertEqual(pauses[:6], [0.2, 0.4, 0.8, 1.0, 1.0, 1.0])
        self.assertEqual(set(pauses[6:]), {1.0})

    def test_loading(self) -> None:
        """
        A server that is not ready is left, and tried again.
        """
        self.server.answers[b"PING"] = LOADING
        call = self.open()
        self.server.serve()
        self.assertFailed(call, "cannot be reached: it refuses PING (LOADING)")
        for _ in range(5):
            self.server.serve(1)
        self.assertGreater(len(self.server.peers), 5)
        self.assertEqual(self.server.open, [])
        self.server.answers.clear()
        self.server.serve(1)
        self.assertServed()
        self.assertEqual(len(self.server.open), 1)

    def test_notLetIn(self) -> None:
        """
        A server that does not let us log in, or not yet, is tried again.  What it
        says about that may hold the password, so it is not passed on.
        """
        store = RedisSessionStore(self.network, self.server.description(5, b"ann", b"sesame"))
        self.store = store
        for command, answer, words in (
            (b"AUTH", LOADING, "AUTH (LOADING)"),
            (b"AUTH", b"-WRONGPASS invalid username-password pair\r\n", "AUTH (WRONGPASS)"),
            (b"AUTH", b"-ERR unknown command 'AUTH', 'ann' 'sesame'\r\n", "AUTH (ERR)"),
            (b"AUTH", b"-sesame\r\n", "AUTH (ERR)"),
            (b"AUTH", b"-SESAMe\r\n", "AUTH (ERR)"),
            (b"SELECT", LOADING, "SELECT (LOADING)"),
            (b"SELECT", b"-ERR DB index is out of range\r\n", "SELECT (ERR)"),
            (b"PING", b"-NOPERM this user has no permissions\r\n", "PING (NOPERM)"),
        ):
            self.server.answers = {command: answer}
            store.start()
            self.server.serve(1)
            self.server.serve(1)
            self.assertFailed(self.open(), f"cannot be reached: it refuses {words}")
            self.server.answers = {}
            self.server.serve(1)
            self.assertServed()
            self.server.peer.end()
        self.assertNotIn("sesame", repr(self.lines()).lower())

    def test_refusesRequest(self) -> None:
        """
        A request that the server does not carry out fails, with nothing of what was
        sent; the connection stays.
        """
        key = newKey()
        for answer, code in (
            (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM"),
            (b"-ERR unknown command 'EVALSHA', with args %b\r\n" % key.hex().encode(), "ERR"),
            (b"-%b\r\n" % key.hex().encode(), "ERR"),
            (b"-BUSY Redis is busy running a script.\r\n", "BUSY"),
            (IN_SCRIPT + b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM"),
        ):
            self.server.answers = {b"EVAL": answer, b"EVALSHA": answer}
            call = self.open(key)
            self.server.serve()
            self.assertFailed(call, f"refuses to serve ({code})")
        self.server.answers = {}
        self.assertServed()
        self.assertEqual(len(self.server.peers), 1)
        self.assertEqual(self.lines(), [])

    def test_superseded(self) -> None:
        """
        A server that has become a replica is left.
        """
        error = b"-READONLY You can't write against a read only replica.\r\n"
        for answer in (error, IN_SCRIPT + error):
            self.server.answers = {b"EVAL": answer}
            call = self.open()
            self.server.serve()
            self.assertFailed(call, "refuses to serve (READONLY)")
            self.assertFailed(self.open(), "cannot be reached: it is a replica")
            self.assertEqual(self.server.open, [])
            self.server.answers = {}
            self.server.serve(1)
            self.assertServed()
            # The next connection is told the script anew.
            self.store.close()
            self.network.spin()

    def test_hangs(self) -> None:
        """
        If there is no answer, the connection is given up for all who wait, and
        nobody waits in vain any more until there is one that works.
        """
        self.assertServed()
        first = self.open()
        again = self.askAgainAfter(first)
        self.network.elapse(REQUEST_TIMEOUT / 2)
        second = self.use()
        self.network.elapse(REQUEST_TIMEOUT / 2 - 0.1)
        self.assertNoResult(first)
        self.network.elapse(0.1)
        self.assertFailed(first, "does not answer")
        self.assertFailed(again[0], "cannot be reached: it does not answer")
        self.assertFailed(second, "is no longer connected")
        self.assertTrue(self.server.peer.isClosed)
        self.network.elapse(1)
        # There is a connection, and the server is silent on it as well.
        self.assertEqual(len(self.server.peers), 2)
        self.assertFailed(self.open(), "cannot be reached: it does not answer")
        self.server.serve()
        self.assertServed()

    def test_hangsAtFirst(self) -> None:
        """
        A server that accepts connections and says nothing is left as well.
        """
        call = self.open()
        self.network.elapse(REQUEST_TIMEOUT)
        self.failureResultOf(call, SessionStoreFailed)
        self.assertEqual(self.server.open, [])
        self.assertFailed(self.open(), "cannot be reached: it does not answer")
        self.network.elapse(1)
        self.server.serve()
        self.assertServed()

    def test_connectingHangs(self) -> None:
        """
        An attempt to connect that takes too long is given up.
        """
        self.server.hangs = True
        call = self.open()
        self.network.elapse(REQUEST_TIMEOUT)
        self.failureResultOf(call, SessionStoreFailed)
        self.assertEqual(self.server.given, 1)
        self.assertFailed(self.open(), "cannot be reached: it does not answer")
        self.server.hangs = False
        self.server.serve(1)
        self.assertServed()

    def test_lost(self) -> None:
        """
        When the connection is lost, what was in flight fails, and what comes next
        waits for another connection.
        """
        self.assertServed()
        for lose in ("end", "reset"):
            lost = self.open()
            later = self.askAgainAfter(lost)
            self.network.spin()
            getattr(self.server.peer, lose)()
            self.assertFailed(lost, "is no longer connected")
            later.append(self.open())
            self.server.serve()
            for each in later:
                self.assertNoResult(each)
            self.server.serve(0.1)
            for each in later:
                self.assertIsNone(self.successResultOf(each))
            self.assertEqual(len(later), 2)
        self.assertEqual(len(self.server.peers), 3)
        self.assertEqual(self.lines(), [])

    def test_lostAtFirst(self) -> None:
        """
        A connection that is lost before it is ready is no connection.
        """
        call = self.open()
        self.network.spin()
        self.server.peer.send(b"-ERR max number of clients reached\r\n")
        self.assertFailed(call, "cannot be reached: it refuses PING (ERR)")
        self.network.elapse(0.2)
        self.server.peer.end()
        self.assertFailed(self.open(), "cannot be reached: it has closed the connection")
        for nonsense in (b"HTTP/1.1 400 \xff\r\n", b":x\r\n", b"$x\r\n"):
            self.network.elapse(1)
            self.server.peer.send(nonsense)
            self.network.spin()
            self.assertEqual(self.server.open, [])
            self.assertFailed(self.open(), "cannot be reached: what it says makes no sense")
        self.server.serve(1)
        self.assertServed()

    def test_lines(self) -> None:
        """
        The log tells once when the server is away, and once when it is back; often
        enough for people, and not more.
        """
        away = (
            "redis://played cannot be reached, and without it there are no sessions:"
            " Connection was refused by other side: 111: Connection refused"
        )
        back = "redis://played can be reached again"
        self.assertServed()
        self.assertEqual(self.lines(), [])
        self.server.refusal = REFUSED
        self.server.peer.end()
        self.network.elapse(LINE_PERIOD * 1.5)
        self.assertEqual(self.lines(), [away])
        self.server.refusal = None
        self.server.serve(1)
        self.assertEqual(self.lines(), [back])
        for _ in range(5):
            self._bounce()
        self.assertEqual(self.lines(), [away, back])
        self.network.elapse(LINE_PERIOD)
        self._bounce()
        self.assertEqual(self.lines(), [away, back])

    def _bounce(self) -> None:
        """
        Let the server be away for a moment.
        """
        self.server.refusal = REFUSED
        self.server.peer.end()
        self.network.elapse(1)
        self.server.refusal = None
        self.server.serve(1)
        self.assertServed()


class CloseTests(RedisTestCase):
    """
    Whatever the store is about, it can be closed.
    """

    def assertClosed(self) -> None:
        """
        Close the store, and check that nothing is left of it.
        """
        closed = self.store.close().addCallback(lambda _: len(self.server.open))
        self.network.spin()
        self.assertEqual(self.successResultOf(closed), 0)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_unused(self) -> None:
        """
        It may never have been used, or be closed already.
        """
        self.assertClosed()
        self.store.start()
        self.server.serve()
        self.assertClosed()
        self.assertClosed()

    def test_connecting(self) -> None:
        """
        It may be about to connect.
        """
        self.server.hangs = True
        self.store.start()
        self.assertClosed()
        self.assertEqual(self.server.given, 1)
        self.assertEqual(self.lines(), [])

    def test_preparing(self) -> None:
        """
        It may have a connection that is not ready.
        """
        self.store.start()
        self.network.spin()
        self.assertEqual(len(self.server.open), 1)
        self.assertClosed()
        self.assertEqual(self.lines(), [])

    def test_away(self) -> None:
        """
        The server may be away.
        """
        self.server.refusal = REFUSED
        self.store.start()
        self.assertClosed()

    def test_idle(self) -> None:
        """
        It may have a connection with nothing to do.
        """
        self.assertServed()
        self.assertClosed()

    def test_leaving(self) -> None:
        """
        It may be about to drop a connection.
        """
        self.server.answers = {b"PING": LOADING}
        self.store.start()
        self.network.spin()
        peer = self.server.peer
        peer.socket.input += LOADING
        connection = peer.connection
        connection.doRead()
        self.assertEqual(len(self.server.open), 1)
        self.assertClosed()

    def test_busy(self) -> None:
        """
        What is in flight is waited for, as long as that may take.
        """
        self.assertServed()
        quick, slow = self.open(), self.open()
        self.network.spin()
        self.server.peer.take()
        closed = self.store.close()
        self.network.elapse(1)
        self.server.peer.send(b":1\r\n")
        self.assertIsNone(self.successResultOf(quick))
        self.network.elapse(1)
        self.assertNoResult(closed)
        self.server.peer.send(b":1\r\n")
        self.assertIsNone(self.successResultOf(slow))
        self.network.spin()
        self.assertIsNone(self.successResultOf(closed))
        self.assertEqual(self.server.open, [])

    def test_hanging(self) -> None:
        """
        The server may never answer, nor read.
        """
        self.assertServed()
        self.server.peer.stopReading()
        call = self.open()
        closed = self.store.close()
        self.network.elapse(REQUEST_TIMEOUT)
        self.failureResultOf(call, SessionStoreFailed)
        self.assertIsNone(self.successResultOf(closed))
        self.assertEqual(self.server.open, [])
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_usedAgain(self) -> None:
        """
        Afterwards it can be used again, even while it closes.
        """
        self.assertServed()
        self.assertClosed()
        self.assertServed()
        closed = self.store.close()
        self.assertServed()
        self.assertIsNone(self.successResultOf(closed))
        self.assertEqual(len(self.server.open), 1)
        self.assertClosed()
