"""A client that begins watches of one task again and again: python -m benchmarks.peers.resumer TARGET TASK LINE RATE.

Says that it is ready, and begins when it is sent a line. Each watch starts after LINE or a line near it, and is closed
at its first line. RATE watches begin each second until standard input ends, or, if it is 0, 100 at once and no more.
Prints the milliseconds from each request to its first line.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from grpc import aio

from taskgrove import connection
from taskgrove.v1.task_service_pb2 import WatchTaskRequest
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

#: How many lines before the given one are asked for as well.
SPREAD = 100


async def _resume(tasks: TaskServiceStub, task: str, after_line: int) -> None:
    before = time.perf_counter()
    watch = tasks.WatchTask(WatchTaskRequest(task_id=task, after_line=after_line))
    async for message in watch:  # type: ignore[attr-defined]  # grpc-stubs name the synchronous iterator
        if message.HasField("lines"):
            break
    print(1000 * (time.perf_counter() - before), flush=True)
    watch.cancel()


async def _main(target: str, task: str, line: int, rate: float) -> None:
    async with aio.insecure_channel(target, options=connection.CHANNEL_OPTIONS) as channel:
        tasks = TaskServiceStub(channel)
        await channel.channel_ready()
        print("ready", flush=True)
        sys.stdin.readline()
        if not rate:
            await asyncio.gather(*(_resume(tasks, task, line - number) for number in range(SPREAD)))
            return
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
        watches: set[asyncio.Task[None]] = set()
        begin, count = time.perf_counter(), 0
        while not ended.is_set():
            watch = asyncio.create_task(_resume(tasks, task, line - count % SPREAD))
            watches.add(watch)
            watch.add_done_callback(watches.discard)
            count += 1
            await asyncio.sleep(max(0.0, begin + count / rate - time.perf_counter()))
        await asyncio.gather(*watches)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
    # gRPC's own end takes a tenth of a second.
    sys.stdout.flush()
    os._exit(0)
