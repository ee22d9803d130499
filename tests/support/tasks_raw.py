"""Watches tasks with the generated stub alone, as a program in any language does."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from typing import TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration

from support.server import RunningServer
from support.tasks_gates import PATIENCE
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

Message: TypeAlias = WatchTaskResponse


@contextlib.contextmanager
def stub(server: RunningServer) -> Generator[TaskServiceStub]:
    """Connects with gRPC's default options, a limit of 4 MiB a message among them."""
    with grpc.insecure_channel(server.target) as channel:
        yield TaskServiceStub(channel)


def watch(tasks: TaskServiceStub, task_id: str, after_line: int = 0, heartbeat: int | None = None) -> Iterator[Message]:
    """Opens a stream. Its deadline bounds the test, not the watch."""
    request = WatchTaskRequest(
        task_id=task_id,
        after_line=after_line,
        heartbeat_interval=None if heartbeat is None else Duration(seconds=heartbeat),
    )
    stream: Iterator[Message] = tasks.WatchTask(request, timeout=PATIENCE)
    return stream


def kinds(messages: Iterable[Message]) -> list[str]:
    """Returns what kinds of events there were, each run of the same kind as one, without heartbeats."""
    found: list[str] = []
    for message in messages:
        kind = str(message.WhichOneof("event"))
        if kind != "heartbeat" and found[-1:] != [kind]:
            found.append(kind)
    return found


def lines(messages: Iterable[Message], after_line: int = 0) -> list[bytes]:
    """Returns the lines after checking that they come in order, whole, without gap and without duplicate."""
    found: list[bytes] = []
    partial = b""
    for message in messages:
        expected = after_line + len(found) + 1
        if message.HasField("lines"):
            part = message.lines
            assert partial == b""
            assert part.first_line == expected
            assert part.data.endswith(b"\n")
            whole = part.data.removesuffix(b"\n").split(b"\n")
            assert len(whole) == part.count > 0
            assert len(part.data) <= (1 << 20 if part.count == 1 else 1 << 17)
            found += [line + b"\n" for line in whole]
        elif message.HasField("fragment"):
            piece = message.fragment
            assert (piece.line, piece.offset) == (expected, len(partial))
            assert piece.line_size > 1 << 20
            assert piece.data
            partial += piece.data
            assert len(partial) <= piece.line_size
            if len(partial) == piece.line_size:
                assert partial.index(b"\n") == len(partial) - 1
                found.append(partial)
                partial = b""
    assert partial == b""
    return found


def rested(messages: list[Message]) -> list[Message]:
    """Returns the messages after checking that they are a whole watch: opened first and once, rested last and once."""
    ends = [message.WhichOneof("event") for message in messages]
    assert ends[0] == "opened"
    assert ends[-1] == "rested"
    assert ends.count("opened") == ends.count("rested") == 1
    return messages
