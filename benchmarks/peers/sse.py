"""Server-sent events with Starlette and uvicorn: how most services stream an agent's lines.

A program of its own: sse.py [--log NAME=FILE ...] [--emit EMISSION]. /line/NAME streams a log with a line an event and
an event a send, as peers do; /chunk/NAME sends as many events at once as are 64 KiB. All is in memory, already encoded,
before anybody asks. The name `live` streams what the emitter writes. Prints the port that it serves on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from benchmarks.peers.history import History, emit, read_log

#: Bytes of lines that are sent at once where many are.
CHUNK = 64 << 10


class Streaming:
    """Answers every stream from memory."""

    def __init__(self, logs: dict[str, Path]) -> None:
        pieces = {name: list(read_log(path, CHUNK)) for name, path in logs.items()}
        self._chunks = {name: [b"".join(_events(piece)) for piece in log] for name, log in pieces.items()}
        self._lines = {name: [event for piece in log for event in _events(piece)] for name, log in pieces.items()}
        self._history = History()

    async def line(self, request: Request) -> StreamingResponse:
        """Streams one event at a time."""
        name = request.path_params["name"]
        return _response(self._live() if name == "live" else _each(self._lines[name]))

    async def chunk(self, request: Request) -> StreamingResponse:
        """Streams many events at a time."""
        return _response(_each(self._chunks[request.path_params["name"]]))

    async def serve(self, emission: str) -> None:
        """Serves until it is ended."""
        routes = [Route("/line/{name}", self.line), Route("/chunk/{name}", self.chunk)]
        listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", access_log=False)
        emitting = asyncio.create_task(emit(emission, self._history)) if emission else None
        print(listening.getsockname()[1], flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])
        if emitting is not None:
            emitting.cancel()

    async def _live(self) -> AsyncIterator[bytes]:
        position = 0
        while not self._history.ended or position < len(self._history.pieces):
            while position < len(self._history.pieces):
                for event in _events(self._history.pieces[position]):
                    yield event
                position += 1
            if not self._history.ended:
                await self._history.grown()


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _events(lines: bytes) -> list[bytes]:
    return [b"data: %b\n\n" % line for line in lines.split(b"\n")[:-1]]


def _response(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(body, media_type="text/event-stream")


def main() -> None:
    """Reads the logs and serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", action="append", default=[])
    parser.add_argument("--emit", default="")
    arguments = parser.parse_args()
    named = (log.split("=", 1) for log in arguments.log)
    asyncio.run(Streaming({name: Path(path) for name, path in named}).serve(arguments.emit))


if __name__ == "__main__":
    main()
