"""A TCP proxy that resets connections in the middle of what they carry."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from typing import Self

from support.tasks_gates import PATIENCE

#: SO_LINGER on, for 0 seconds: a socket that is closed is reset, and what was not sent yet is dropped.
_RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Passes connections on to a server, and cuts as many of them as `cuts` has numbers.

    The first connection over which the server has sent the first number of bytes is reset, then the first of those
    that follow over which it has sent the second, and so on. Whatever comes afterwards goes through.
    """

    def __init__(self, target: str, cuts: Sequence[int]) -> None:
        host, _, port = target.rpartition(":")
        self._server = (host, int(port))
        self._pending = list(cuts)
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cutting proxy", daemon=True)
        self.target = ""

    @property
    def pending(self) -> int:
        """Counts the cuts that are still to be made."""
        return len(self._pending)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        return listener

    async def _close(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, client: StreamReader, to_client: StreamWriter) -> None:
        writers = [to_client]
        # What fails here is a peer that is gone, and ends the connection.
        with contextlib.suppress(OSError):
            try:
                server, to_server = await asyncio.open_connection(*self._server)
                writers.append(to_server)
                ways = {
                    asyncio.create_task(self._pass(client, to_server)),
                    asyncio.create_task(self._pass(server, to_client, cuts=True)),
                }
                try:
                    # Whichever side ends first, both are ended: no client of this server half-closes.
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
            finally:
                for writer in writers:
                    writer.transport.abort()

    async def _pass(self, reader: StreamReader, writer: StreamWriter, *, cuts: bool = False) -> None:
        passed = 0
        while data := await reader.read(16_384):
            writer.write(data)
            await writer.drain()
            passed += len(data)
            if cuts and self._pending and passed >= self._pending[0]:
                del self._pending[0]
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
