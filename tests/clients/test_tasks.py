"""What clients do with tasks: enqueue, continue, cancel and list them, and learn why they may not."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import taskgrove
from support import tasks_work
from support.client_programs import Program
from support.server import RunningServer
from support.tasks_gates import Gate

UNKNOWN = "aaaaaaaaaaaa"


def test_enqueue(program: Program, server: RunningServer, client: taskgrove.Client) -> None:
    given = {
        "list_title": "Größe",
        "command": "cat",
        "title": "Mend it ✓",
        "description": "First line,\n\tsecond “line” 𝄞",
        "subtasks": ["one", "zwölf"],
        "request_id": "conformance:1",
    }
    seen = program.run("enqueue", server, **given)
    task_list = client.get_task_list(seen["task_list_id"])
    assert (task_list.title, task_list.defaults.agent, task_list.defaults.command.shell) == ("Größe", "command", "cat")
    (stored,) = client.list_tasks(task_list_id=task_list.id)
    assert seen["task_ids"] == [stored.id, stored.id]
    assert (stored.title, stored.description) == (given["title"], given["description"])
    assert [(part.title, part.completed) for part in stored.subtasks] == [("one", False), ("zwölf", False)]
    assert seen["reused"] == refusal("ALREADY_EXISTS", "REQUEST_ID_REUSED", {"request_id": "conformance:1"})


def test_repeat(program: Program, server: RunningServer, client: taskgrove.Client) -> None:
    task_list = client.create_task_list("Old")
    given = {"title": "New ✓", "etag": task_list.etag, "request_id": f"conformance:{task_list.id}"}
    seen = program.run("repeat", server, task_list_id=task_list.id, **given)
    assert seen["titles"] == ["New ✓", "New ✓"]
    assert seen["stale"]["reason"] == "ETAG_MISMATCH"
    assert task_list.id not in {found.id for found in client.list_task_lists()}
    with tasks_work.connected(server) as database:
        rows = database.execute("SELECT method FROM request WHERE subject_id = ?", (task_list.id,)).fetchall()
    assert sorted(method for (method,) in rows) == ["CreateTaskList", "DeleteTaskList", "UpdateTaskList"]


def test_continue(program: Program, server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "cat; seq 100")
    seen = program.run("continue", server, task_id=task.id, prompt="Weiter, bitte: größer!")
    before, after = tasks_work.runs(client, task)
    assert after.prompt == "Weiter, bitte: größer!"
    assert (before.first_line, after.first_line) == (1, before.line_count + 1)
    for name, run in (("before", before), ("after", after)):
        log = tasks_work.logged([run])
        assert seen[name] == {
            "last_line": run.first_line + run.line_count - 1,
            "dense": True,
            "bytes": len(log),
            "longest": max(map(len, log.splitlines(keepends=True))),
            "sha256": hashlib.sha256(log).hexdigest(),
            "runs": [run.number],
            "state": "STATE_SUCCEEDED",
        }


def test_cancel(program: Program, server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        # The gate stays shut: the program ends by being cancelled, or not at all.
        task_list = tasks_work.make_list(client, f"echo started; {gate.pass_through}")
        seen = program.run("cancel", server, task_list_id=task_list.id)
    assert seen == {
        "outcomes": {
            "waiting": "OUTCOME_CANCELLED",
            "running": "OUTCOME_STOPPING",
            "rested": "OUTCOME_ALREADY_RESTED",
        },
        "states": {"waiting": "STATE_CANCELLED", "running": "STATE_CANCELLED"},
    }
    states = [task.state for task in client.list_tasks(task_list_id=task_list.id)]
    assert states == [taskgrove.Task.STATE_CANCELLED] * 2


def test_errors(program: Program, server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate, socket.socket() as deaf:
        # Bound and not listening: whoever connects is refused, and nobody else gets the port.
        deaf.bind(("127.0.0.1", 0))
        task = client.enqueue(tasks_work.make_list(client, gate.pass_through).id, "Wait")
        gate.wait_for_arrivals()
        seen = program.run(
            "errors",
            server,
            unknown_task_id=UNKNOWN,
            task_list_id=task.task_list_id,
            active_task_id=task.id,
            wrong_token="wrong",
            dead_target=f"127.0.0.1:{deaf.getsockname()[1]}",
        )
    unknown = refusal("NOT_FOUND", "TASK_NOT_FOUND", {"task_id": UNKNOWN})
    ((field, description),) = seen["empty_title"].pop("violations")
    assert (field, bool(description)) == ("title", True)
    assert seen == {
        "unknown_task": unknown,
        "unknown_watch": unknown,
        "empty_title": {"code": "INVALID_ARGUMENT", "reason": "INVALID_FIELD", "metadata": {"field": "title"}},
        "active_task": refusal("FAILED_PRECONDITION", "TASK_ACTIVE", {"task_id": task.id, "state": "running"}),
        "wrong_token": refusal("UNAUTHENTICATED", "TOKEN_INVALID"),
        "no_server": refusal("UNAVAILABLE", None),
    }


def test_paging(program: Program, server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(10)]
        client.enqueue(tasks_work.make_list(client, gate.pass_through).id, "Of another list")
        seen = program.run("paging", server, task_list_id=task_list.id, page_size=3, page_token="made-up")
    assert seen == {"task_ids": ids[::-1], "made_up_token": refusal("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")}


def refusal(code: str, reason: str | None, metadata: dict[str, str] | None = None) -> dict[str, Any]:
    """Returns how a program describes a refusal that names no field."""
    return {"code": code, "reason": reason, "metadata": metadata or {}, "violations": []}
