"""Watches that start after a line: each position of a task's log, across its runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import tasks_following, tasks_raw, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """One server for all tests of this file; each has lists of its own."""
    with RunningServer("--slots", "4", "--retry-pause", "0.1") as running:
        yield running


#: Three lines a run, with the wrapper's own; the first of two runs asks for a retry.
TWO_RUNS = 'echo "one $TASKGROVE_RESUMES"; echo two; [ "$TASKGROVE_RESUMES" = 1 ] || exit 75'


def test_a_finished_task_can_be_watched_from_every_line(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, TWO_RUNS)
    log = tasks_work.logged(tasks_work.runs(client, task)).splitlines(keepends=True)
    assert len(log) == task.last_line == 6
    with tasks_raw.stub(server) as tasks:
        for after_line in range(len(log) + 1):
            messages = tasks_raw.rested(list(tasks_raw.watch(tasks, task.id, after_line)))
            assert tasks_raw.lines(messages, after_line) == log[after_line:]
            assert (messages[0].opened.first_line, messages[0].opened.last_line) == (1, len(log))
            events = list(client.watch(task.id, after_line=after_line))
            assert [line.data for line in tasks_following.lines(events)] == log[after_line:]
            assert tasks_following.numbers_are_dense(events, first=after_line + 1)


def test_a_running_task_can_be_watched_from_every_line(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate, tasks_raw.stub(server) as tasks:
        task_list = tasks_work.make_list(client, f"{TWO_RUNS}; {gate.pass_through}; echo three")
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()  # in the second run, behind five lines
        with Follower(client, task_id, after_line=0) as follower:
            follower.wait_for(lambda events: len(tasks_following.lines(events)) == 5, "five lines")
        streams: dict[int, tuple[Iterator[tasks_raw.Message], list[tasks_raw.Message]]] = {}
        for after_line in range(6):
            stream = tasks_raw.watch(tasks, task_id, after_line)
            messages = [next(stream)]
            assert messages[0].opened.last_line == 5
            while len(shown := tasks_raw.lines(messages, after_line)) < 5 - after_line:
                messages.append(next(stream))
            assert len(shown) == 5 - after_line
            streams[after_line] = (stream, messages)
        with pytest.raises(grpc.RpcError) as refused:
            list(tasks_raw.watch(tasks, task_id, 6))
        assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
        gate.open()
        shown_after = {
            after_line: tasks_raw.lines(tasks_raw.rested([*messages, *stream]), after_line)
            for after_line, (stream, messages) in streams.items()
        }
    log = tasks_work.logged(list(client.list_runs(task_id))).splitlines(keepends=True)
    assert len(log) == 7
    assert shown_after == {after_line: log[after_line:] for after_line in range(6)}


@pytest.mark.parametrize("beyond", [1, 2, 1 << 40])
def test_a_line_that_does_not_exist_yet_is_out_of_range(client: taskgrove.Client, beyond: int) -> None:
    task = tasks_work.run(client, "echo hello")
    with pytest.raises(taskgrove.LineOutOfRange) as refused:
        list(client.watch(task.id, after_line=task.last_line + beyond))
    assert refused.value.code == grpc.StatusCode.OUT_OF_RANGE
    assert refused.value.metadata == {"after_line": str(2 + beyond), "last_line": "2"}


def test_a_task_that_waits_has_no_line_yet(tmp_path: Path) -> None:
    with RunningServer("--slots", "1") as server, server.client() as client, Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        _, waiting = [client.enqueue(task_list.id, title).id for title in ("First", "Second")]
        gate.wait_for_arrivals()
        with pytest.raises(taskgrove.LineOutOfRange):
            list(client.watch(waiting, after_line=1))


def test_a_negative_line_is_refused(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    with pytest.raises(taskgrove.InvalidRequest) as refused:
        list(client.watch(task.id, after_line=-1))
    assert [field for field, _ in refused.value.violations] == ["after_line"]


def test_a_task_that_is_continued_goes_on_in_the_same_numbering(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "cat; echo")
    seen = list(client.watch(task.id))
    for number in range(2, 5):
        client.continue_task(task.id, f"Prompt {number}")
        more = list(client.watch(task.id, after_line=task.last_line))
        assert tasks_following.numbers_are_dense(more, first=task.last_line + 1)
        assert tasks_following.texts(more) == [f"Prompt {number}"]
        assert {line.run_number for line in tasks_following.lines(more)} == {number}
        seen += more
        task = client.get_task(task.id)
        assert more[-1] == taskgrove.Rested(task)
    assert tasks_following.numbers_are_dense(seen)
    assert tasks_following.data(seen) == tasks_work.logged(tasks_work.runs(client, task))
    assert tasks_following.data(client.watch(task.id)) == tasks_following.data(seen)


def test_a_run_without_a_line_takes_no_number(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "echo hello")
    # As a run that was cancelled before its program began has none.
    tasks_work.execute(server, "UPDATE run SET line_count = 0, log_size = 0 WHERE task_id = ?", task.id)
    tasks_work.execute(server, "UPDATE task SET last_line = 0 WHERE id = ?", task.id)
    client.continue_task(task.id, "Go on.")
    events = list(client.watch(task.id))
    assert [(line.number, line.run_number) for line in tasks_following.lines(events)] == [(1, 2), (2, 2)]


def test_lines_that_are_lost_are_told_of(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "echo one; echo two")
    (run,) = tasks_work.runs(client, task)
    log = Path(run.log_path)
    log.write_bytes(log.read_bytes()[:-10])
    with pytest.raises(taskgrove.LogLost) as lost:
        list(client.watch(task.id))
    assert lost.value.code == grpc.StatusCode.DATA_LOSS
    assert lost.value.metadata["task_id"] == task.id
    log.unlink()
    with pytest.raises(taskgrove.LogLost):
        list(client.watch(task.id))
    assert client.get_task(task.id).state == Task.STATE_SUCCEEDED
