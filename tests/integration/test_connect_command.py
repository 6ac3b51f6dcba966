"""
Tests for C{socks6 connect}: what it passes on, and how it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess

from tests.integration.commands import BROKEN, REFUSED, SIZE, STOPPED, USAGE, CommandTestCase
from tests.integration.peers import (
    DEADLINE,
    accept,
    exchange,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveUntilBroken,
    refusingPlace,
    reset,
    stuff,
)
from tests.integration.programs import SOCKS6, running


class TransferTests(CommandTestCase):
    """
    Octets pass unchanged.
    """

    def test_both(self) -> None:
        """
        Much passes, both ways at the same time, and ends.
        """
        up, down = pattern(SIZE), pattern(SIZE)
        file = self.folder() / "file"
        with file.open("w+b") as output, running(*self.command(), stdout=output) as process:
            server = accept(self.listener)
            feeder = self.feed(process, up)
            self.assertTrue(exchange(server, down, SIZE) == up)
            self.assertEqual(receiveAll(server), b"")
            server.close()
            self.assertEqual(self.ended(process), "")
            feeder.join(DEADLINE)
        self.assertTrue(file.read_bytes() == down)

    def test_files(self) -> None:
        """
        Standard input and output may be files; what is read to its end is sent to its
        end, and the answer is written to its end.
        """
        data = pattern(SIZE)
        folder = self.folder()
        (folder / "in").write_bytes(data)
        with (
            (folder / "in").open("rb") as stdin,
            (folder / "out").open("wb") as stdout,
            running(*self.command(), stdin=stdin, stdout=stdout) as process,
        ):
            server = accept(self.listener)
            self.assertTrue(receiveAll(server) == data)
            server.sendall(data)
            server.close()
            self.assertEqual(self.ended(process), "")
        self.assertTrue((folder / "out").read_bytes() == data)

    def test_nothing(self) -> None:
        """
        From C{/dev/null} and to C{/dev/null}.
        """
        nothing = subprocess.DEVNULL
        with running(*self.command(), stdin=nothing, stdout=nothing) as process:
            server = accept(self.listener)
            self.assertEqual(receiveAll(server), b"")
            server.sendall(pattern(SIZE))
            server.close()
            self.assertEqual(self.ended(process), "")

    def test_closedDescriptors(self) -> None:
        """
        The same if there are no standard descriptors at all.
        """
        script = 'exec "$@" <&- >&- 2>&-'
        with running("sh", "-c", script, "sh", *self.command()) as process:
            server = accept(self.listener)
            self.assertEqual(receiveAll(server), b"")
            server.sendall(pattern(100))
            server.close()
            self.assertEqual(self.ended(process), "")

    def test_ourEndFirst(self) -> None:
        """
        After the end of standard input, what comes is still written.
        """
        with running(*self.command()) as process:
            assert process.stdin is not None and process.stdout is not None
            server = accept(self.listener)
            process.stdin.write(b"question")
            process.stdin.close()
            self.assertEqual(receiveAll(server), b"question")
            server.sendall(b"answer")
            self.assertEqual(process.stdout.read(6), b"answer")
            self.assertIsNone(process.poll())
            server.close()
            self.assertEqual(process.stdout.read(), b"")
            self.assertEqual(self.ended(process), "")

    def test_theirEndFirst(self) -> None:
        """
        When the host has ended its direction, so does standard output, and what is read
        is still sent.
        """
        with running(*self.command()) as process:
            assert process.stdin is not None and process.stdout is not None
            server = accept(self.listener)
            server.sendall(b"greeting")
            server.shutdown(socket.SHUT_WR)
            self.assertEqual(process.stdout.read(), b"greeting")
            process.stdin.write(b"reply")
            process.stdin.flush()
            self.assertEqual(receive(server, 5), b"reply")
            self.assertIsNone(process.poll())
            process.stdin.close()
            self.assertEqual(receiveAll(server), b"")
            server.close()
            self.assertEqual(self.ended(process), "")

    def test_slowReader(self) -> None:
        """
        Whoever does not read standard output holds up the host, and costs no memory.
        """
        with running(*self.command()) as process:
            assert process.stdout is not None
            server = accept(self.listener)
            sent = stuff(server, pattern(65536))
            self.assertLess(sent, 50_000_000)
            server.close()
            read = 0
            while octets := process.stdout.read(65536):
                read += len(octets)
            self.assertEqual(read, sent)
            self.endInput(process)

    def test_optimistic(self) -> None:
        """
        The first data may leave together with the request.
        """
        with running(*self.command("--optimistic")) as process:
            assert process.stdout is not None
            server = accept(self.listener)
            feeder = self.feed(process, b"question")
            self.assertEqual(receiveAll(server), b"question")
            server.sendall(b"answer")
            server.close()
            self.assertEqual(process.stdout.read(), b"answer")
            self.assertEqual(self.ended(process), "")
            feeder.join(DEADLINE)

    def test_terminal(self) -> None:
        """
        A terminal is left as it was, after the end and after Ctrl-C.
        """
        for interrupted in (False, True):
            master, slave = os.openpty()
            self.addCleanup(os.close, master)
            self.addCleanup(os.close, slave)
            with running(*self.command(), stdin=slave, stdout=slave) as process:
                server = accept(self.listener)
                os.write(master, b"line\n")
                self.assertEqual(receive(server, 5), b"line\n")
                if interrupted:
                    process.send_signal(signal.SIGINT)
                    self.assertEqual(self.ended(process, STOPPED), "")
                else:
                    # Ctrl-D.
                    os.write(master, b"\4")
                    self.assertEqual(receiveAll(server), b"")
                    server.close()
                    self.assertEqual(self.ended(process), "")
                server.close()
            self.assertTrue(os.get_blocking(slave))


class EndingTests(CommandTestCase):
    """
    How it ends when something goes wrong: with a status, and one line.
    """

    def test_nobodyReads(self) -> None:
        """
        Where nobody reads standard output any more, it ends without a word, whether
        standard input has ended or not.
        """
        for stdin in (subprocess.DEVNULL, subprocess.PIPE):
            with running(*self.command(), stdin=stdin) as process:
                assert process.stdout is not None
                server = accept(self.listener)
                server.sendall(b"head" + pattern(1000))
                self.assertEqual(process.stdout.read(4), b"head")
                process.stdout.close()
                with self.assertRaises(OSError):
                    while True:
                        server.sendall(pattern(65536))
                self.assertEqual(self.ended(process, BROKEN), "")

    def test_fullDisk(self) -> None:
        """
        What cannot be written is an error, however little it is.
        """
        for size in (4, SIZE):
            with (
                open("/dev/full", "wb") as full,
                running(*self.command(), stdin=subprocess.DEVNULL, stdout=full) as process,
            ):
                server = accept(self.listener)
                try:
                    server.sendall(pattern(size))
                except OSError:
                    self.assertEqual(size, SIZE)
                server.close()
                self.assertIn("standard output", self.complaint(process, BROKEN))

    def test_reset(self) -> None:
        """
        A connection that breaks is an error, behind all that has come before.
        """
        with running(*self.command()) as process:
            assert process.stdin is not None and process.stdout is not None
            server = accept(self.listener)
            server.sendall(b"last words")
            self.assertEqual(process.stdout.read(10), b"last words")
            reset(server)
            self.assertEqual(process.stdout.read(), b"")
            # As far as we can tell, the host can still read.
            with contextlib.suppress(BrokenPipeError):
                while process.poll() is None:
                    os.write(process.stdin.fileno(), b"more")
            self.complaint(process, BROKEN)

    def test_signals(self) -> None:
        """
        Ctrl-C ends it at once, and the tunnel with it; that is told from success.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            with running(*self.command()) as process:
                server = accept(self.listener)
                process.send_signal(number)
                self.assertEqual(self.ended(process, STOPPED), "")
                self.assertEqual(receiveUntilBroken(server), b"")

    def test_refused(self) -> None:
        """
        The proxy says no: 2.
        """
        sock, (host, port) = refusingPlace()
        with sock:
            for arguments in ([], ["--optimistic"]):
                command = [*SOCKS6, "connect", host, str(port), "--proxy", self.url, *arguments]
                with running(*command) as process:
                    line = self.complaint(process, REFUSED)
                    self.assertIn("connection refused", line)

    def test_unreachable(self) -> None:
        """
        There is no proxy, or it is none: 3.
        """
        sock, (host, port) = refusingPlace()
        with sock:
            self.url = f"socks6://{host}:{port}"
            with running(*self.command()) as process:
                self.assertIn("refused", self.complaint(process, BROKEN))
        with listen() as other:
            host, port = placeOf(other)
            self.url = f"socks6://{host}:{port}"
            with running(*self.command()) as process, accept(other) as server:
                receive(server, 8)
                server.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                self.assertIn("not a SOCKS 6 proxy", self.complaint(process, BROKEN))

    def test_mistakes(self) -> None:
        """
        The command line makes no sense: 1.
        """
        for arguments in (
            [],
            ["frobnicate"],
            ["connect"],
            ["connect", "localhost"],
            ["connect", "localhost", "http", "--proxy", self.url],
            ["connect", "localhost", "80"],
            ["connect", "localhost", "80", "--proxy", "http://localhost"],
            ["connect", "localhost", "80", "--proxy", "socks6://ada@localhost"],
            ["connect", "localhost", "80", "--proxy", self.url, "--password-file", "/nowhere"],
            ["connect", "localhost", "80", "--proxy", "socks6s://localhost?ca=/nowhere"],
            ["probe", "localhost", "--proxy", self.url],
        ):
            with running(*SOCKS6, *arguments, stdin=subprocess.DEVNULL) as process:
                self.complaint(process, USAGE)
