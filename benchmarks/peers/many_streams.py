"""Runs many emitters and streams what each writes, with asyncio and grpc.aio and nothing around them.

A program of its own: `python -m benchmarks.peers.many_streams COUNT PROGRAM`. It serves WatchTask's path on loopback,
prints the port, and takes for the task's id the number of the emitter, from 0. All is kept in memory.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from benchmarks.peers.bare_stream import CHUNK
from benchmarks.peers.history import History, take_in
from taskgrove.v1.task_service_pb2 import WatchTaskRequest

_BLOCK = 64 << 10


async def _emit(program: str, history: History) -> None:
    process = await asyncio.create_subprocess_exec(
        program, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await take_in(process.stdout, history, _BLOCK)
    await process.wait()


async def serve(count: int, program: str) -> None:
    """Serves until the process is ended."""
    histories = [History() for _ in range(count)]

    async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
        history = histories[int(WatchTaskRequest.FromString(request).task_id)]
        await context.send_initial_metadata(())
        position = 0
        while True:
            while position < len(history.pieces):
                piece, position = history.joined(position, CHUNK)
                yield piece
            if history.ended:
                return
            await history.grown()

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(watch)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("taskgrove.v1.TaskService", {"WatchTask": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.gather(*(_emit(program, history) for history in histories))
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
