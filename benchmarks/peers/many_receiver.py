"""Watches many streams at once in one process: `python -m benchmarks.peers.many_receiver`.

Standard input has a line of JSON: `port`, `token`, `lines`, how many each stream has to have, and `names`, the tasks'
ids. Prints `opened` when all requests have been answered, and in the end what came, as JSON. A receipt counts from the
moment at which grpc.aio hands a message over; messages are not parsed, but searched for the lines of the emitter.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from benchmarks.peers.emitter import MARK, SIZE
from taskgrove.v1.task_service_pb2 import WatchTaskRequest

WATCH = "/taskgrove.v1.TaskService/WatchTask"

#: Streams that share a connection.
_ON_ONE = 30

_CLOCK = len(MARK) + 17


@dataclass(slots=True)
class Watcher:
    """One stream, and what came of it."""

    name: str
    line: int = 0
    #: How many lines came in all, in whatever order.
    count: int = 0
    fault: str = ""
    #: Nanoseconds from a line's write to its receipt.
    latencies: array[int] = field(default_factory=lambda: array("q"))

    def take(self, message: bytes, now: int) -> None:
        """Takes in the lines of a message, if it has any."""
        start = message.find(MARK)
        while start >= 0 and start + SIZE <= len(message):
            number = int(message[start + len(MARK) : start + len(MARK) + 9])
            if number != self.line + 1:
                self.fault = self.fault or f"{self.name}: after line {self.line} came line {number}"
            self.line = number
            self.count += 1
            self.latencies.append(now - int(message[start + _CLOCK : start + _CLOCK + 19]))
            start = message.find(MARK, start + SIZE)

    async def watch(self, call: AsyncIterator[bytes]) -> None:
        """Receives the stream to its end."""
        try:
            async for message in call:
                self.take(message, time.monotonic_ns())
        except grpc.aio.AioRpcError as error:
            self.fault = self.fault or f"{self.name}: {error.code()}: {error.details()}"


async def receive(port: int, token: str, lines: int, names: Sequence[str]) -> dict[str, Any]:
    """Returns what came of all streams."""
    watchers = [Watcher(name) for name in names]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with contextlib.AsyncExitStack() as stack:
        calls: list[Any] = []
        for first in range(0, len(watchers), _ON_ONE):
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}", options))
            method: Any = channel.unary_stream(WATCH)
            requests = (WatchTaskRequest(task_id=watcher.name) for watcher in watchers[first : first + _ON_ONE])
            calls += (method(request.SerializeToString(), metadata=metadata) for request in requests)
        await asyncio.gather(*(call.initial_metadata() for call in calls))
        print("opened", flush=True)
        await asyncio.gather(*(watcher.watch(call) for watcher, call in zip(watchers, calls, strict=True)))
    for watcher in watchers:
        if watcher.count != lines:
            watcher.fault = watcher.fault or f"{watcher.name}: {watcher.count} of {lines} lines came"
    found = sorted(latency for watcher in watchers for latency in watcher.latencies)
    return {
        "lines": len(found),
        "faults": [watcher.fault for watcher in watchers if watcher.fault],
        "p50": found[(len(found) - 1) // 2] / 1e6 if found else 0.0,
        "p99": found[(len(found) - 1) * 99 // 100] / 1e6 if found else 0.0,
    }


def main() -> None:
    """Receives what the plan on standard input names."""
    gc.disable()
    print(json.dumps(asyncio.run(receive(**json.loads(sys.stdin.readline())))), flush=True)


if __name__ == "__main__":
    main()
