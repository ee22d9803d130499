"""A grpc.aio stream that does nothing else: the limit of what grpc.aio can stream in Python.

A program of its own: bare_stream.py [--log NAME=FILE ...] [--emit EMISSION]. It serves WatchTask's path, sends the
lines and nothing around them, and takes for the task's id the name of a log, whose pieces it has in memory before
anybody asks. The name `live` streams what the emitter writes. Prints the port that it serves on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from benchmarks.peers.history import History, emit, read_log
from taskgrove.v1.task_service_pb2 import WatchTaskRequest
from taskgrove_server.journal import reading

#: Bytes of lines in a message, as many as taskgroved sends.
CHUNK = reading.CHUNK


class Streaming:
    """Answers every watch from memory."""

    def __init__(self, logs: dict[str, list[bytes]]) -> None:
        self._logs = logs
        self._history = History()

    async def watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Yields the lines of a log, many in a message."""
        name = WatchTaskRequest.FromString(request).task_id
        if name in self._logs:
            for piece in self._logs[name]:
                yield piece
            return
        await context.send_initial_metadata(())
        position = 0
        while True:
            while position < len(self._history.pieces):
                piece, position = self._history.joined(position, CHUNK)
                yield piece
            if self._history.ended:
                return
            await self._history.grown()

    async def serve(self, emission: str) -> None:
        """Serves until it is ended."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(self.watch)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("taskgrove.v1.TaskService", {"WatchTask": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(port, flush=True)
        if emission:
            await emit(emission, self._history)
        await server.wait_for_termination()


def main() -> None:
    """Reads the logs and serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", action="append", default=[])
    parser.add_argument("--emit", default="")
    arguments = parser.parse_args()
    named = dict(log.split("=", 1) for log in arguments.log)
    logs = {name: list(read_log(Path(path), CHUNK)) for name, path in named.items()}
    asyncio.run(Streaming(logs).serve(arguments.emit))


if __name__ == "__main__":
    main()
