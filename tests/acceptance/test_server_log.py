"""The server's own log: who changed what, what became of work, and nothing that people have written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import claude_cli, repositories, tasks_gates, tasks_work
from support.api_calls import Api, request
from support.api_server import NOBODY
from support.api_services import METHODS
from support.certificates import Certificates
from support.model_api import ModelApi, Step
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.connection import Tls

CALL = re.compile(r"^\S+ \S+ INFO taskgrove_server\.api\.call_log: (.*)$", re.MULTILINE)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer("--retry-pause", "0.1") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[taskgrove.Client]:
    with server.client() as connected:
        yield connected


def calls(server: RunningServer, method: str) -> list[str]:
    """Returns what the log has of the calls of a method, without its name."""
    said = CALL.findall(server.log.read_text())
    return [line.removeprefix(f"{method} ") for line in said if line.startswith(f"{method} ")]


def last_call(server: RunningServer, method: str) -> str:
    # The line is said before the answer, and comes through a pipe.
    return tasks_gates.until(lambda: calls(server, method), f"a line of {method}")[-1]


def test_each_call_that_changes_something_says_who_made_it_what_about_and_how_it_ended(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    path = repositories.make_repository(tmp_path / "repository", files={"a": "a\n"})
    task_list = client.create_task_list("A title", working_dir=path, request_id="list-1")
    assert last_call(server, "CreateTaskList") == f"peer=unix: request_id=list-1 task_list={task_list.id} outcome=OK"
    task = client.enqueue(task_list.id, "Do it", overrides=tasks_work.shell("echo x > x"), request_id="task-1")
    expected = f"peer=unix: task_list_id={task_list.id} request_id=task-1 task={task.id} outcome=OK"
    assert last_call(server, "Enqueue") == expected
    tasks_work.rest(client, task.id)
    client.discard_worktree(task.id, dry_run=True)
    said = last_call(server, "DiscardWorktree")
    assert f"task_id={task.id}" in said
    assert "dry_run=True" in said
    assert said.endswith("outcome=OK")
    client.land(task.id, request_id="land-1")
    assert f"task_id={task.id} request_id=land-1 task={task.id} outcome=OK" in last_call(server, "Land")


def test_a_call_that_is_refused_says_why(server: RunningServer, client: taskgrove.Client) -> None:
    with pytest.raises(taskgrove.TaskNotFound):
        client.cancel(NOBODY)
    said = last_call(server, "Cancel")
    assert f"task_id={NOBODY}" in said
    assert said.endswith("outcome=NOT_FOUND reason=TASK_NOT_FOUND")


def test_over_tcp_it_says_from_where_and_with_which_certificate(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    people = Certificates(tmp_path, "people.pem")
    cert, key = people.write("ann", "ann@example.org")
    flags = [*certificates.server_flags("localhost", "127.0.0.1"), "--tls-client-ca", str(people.ca)]
    with RunningServer(*flags, tcp=True) as server:
        token = (server.data / "token").read_text().strip()
        tls = Tls(ca=certificates.ca, cert=cert, key=key)
        with taskgrove.Client(server.target, token=token, tls=tls) as client:
            client.create_task_list("A title")
        assert re.match(r"peer=ipv4:127\.0\.0\.1:\d+ ", last_call(server, "CreateTaskList"))
        with (
            taskgrove.Client(server.target, token="t" * 40, tls=tls) as stranger,
            pytest.raises(taskgrove.Unauthenticated),
        ):
            stranger.create_task_list("A title")
        said = tasks_gates.until(
            lambda: [line for line in calls(server, "CreateTaskList") if "UNAUTHENTICATED" in line], "the refusal"
        )
        assert said[0].endswith("outcome=UNAUTHENTICATED reason=TOKEN_INVALID")


@pytest.mark.parametrize(
    "text", ["a\nb ERROR forged: line", "a\r\x1b[2Jb", "a b=c outcome=OK", "\u2028\x85é", "x" * 100_000]
)
def test_nothing_that_a_caller_sends_breaks_a_line_or_makes_it_long(
    server: RunningServer, client: taskgrove.Client, text: str
) -> None:
    client.create_task_list("Before")
    last_call(server, "CreateTaskList")
    before = server.log.read_text().count("\n")
    with Api(server.target) as api:
        for method, fields in (("Cancel", {"task_id": text}), ("Enqueue", {"task_list_id": text, "request_id": text})):
            with pytest.raises(grpc.RpcError):
                api.call(request(method, **fields))
    last_call(server, "Enqueue")
    lines = server.log.read_bytes().decode().split("\n")[before:-1]
    assert len(lines) == 2
    for line in lines:
        assert CALL.match(line)
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 2000
        assert line.count(" outcome=") == 1


def test_reading_calls_are_not_told_of(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    last = client.create_task_list("Before")
    tasks_gates.until(lambda: f"task_list={last.id}" in server.log.read_text(), "the line of the last call")
    before = server.log.read_text()
    client.get_task(task.id)
    list(client.list_tasks())
    client.get_server_info()
    with pytest.raises(taskgrove.TaskNotFound):
        client.get_task(NOBODY)
    client.delete_task(task.id)
    last_call(server, "DeleteTask")
    said = server.log.read_text()[len(before) :]
    assert {line.split(": ")[1].split()[0] for line in said.splitlines()} == {"DeleteTask", "Task"}


def test_every_method_is_known_as_reading_or_changing() -> None:
    changing = {name for name, method in METHODS.items() if method.GetOptions().idempotency_level != 1}
    assert {"Enqueue", "Land", "DeleteTaskList", "LiftHold", "PruneWorktrees"} <= changing
    assert not any(name.startswith(("Get", "List", "Watch", "Read", "Diff", "Check")) for name in changing)
    assert all(not METHODS[name].server_streaming for name in changing)


def test_what_becomes_of_work_is_told(server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    project = Project(client, tmp_path / "project")
    remote = tmp_path / "remote.git"
    repositories.git(tmp_path, "init", "--bare", str(remote))
    repositories.git(project.path, "remote", "add", "origin", str(remote))
    landed, discarded, pruned = (project.run(f"echo {name} > {name}") for name in ("landed", "discarded", "pruned"))

    def said(words: str) -> str:
        return tasks_gates.until(
            lambda: next((line for line in server.log.read_text().splitlines() if words in line), None), words
        )

    pushed = client.push_branch(landed.id)
    line = said(f"Task {landed.id} was pushed to origin")
    assert pushed.remote_branch in line
    assert pushed.commit in line
    landing = client.land(landed.id).worktree.landing
    assert landing.commit in said(f"Task {landed.id} has landed on main")
    removal = client.discard_worktree(discarded.id).removal
    line = said(f"The worktree of task {discarded.id} was discarded")
    assert all(part in line for part in (removal.branch, removal.saved_ref, removal.saved_commit))
    client.prune_worktrees(task_list_id=project.task_list.id, rested_for=timedelta(0))
    assert pruned.id in said(f"The worktree of task {pruned.id} was pruned")
    saved_ref = client.delete_task(discarded.id)
    assert saved_ref
    assert saved_ref in said(f"Task {discarded.id} was deleted")
    for task in client.list_tasks():
        client.delete_task(task.id, discard_worktree=True)
    client.delete_task_list(project.task_list.id)
    said(f"Task list {project.task_list.id} was deleted")


def test_at_debug_nothing_is_said_that_people_have_written(tmp_path: Path) -> None:
    """A whole life of a task, with a secret at each place."""
    secrets: list[str] = []

    def secret(place: str) -> str:
        secrets.append(f"SECRET-{place}-7f3a")
        return secrets[-1]

    path = repositories.make_repository(tmp_path / "repository", files={"a": "a\n"})
    certificates = Certificates(tmp_path)
    environment = {"SECRET_VARIABLE": secret("environment"), "ANTHROPIC_API_KEY": secret("key")}
    flags = [*certificates.server_flags("localhost", "127.0.0.1"), "--log-level", "debug", "--retry-pause", "0.1"]
    flags += ["--pass-environment", "SECRET_VARIABLE", "--stall-timeout", "60"]
    with ModelApi() as api:
        environment |= {"ANTHROPIC_BASE_URL": api.url, "IS_SANDBOX": "1"}
        flags += ["--claude", claude_cli.executable()]
        with RunningServer(*flags, environment=environment, tcp=True) as server:
            token = (server.data / "token").read_text().strip()
            with taskgrove.Client(server.target, token=token, tls=Tls(ca=certificates.ca)) as client:
                settings = taskgrove.worktree_settings(setup_command=f"echo {secret('setup')}")
                task_list = client.create_task_list(secret("list"), working_dir=path, worktree_settings=settings)
                command = f"cat; echo '{{\"{secret('output')}\": 1}}'; echo {secret('shell')} >> x"
                task = client.enqueue(
                    task_list.id,
                    secret("title"),
                    description=secret("description"),
                    subtasks=[secret("subtask")],
                    overrides=tasks_work.shell(command),
                )
                assert tasks_work.rest(client, task.id).state == taskgrove.Task.STATE_SUCCEEDED
                client.continue_task(task.id, secret("prompt"))
                tasks_work.rest(client, task.id)
                client.land(task.id, message=secret("message"))
                api.script(Step(say=secret("said")), key=environment["ANTHROPIC_API_KEY"])
                asked = taskgrove.run_config(agent="claude", system_prompt=secret("system-prompt"))
                claude = client.enqueue(task_list.id, secret("claude"), overrides=asked)
                tasks_work.rest(client, claude.id)
                fails = client.enqueue(
                    task_list.id, secret("fails"), overrides=tasks_work.shell(f"echo {secret('stderr')} >&2; exit 3")
                )
                tasks_work.rest(client, fails.id)
                # Refused calls carry as much.
                for refused in (
                    lambda: client.enqueue(NOBODY, secret("refused"), subdirectory="directory"),
                    lambda: client.enqueue(task_list.id, secret("bad"), subdirectory="/path"),
                    lambda: client.continue_task(NOBODY, secret("refused-prompt")),
                    lambda: client.update_task(task.id, title=secret("late")),
                    lambda: client.get_task(NOBODY),
                    lambda: client.create_task_list(secret("other"), working_dir="/nowhere"),
                ):
                    with pytest.raises(taskgrove.TaskgroveError):
                        refused()
                client.delete_task(task.id, discard_worktree=True)
                assert list(client.list_task_lists(working_dir=path))
            assert server.terminate() == 0
            said = server.log.read_text()
    assert "INFO taskgrove_server" in said
    assert "DEBUG taskgrove_server" in said
    assert [one for one in [*secrets, token] if one in said] == []
    libraries = re.findall(r"^\S+ \S+ (?:DEBUG|INFO) (?!taskgrove_server)(\S+):", said, re.MULTILINE)
    assert set(libraries) == {"peewee.migrations"}
