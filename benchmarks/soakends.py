"""
What the peers of L{soak} meet behind the proxy: servers on loopback, in one thread.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any

#: Lets a connection end with a reset.
NO_LINGER = struct.pack("ii", 1, 0)


class _DatagramEcho(asyncio.DatagramProtocol):
    """
    Sends each datagram back.
    """

    def connection_made(self, transport: Any) -> None:
        """
        Take note of the socket.
        """
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """
        Send it back.
        """
        self._transport.sendto(data, addr)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Send back what comes, to its end.
    """
    with suppress(OSError):
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
        writer.write_eof()
    writer.close()


async def _break(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Send something, or wait for something, and reset the connection.
    """
    dice = random.Random()
    with suppress(OSError):
        writer.write(dice.randbytes(dice.randrange(100_000)))
        await asyncio.sleep(dice.random() / 4)
    sock: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Send to whoever has come for as long as they are there, whatever they say.
    """

    async def pour() -> None:
        with suppress(OSError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()

    pouring = asyncio.ensure_future(pour())
    with suppress(OSError):
        while await reader.read(65536):
            pass
    pouring.cancel()
    writer.transport.abort()


class Ends:
    """
    The servers.

    @ivar echo: The port of one that sends back what comes, of TCP.
    @ivar datagrams: The same of UDP.
    @ivar breaking: The port of one that resets connections.
    @ivar pouring: The port of one that never stops to send.
    """

    def __init__(self) -> None:
        """
        Start them.
        """
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)
        Thread(target=self._loop.run_forever, daemon=True).start()
        self.echo = self._run(self._serve(_echo))
        self.breaking = self._run(self._serve(_break))
        self.pouring = self._run(self._serve(_pour))
        self.datagrams = self._run(self._serveDatagrams())

    def _run(self, coroutine: Coroutine[Any, Any, int]) -> int:
        """
        Run something in the thread.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _serve(self, serve: Any) -> int:
        """
        Start a server.

        @return: Its port.
        """
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serveDatagrams(self) -> int:
        """
        Start the one of UDP.
        """
        transport, _ = await self._loop.create_datagram_endpoint(
            _DatagramEcho, local_addr=("127.0.0.1", 0)
        )
        port: int = transport.get_extra_info("sockname")[1]
        return port
