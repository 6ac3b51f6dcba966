"""
Tests of L{socks6.relay.shortcut}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection

from socks6.memory import RESERVE
from socks6.relay.legs import LegProtocol
from socks6.relay.shortcut import canShorten
from tests.doubles import MemoryPipePool, Peer
from tests.relay import test_relay
from tests.relay.test_relay import PLENTY, RelayTestCase, keptFor

#: Octets that a transport reads at once.
READ = 65536

#: Enough for a pipe to be worth while.
MUCH = 4 * READ


class ShortCase(RelayTestCase):
    """
    A test of a relay that may take the short way.
    """

    def setUp(self) -> None:
        super().setUp()
        self.pool = MemoryPipePool()
        self.pipes = lambda: self.pool

    def tearDown(self) -> None:
        """
        Check that no pipe is kept.
        """
        self.assertEqual(self.pool.lent, [])

    def checkUse(self, client: Peer, remote: Peer) -> None:
        """
        Check that octets go both ways, and through pipes.
        """
        before = self.pool.taken
        for source, destination in ((client, remote), (remote, client)):
            destination.take()
            source.send(PLENTY)
            self.assertEqual(destination.received, PLENTY)
        self.assertGreater(self.pool.taken, before + 1)


class PassingTests(ShortCase, test_relay.PassingTests):
    """
    Octets on their way.
    """


class EndingTests(ShortCase, test_relay.EndingTests):
    """
    Tunnels that end in order.
    """


class LossTests(ShortCase, test_relay.LossTests):
    """
    Connections that break.
    """


class CuttingTests(ShortCase, test_relay.CuttingTests):
    """
    Tunnels that are cut.
    """


class TLSTests(ShortCase, test_relay.TLSTests):
    """
    Tunnels that cannot take the short way.
    """

    def tearDown(self) -> None:
        """
        Check that none was taken.
        """
        self.assertEqual(self.pool.taken, 0)


class ShortcutTests(ShortCase):
    """
    When which way is taken.
    """

    def test_atOnce(self) -> None:
        """
        Little goes on in the turn in which it comes, and through no pipe.
        """
        client, remote = self.start()
        for source, destination in ((client, remote), (remote, client)):
            source.socket.input += b"little"
            source.connection.doRead()
            self.assertEqual(destination.take(), b"little")
        self.assertEqual(self.pool.taken, 0)

    def test_early(self) -> None:
        """
        So does what has come before the tunnel stood.
        """
        clientLeg, remoteLeg = LegProtocol(), LegProtocol()
        remote = self.network.attach(remoteLeg)
        self.network.attach(clientLeg)
        sent: list[bytes] = []
        self.patch(remote.connection, "startWriting", lambda: sent.append(b""))
        self.relay(clientLeg, remoteLeg, early=b"early")
        self.assertEqual((remote.received, sent), (b"early", []))

    def test_much(self) -> None:
        """
        Much goes through a pipe, which is given back when no more comes.
        """
        client, remote = self.start()
        self.checkUse(client, remote)
        self.assertEqual(self.pool.lent, [])

    def test_littleAgain(self) -> None:
        """
        When little comes again, no pipe is used any more.
        """
        client, remote = self.start()
        client.send(MUCH * b"x")
        self.assertGreater(self.pool.taken, 0)
        client.send(b"a")
        taken = self.pool.taken
        client.send(b"b")
        self.assertEqual(self.pool.taken, taken)
        self.assertEqual(remote.received[-2:], b"ab")

    def test_behindBuffer(self) -> None:
        """
        What comes waits behind what the destination's transport has not written yet.
        """
        client, remote = self.start()
        remote.stopReading(10)
        client.send(b"0123456789abc")
        client.send(b"def")
        self.assertEqual(keptFor(remote), 6)
        remote.startReading()
        self.assertEqual(remote.received, b"0123456789abcdef")

    def heldUp(self) -> tuple[Peer, Peer]:
        """
        Let the remote host stop reading, with octets in a pipe.
        """
        client, remote = self.start()
        client.send(MUCH * b"x")
        remote.take()
        remote.stopReading(1000)
        client.send(PLENTY)
        self.assertEqual([pipe.held for pipe in self.pool.lent], [READ - 1000])
        self.assertEqual(keptFor(remote), 0)
        return client, remote

    def test_heldUp(self) -> None:
        """
        What the destination does not take waits in the pipe, and the source is not
        read; the pipe is given back when it is empty.
        """
        client, remote = self.heldUp()
        self.assertFalse(client.isRead)
        remote.read(1000)
        self.assertEqual([pipe.held for pipe in self.pool.lent], [READ - 2000])
        self.assertFalse(client.isRead)
        remote.startReading()
        self.assertEqual(remote.received, PLENTY)
        self.checkUse(client, remote)

    def test_nothingToWrite(self) -> None:
        """
        A destination that has got everything is not asked whether it can take more.
        """
        _, remote = self.heldUp()
        remote.startReading()
        self.assertNotIn(remote.connection, self.network.writers)

    def test_heldUpAndEnded(self) -> None:
        """
        What the pipe holds when the source is lost gets to the destination all the same,
        with what has not been read yet, before the end.
        """
        client, remote = self.heldUp()
        client.reset()
        # The source is not read, so only writing to it can tell.
        remote.send(b"answer")
        self.network.spin()
        self.assertEqual(self.pool.lent, [])
        remote.startReading()
        self.network.elapse(1)
        self.assertGreater(len(remote.received), READ)
        self.assertTrue(PLENTY.startswith(remote.received))

    def test_heldUpAndBroken(self) -> None:
        """
        That the source is broken is not taken for its end when the destination has taken
        what was before that.
        """
        client, remote = self.heldUp()
        # No more than is moved in one turn.
        del client.socket.input[READ:]
        client.reset()
        remote.startReading()
        self.network.elapse(2)
        self.assertEqual(len(remote.received), 2 * READ)
        self.assertEqual([result.ending for result in self.results], ["client lost"])

    def test_heldUpAndLost(self) -> None:
        """
        When the destination breaks, what the pipe holds is gone, and the pipe is given
        back; the source hears of it.
        """
        client, remote = self.heldUp()
        remote.reset()
        self.assertEqual(self.pool.lent, [])
        self.assertTrue(client.ended)

    def test_heldUpAndAborted(self) -> None:
        """
        A tunnel that is cut gives its pipe back, and does nothing more.
        """
        client, remote = self.heldUp()
        self.lastRelay.abort("stopped")
        self.network.spin()
        self.network.elapse(0)
        self.assertEqual(self.pool.lent, [])
        self.assertTrue(client.isClosed and remote.isClosed)
        self.assertEqual(len(self.results), 1)

    def test_heldUpWithoutMemory(self) -> None:
        """
        If there is no memory to take the ordinary way with what is held up, the tunnel ends,
        and the pipe is given back.
        """

        def takeAll() -> bytes:
            raise MemoryError

        client, remote = self.heldUp()
        (pipe,) = self.pool.lent
        self.patch(pipe, "takeAll", takeAll)
        self.lastRelay._up.leaveShortcut()
        self.assertEqual(self.pool.lent, [])
        self.network.spin()
        self.network.elapse(0)
        self.assertTrue(remote.wasReset)
        client.end()
        self.assertTrue(client.isClosed)
        self.assertEqual(len(self.results), 1)

    def test_readWithoutMemory(self) -> None:
        """
        If there is none to read with, nothing is lost where there is going to be some;
        otherwise the tunnel ends.
        """

        def receive(count: int) -> bytes:
            raise MemoryError

        client, remote = self.start()
        handle: Any = client.socket
        original = handle.recv
        hopes = [True, False]
        self.patch(RESERVE, "hearers", [lambda: hopes.pop(0)])
        client.socket.input += b"something"
        handle.recv = receive
        self.assertIs(client.connection.doRead(), None)
        handle.recv = original
        client.connection.doRead()
        self.assertEqual(remote.take(), b"something")
        handle.recv = receive
        self.assertIs(client.connection.doRead(), CONNECTION_LOST)
        handle.recv = original

    def test_noPipes(self) -> None:
        """
        Without a pipe, much is passed on all the same.
        """
        self.pool = MemoryPipePool(0)
        client, remote = self.start()
        client.send(PLENTY)
        self.assertEqual(remote.received, PLENTY)

    def test_otherTransports(self) -> None:
        """
        Only plain sockets can be shortened, which nobody reads in a way of their own.
        """

        class Other(Connection):
            def doRead(self) -> None:
                """
                Read.
                """

        leg = LegProtocol()
        plain = self.network.attach(leg).connection
        self.assertTrue(canShorten(plain))
        other = Other.__new__(Other)
        self.assertFalse(canShorten(other))
        self.assertFalse(canShorten(object()))
        plain.TLS = True
        self.assertFalse(canShorten(plain))
