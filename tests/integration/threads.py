"""
Servers in threads of this process, for programs in other ones to talk to.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from unittest import TestCase

from tests.integration.peers import DEADLINE


class ThreadedServer:
    """
    A server that has a thread for each connection, and ends with the test.

    @ivar failures: What went wrong in them, but for connections that were lost.
    """

    def __init__(self, testCase: TestCase, listener: socket.socket) -> None:
        """
        @param listener: The socket that it accepts from.
        """
        self.failures: list[BaseException] = []
        self._listener = listener
        self._sockets: list[socket.socket] = []
        listener.settimeout(None)
        thread = Thread(target=self._accept, daemon=True)
        thread.start()
        testCase.addCleanup(thread.join, DEADLINE)
        testCase.addCleanup(self.close)

    def close(self) -> None:
        """
        Let go of everybody.
        """
        # Who waits in accept or recv would not notice that it is closed.
        for sock in (self._listener, *self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        """
        Wait for clients.
        """
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(DEADLINE)
            self._sockets.append(sock)
            Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        """
        Talk with a client, and take note of what goes wrong.
        """
        try:
            with sock:
                self.serve(sock)
        except (OSError, EOFError):
            # It has left.
            pass
        except BaseException as error:
            self.failures.append(error)
            raise

    def serve(self, sock: socket.socket) -> None:
        """
        Talk with a client.
        """
        raise NotImplementedError


def join(left: socket.socket, right: socket.socket) -> None:
    """
    Pass octets between two connections until both directions have ended.
    """
    other = Thread(target=_pass, args=(right, left), daemon=True)
    other.start()
    _pass(left, right)
    other.join()


def _pass(source: socket.socket, destination: socket.socket) -> None:
    """
    Pass octets in one direction.
    """
    with suppress(OSError):
        while octets := source.recv(65536):
            destination.sendall(octets)
    with suppress(OSError):
        destination.shutdown(socket.SHUT_WR)
