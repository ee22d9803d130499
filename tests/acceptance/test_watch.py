"""What a watch shows, whenever it joins."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import client_drivers, tasks_following, tasks_gates, tasks_raw, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

SLOTS = 2


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """One server for all tests of this file; each has lists of its own."""
    with RunningServer("--slots", str(SLOTS), "--retry-pause", "0.1") as running:
        yield running


def test_the_first_message_opens_and_the_last_tells_of_rest(server: RunningServer, client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "echo one; echo two")
    with tasks_raw.stub(server) as tasks:
        queued = client.enqueue(task_list.id, "Do it")
        during = tasks_raw.rested(list(tasks_raw.watch(tasks, queued.id)))
        after = tasks_raw.rested(list(tasks_raw.watch(tasks, queued.id)))
    task = client.get_task(queued.id)
    assert tasks_raw.kinds(after) == ["opened", "lines", "rested"]
    assert (after[0].opened.task, after[0].opened.first_line, after[0].opened.last_line) == (task, 1, 3)
    for messages in (during, after):
        assert messages[-1].rested.task == task
        assert len(tasks_raw.lines(messages)) == task.last_line == 3


def test_all_lines_of_a_run_come_before_the_change_that_it_causes(
    server: RunningServer, client: taskgrove.Client
) -> None:
    many = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exit 75"
    task_list = tasks_work.make_list(client, many)
    with tasks_raw.stub(server) as tasks:
        queued = client.enqueue(task_list.id, "Do it")
        messages = tasks_raw.rested(list(tasks_raw.watch(tasks, queued.id)))
    shown = 0
    for message in messages:
        if message.HasField("lines"):
            shown += message.lines.count
        elif message.HasField("task"):
            assert shown >= message.task.last_line
            # No line of a run before the task that has the run.
            assert shown == 0 or message.task.run_count > 0
        elif message.HasField("rested"):
            assert shown == message.rested.task.last_line == 2 * 501


def test_watches_may_join_before_during_and_after_the_run(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "blocking") as blocking, Gate(tmp_path / "half") as half:
        blocked = tasks_work.make_list(client, blocking.pass_through)
        for _ in range(SLOTS):
            client.enqueue(blocked.id, "Block")
        blocking.wait_for_arrivals(SLOTS)
        task_list = tasks_work.make_list(client, f"echo first; {half.pass_through}; echo second")
        task_id = client.enqueue(task_list.id, "Do it").id
        with Follower(client, task_id) as before:
            opened = before.wait_for(lambda events: events[:1], "the watch's opening")[0]
            assert isinstance(opened, taskgrove.Opened)
            assert (opened.task.state, opened.last_line) == (Task.STATE_QUEUED, 0)
            blocking.open()
            before.wait_for_text("first")
            half.wait_for_arrivals()
            with Follower(client, task_id) as during:
                joined = during.wait_for(lambda events: events[:1], "the watch's opening")[0]
                assert isinstance(joined, taskgrove.Opened)
                assert (joined.task.state, joined.last_line) == (Task.STATE_RUNNING, 1)
                during.wait_for_text("first")
                assert tasks_following.texts(during.events) == ["first"]
                half.open()
                assert before.rested() == during.rested() == client.get_task(task_id)
    after = list(client.watch(task_id))
    assert [type(event) for event in after] == [taskgrove.Opened, *[taskgrove.Line] * 3, taskgrove.Rested]
    log = tasks_work.logged(list(client.list_runs(task_id)))
    assert [tasks_following.data(events) for events in (before.events, during.events, after)] == [log] * 3
    # Every state was shown to the one that was there from the start.
    states = [event.task.state for event in before.events if not isinstance(event, taskgrove.Line)]
    assert list(dict.fromkeys(states)) == [Task.STATE_QUEUED, Task.STATE_RUNNING, Task.STATE_SUCCEEDED]


def test_lines_are_shown_while_the_run_goes_on(client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo early; {gate.pass_through}; printf late")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            gate.wait_for_arrivals()
            follower.wait_for_text("early")
            gate.open()
            assert follower.rested().state == Task.STATE_SUCCEEDED
    assert tasks_following.texts(follower.events) == ["early", "late"]


@pytest.mark.asyncio
@pytest.mark.parametrize("driver", [client_drivers.Blocking, client_drivers.Asyncio])
async def test_both_clients_show_the_same(server: RunningServer, driver: type[client_drivers.Driver]) -> None:
    async with driver(server.target) as client:
        config = tasks_work.shell('echo hello; [ "$TASKGROVE_RESUMES" = 1 ] || exit 75')
        task_list = await client.call("create_task_list", "A list", defaults=config)
        queued = await client.call("enqueue", task_list.id, "Do it")
        events = await client.collect("watch", queued.id, reconnect_timeout=30)
        task = await client.call("get_task", queued.id)
        runs = await client.collect("list_runs", queued.id)
        assert (await client.collect("lines", queued.id)) == tasks_following.lines(events)
        assert await client.call("wait", queued.id) == task
    assert isinstance(events[0], taskgrove.Opened)
    assert events[-1] == taskgrove.Rested(task)
    assert task.state == Task.STATE_SUCCEEDED
    assert [run.is_retry for run in runs] == [False, True]
    assert tasks_following.numbers_are_dense(events)
    assert tasks_following.data(events) == tasks_work.logged(runs)
    assert [line.run_number for line in tasks_following.lines(events)] == [1, 1, 2, 2]


def test_what_a_program_prints_arrives_as_it_is(client: taskgrove.Client) -> None:
    printed = b"plain\n\xff\xfe no UTF-8\nnul \0 inside\n\ttab \x1b[31m red\r\n\nGr\xc3\xb6\xc3\x9fe\nno newline"
    escaped = "".join(f"\\{byte:03o}" for byte in printed)
    task = tasks_work.run(client, ["printf", escaped])
    lines = list(client.lines(task.id))
    assert b"".join(line.data for line in lines) == tasks_work.logged(tasks_work.runs(client, task))
    records = [line.json() for line in lines]
    assert records.pop() == {"type": "exit", "exit_code": 0}
    contents = [
        base64.b64decode(record["base64"]) if "base64" in record else record["text"].encode() for record in records
    ]
    assert contents == printed.split(b"\n")
    assert ["base64" in record for record in records] == [b"\xff" in line for line in printed.split(b"\n")]
    assert records[-1]["newline"] is False


@pytest.mark.timeout(300)
@pytest.mark.parametrize("megabytes", [1, 5, 20, 64])
def test_a_huge_line_gets_through_a_client_with_default_limits(
    server: RunningServer, client: taskgrove.Client, megabytes: int
) -> None:
    size = megabytes << 20
    task = tasks_work.run(client, f"echo before; head -c {size} /dev/zero | tr '\\0' x; echo; echo after")
    assert task.state == Task.STATE_SUCCEEDED
    log = tasks_work.logged(tasks_work.runs(client, task))
    with tasks_raw.stub(server) as tasks:
        raw = tasks_raw.lines(tasks_raw.rested(list(tasks_raw.watch(tasks, task.id))))
        # From the line before it, and from it on.
        one_on = tasks_raw.lines(list(tasks_raw.watch(tasks, task.id, 1)), 1)
        behind = tasks_raw.lines(list(tasks_raw.watch(tasks, task.id, 2)), 2)
    assert b"".join(raw) == log
    assert (one_on, behind) == (raw[1:], raw[2:])
    assert [line.data for line in client.lines(task.id)] == raw
    assert json.loads(raw[1])["text"] == "x" * size


def test_a_huge_line_that_is_being_written_is_shown_to_those_who_wait_for_it(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate, tasks_raw.stub(server) as tasks:
        huge = "head -c 3000000 /dev/zero | tr '\\0' x; echo"
        task_list = tasks_work.make_list(client, f"{huge}; echo ready; {gate.pass_through}; {huge}; echo end")
        task_id = client.enqueue(task_list.id, "Do it").id
        with Follower(client, task_id) as follower:
            follower.wait_for_text("ready")
            stream = tasks_raw.watch(tasks, task_id)
            first = [next(stream) for _ in range(3)]
            assert first[-1].HasField("fragment")
            gate.open()
            follower.rested()
        messages = tasks_raw.rested([*first, *stream])
    log = tasks_work.logged(list(client.list_runs(task_id)))
    assert b"".join(tasks_raw.lines(messages)) == log == tasks_following.data(follower.events)


def test_many_watchers_see_the_same(client: taskgrove.Client, server: RunningServer, tmp_path: Path) -> None:
    watchers = 50
    print_lines = 'i=0; while [ $i -lt 300 ]; do echo "line $i"; i=$((i+1)); done'
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"{print_lines}; {gate.pass_through}; {print_lines}; exit 75")
        task_id = client.enqueue(task_list.id, "Do it").id
        opened = threading.Barrier(watchers + 1, timeout=30)

        def watch(number: int) -> list[tasks_raw.Message]:
            with tasks_raw.stub(server) as tasks:
                # They join at the start, or somewhere in what is there.
                stream = tasks_raw.watch(tasks, task_id, number % 10 * 30)
                messages = [next(stream)]
                opened.wait()
                return tasks_raw.rested([*messages, *stream])

        with ThreadPoolExecutor(watchers) as pool:
            gate.wait_for_arrivals()
            # Printed is not yet counted: nobody may join after a line that the server does not know.
            with client.watch(task_id) as events:
                next(event for event in events if isinstance(event, taskgrove.Line) and event.number == 300)
            watched = [pool.submit(watch, number) for number in range(watchers)]
            opened.wait()
            gate.open()
            shown = [future.result(30) for future in watched]
    log = tasks_work.logged(list(client.list_runs(task_id)))
    whole = log.splitlines(keepends=True)
    assert len(whole) == 2 * (600 + 1)
    for number, messages in enumerate(shown):
        after_line = number % 10 * 30
        assert tasks_raw.lines(messages, after_line) == whole[after_line:]


def test_a_watcher_that_does_not_read_loses_nothing_and_holds_up_nobody(
    server: RunningServer, client: taskgrove.Client
) -> None:
    # More than the buffers between the two can hold.
    task_list = tasks_work.make_list(client, "head -c 30000000 /dev/zero | tr '\\0' x | fold -w 999; echo; exit 75")
    with tasks_raw.stub(server) as tasks:
        queued = client.enqueue(task_list.id, "Do it")
        slow = tasks_raw.watch(tasks, queued.id)
        messages = [next(slow)]
        assert messages[0].HasField("opened")
        # Meanwhile the run, its retry and another watcher reach their ends.
        quick = b"".join(line.data for line in client.lines(queued.id))
        task = tasks_work.rest(client, queued.id)
        assert task.run_count == 2
        messages += slow
    log = tasks_work.logged(tasks_work.runs(client, task))
    assert len(log) > 60_000_000
    assert quick == log
    assert b"".join(tasks_raw.lines(tasks_raw.rested(messages))) == log


def test_a_watch_that_is_left_ends_on_the_server(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo ready; {gate.pass_through}")
        task_id = client.enqueue(task_list.id, "Do it").id

        def open_logs() -> int:
            links = [path.readlink() for path in Path(f"/proc/{server.pid}/fd").iterdir() if path.is_symlink()]
            return sum(task_id in str(link) for link in links)

        with Follower(client, task_id) as follower:
            follower.wait_for_text("ready")
            alone = open_logs()
            for _ in range(3):
                with client.watch(task_id) as watch:
                    assert any(isinstance(event, taskgrove.Line) for event in watch)
            tasks_gates.until(lambda: open_logs() == alone, "the end of the three watches on the server")
            gate.open()
            follower.rested()


def test_a_silent_watch_has_a_heartbeat(server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate, tasks_raw.stub(server) as tasks:
        task_list = tasks_work.make_list(client, f"echo one; echo two; {gate.pass_through}")
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        stream = tasks_raw.watch(tasks, task_id, heartbeat=1)
        messages = [next(stream)]
        start = time.monotonic()
        while not messages[-1].HasField("heartbeat"):
            messages.append(next(stream))
        assert time.monotonic() - start >= 0.9
        assert messages[-1].heartbeat.last_line == 2
        assert len(tasks_raw.lines(messages)) == 2
        gate.open()
        assert tasks_raw.rested([*messages, *stream])


def test_a_task_that_does_not_exist_cannot_be_watched(server: RunningServer, client: taskgrove.Client) -> None:
    with pytest.raises(taskgrove.TaskNotFound):
        list(client.watch("aaaaaaaaaaaa"))
    with tasks_raw.stub(server) as tasks, pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        list(tasks_raw.watch(tasks, "aaaaaaaaaaaa"))
