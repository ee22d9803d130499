"""What clients follow across connections that are reset: the log of a task, and the feed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import taskgrove
from support import tasks_feed, tasks_gates, tasks_work
from support.client_programs import Program, connection
from support.cutting_proxy import CuttingProxy
from support.server import RunningServer
from support.tasks_gates import Gate


def test_watch(program: Program, server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    padding = "x" * 80
    with Gate(tmp_path / "gate") as gate:
        command = (
            f"seq -f '%05.0f {padding}' 10000; {gate.pass_through}; head -c 3000000 /dev/zero | tr '\\0' y; echo; "
            f"seq -f '%05.0f {padding}' 10001 20000"
        )
        task = client.enqueue(tasks_work.make_list(client, command).id, "Write much")
        gate.wait_for_arrivals()
        # The first cut comes among the lines that are there, the second in the middle of the long one.
        with (
            CuttingProxy(server.target, cuts=[400_000, 2_500_000]) as proxy,
            program.start("watch", connection(server, proxy.target), task_id=task.id, after_line=0) as running,
        ):
            tasks_gates.until(lambda: proxy.pending == 1, "the first cut")
            gate.open()
            seen = running.seen()
            assert proxy.pending == 0
    log = tasks_work.logged(tasks_work.runs(client, task))
    lines = log.splitlines(keepends=True)
    assert len(lines) > 20_000
    assert seen == {
        "last_line": len(lines),
        "dense": True,
        "bytes": len(log),
        "longest": max(map(len, lines)),
        "sha256": hashlib.sha256(log).hexdigest(),
        "runs": [1],
        "state": "STATE_SUCCEEDED",
    }
    assert seen["longest"] > 3_000_000


def test_watch_from_the_middle(program: Program, server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "seq 1000")
    seen = program.run("watch", server, task_id=task.id, after_line=990)
    rest = tasks_work.logged(tasks_work.runs(client, task)).splitlines(keepends=True)[990:]
    assert (seen["last_line"], seen["dense"]) == (990 + len(rest), True)
    assert seen["sha256"] == hashlib.sha256(b"".join(rest)).hexdigest()


def test_feed(program: Program, server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        # Each tick is an event with the task's title, so that the feed is longer than what is cut.
        task = client.enqueue(task_list.id, "t" * 500, subtasks=["part"])
        gate.wait_for_arrivals()
        for number in range(500):
            client.update_subtask(task.id, 1, completed=number % 2 == 0)
        with (
            CuttingProxy(server.target, cuts=[150_000, 150_000]) as proxy,
            program.start("feed", connection(server, proxy.target), task_id=task.id) as running,
        ):
            tasks_gates.until(lambda: proxy.pending == 0, "both cuts")
            gate.open()
            seen = running.seen()
    tasks_work.rest(client, task.id)
    events = list(client.read_events())
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert seen == {
        "first_sequence": 1,
        "events": len(events),
        "dense": True,
        "kinds": [f"KIND_{kind}" for kind in tasks_feed.kinds(events)],
    }
