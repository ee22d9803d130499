"""Logs that are large, or on a disk that does not answer, while others want something else of the server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import taskgrove
from support import tasks_following, tasks_gates, tasks_raw, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import PATIENCE, Gate
from taskgrove.v1.task_pb2 import Task
from taskgrove_server.journal.line_index import LineIndex

#: Prints 12 MB in 12,000 lines, none like another.
MANY_LINES = "seq -f %01000.0f 12000"


def log_of(client: taskgrove.Client, task_id: str) -> Path:
    return Path(next(iter(client.list_runs(task_id))).log_path)


def index_of(log: Path) -> Path:
    return log.with_name(f"{log.name}.index")


def shown(client: taskgrove.Client, task_id: str, after_line: int) -> bytes:
    return tasks_following.data(client.watch(task_id, after_line=after_line))


def ends_at(lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yields positions all over a log, and what is shown of one that is watched from there."""
    for after_line in (1, 2, len(lines) // 3, len(lines) // 2, len(lines) - 1000, len(lines) - 1, len(lines)):
        yield after_line, b"".join(lines[after_line:])


def spoil(index: Path) -> None:
    data = bytearray(index.read_bytes())
    data[-1] ^= 1
    index.write_bytes(data)


@pytest.mark.parametrize("harm", [Path.unlink, spoil])
def test_a_large_log_is_watched_from_any_line_with_its_index_and_without(
    server: RunningServer, client: taskgrove.Client, harm: Callable[[Path], None]
) -> None:
    task = tasks_work.run(client, MANY_LINES)
    assert task.state == Task.STATE_SUCCEEDED
    log = log_of(client, task.id)
    lines = log.read_bytes().splitlines(keepends=True)
    for after_line, rest in ends_at(lines):
        assert shown(client, task.id, after_line) == rest
    server.kill()
    harm(index_of(log))
    server.start()
    with server.client() as later:
        for after_line, rest in ends_at(lines):
            assert shown(later, task.id, after_line) == rest
        tasks_gates.until(lambda: LineIndex.load(str(log), log.stat().st_size), "the index is there again")


def test_an_index_goes_with_its_log(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, MANY_LINES)
    log = log_of(client, task.id)
    assert index_of(log).exists()
    client.delete_task(task.id, discard_worktree=True)
    assert [path.name for path in (server.data / "logs").iterdir()] == []


def test_a_large_log_that_grows_is_watched_from_any_line_also_by_the_next_server(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"{MANY_LINES}; {gate.pass_through}; echo end")
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        with Follower(client, task_id) as follower:
            follower.wait_for(lambda events: len(tasks_following.lines(events)) == 12_000, "all lines")
        log = log_of(client, task_id)
        lines = log.read_bytes().splitlines(keepends=True)

        def starts_right(client: taskgrove.Client) -> bool:
            for after_line in (1, 6000, 11_999):
                with contextlib.closing(client.watch(task_id, after_line=after_line)) as watch:
                    line = next(event for event in watch if isinstance(event, taskgrove.Line))
                    assert (line.number, line.data) == (after_line + 1, lines[after_line])
            return True

        assert starts_right(client)
        assert not index_of(log).exists()
        server.kill()
        server.start()
        with server.client() as later:
            assert starts_right(later)
            gate.open()
            task = tasks_work.rest(later, task_id)
            assert task.state == Task.STATE_SUCCEEDED
            assert index_of(log).exists()
            for after_line, rest in ends_at(log.read_bytes().splitlines(keepends=True)):
                assert shown(later, task_id, after_line) == rest


@contextlib.contextmanager
def stuck(log: Path) -> Generator[None]:
    """Has whoever opens a log wait, as for a disk that does not answer."""
    away = log.with_name("away")
    log.rename(away)
    os.mkfifo(log)
    try:
        yield
    finally:
        # Who waits goes on once somebody writes; who comes later finds the log again.
        writer = os.open(log, os.O_RDWR | os.O_NONBLOCK)
        away.replace(log)
        os.close(writer)


@pytest.mark.parametrize("command", ["seq 100", MANY_LINES], ids=["small", "large"])
def test_calls_are_answered_while_logs_cannot_be_read(
    server: RunningServer, client: taskgrove.Client, command: str
) -> None:
    task = tasks_work.run(client, command)
    log = log_of(client, task.id)
    with ThreadPoolExecutor(20) as pool, tasks_raw.stub(server) as tasks:
        with stuck(log):
            index_of(log).unlink(missing_ok=True)
            watches = [tasks_raw.watch(tasks, task.id, 2 + number) for number in range(20)]
            # Each has begun, and looks for its line.
            for watch in watches:
                assert next(watch).HasField("opened")
            for _ in range(3):
                assert client.get_task(task.id) == task
                assert tasks_work.run(client, "echo meanwhile").state == Task.STATE_SUCCEEDED
        ends = [pool.submit(list, watch) for watch in watches]
        for end in ends:
            with contextlib.suppress(Exception):
                end.result(PATIENCE)
            assert end.done()
    assert shown(client, task.id, 5) == b"".join(log.read_bytes().splitlines(keepends=True)[5:])
