"""Tasks are retried, edited, ticked and read from the command line; the set-up is looked at."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli_shell import Shell, await_line, finish, shown
from support.server import RunningServer
from support.tasks_gates import Gate


@pytest.fixture
def queued(repository: Path, tmp_path: Path, server: RunningServer) -> Iterator[tuple[Shell, str]]:
    """A shell, and the id of a task that waits while all slots are held."""
    shell = Shell(server, repository, VISUAL="", EDITOR=str(tmp_path / "editor"))
    with Gate(tmp_path / "gate") as gate:
        for number in range(4):
            shell.text("enqueue", f"Holds slot {number}", "--", "sh", "-c", gate.pass_through)
        gate.wait_for_arrivals(4)
        task_id = shell.text("enqueue", "Do it", "--subtask", "One", "--description", "All of it.", "--", "cat").strip()
        yield shell, task_id


def edits(tmp_path: Path, script: str) -> None:
    """Makes the editor a shell script that gets the file as $1."""
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    editor.chmod(0o755)


def test_a_retry_begins_anew(served: Shell) -> None:
    task_id = served.work("test -e marker && exit 3; touch marker")
    first = shown(served, task_id)["task"]["worktree"]
    ended = served.run("retry", task_id)
    assert ended.returncode == 0, ended.stdout
    assert b"run 2" in ended.stdout
    assert b"run 1" not in ended.stdout
    second = shown(served, task_id)["task"]
    assert second["run_count"] == 2
    assert second["worktree"]["branch"] != first["branch"] or second["worktree"]["saved_ref"]
    assert served.text("retry", task_id, "--detach") == f"{task_id}\n"
    assert served.run("watch", task_id).returncode == 0


def test_a_queued_task_is_edited_by_options(queued: tuple[Shell, str]) -> None:
    shell, task_id = queued
    said = shell.text("edit", task_id, "--title", "Do it well", "--subtask", "A", "--subtask", "B", "--max-turns", "3")
    assert said == f"Task {task_id}: Do it well\n"
    assert shell.text("tick", task_id, "2") == "[ ] A\n[x] B\n"
    task = json.loads(shell.text("edit", task_id, "--unset", "max-turns", "--json"))
    assert (task["title"], task["description"]) == ("Do it well", "All of it.")
    assert task["overrides"] == {"agent": "command", "command": {"argv": {"values": ["cat"]}}}
    assert shell.text("tick", task_id, "2", "--undo") == "[ ] A\n[ ] B\n"
    assert shell.run("tick", task_id, "3").returncode == 5


def test_a_queued_task_is_edited_in_an_editor(queued: tuple[Shell, str], tmp_path: Path) -> None:
    shell, task_id = queued
    edits(tmp_path, "exit 0")
    unchanged = shell.run("edit", task_id)
    assert (unchanged.returncode, unchanged.stderr) == (0, b"Nothing was changed.\n")
    edits(tmp_path, r"""sed -i -e '1s/.*/Do it well/' -e 's/- \[ \] One/- [x] One\n- [ ] Two/' "$1" """)
    assert shell.text("edit", task_id) == f"Task {task_id}: Do it well\n"
    task = shown(shell, task_id)["task"]
    assert task["description"] == "All of it."
    assert task["subtasks"] == [{"title": "One", "completed": True}, {"title": "Two"}]


def test_a_text_that_cannot_be_used_is_kept(queued: tuple[Shell, str], tmp_path: Path) -> None:
    shell, task_id = queued
    edits(tmp_path, """echo 'my words' > "$1" """)
    refused = shell.run("edit", task_id)
    assert refused.returncode == 5
    kept = Path(re.findall(r"kept in (\S+)", refused.stderr.decode())[0])
    assert kept.read_text() == "my words\n"
    kept.unlink()
    edits(tmp_path, "exit 7")
    assert b"ended with status 7: nothing was changed" in shell.run("edit", task_id).stderr


def test_a_task_that_does_not_wait_is_not_opened(served: Shell) -> None:
    refused = served.run("edit", served.work("true"))
    assert refused.returncode == 5
    assert b"it is succeeded" in refused.stderr


def test_a_part_of_a_log_is_read(served: Shell) -> None:
    task_id = served.work("seq 5")
    assert served.text("log", task_id) == "── run 1 · command\n1\n2\n3\n4\n5\n✓ exit code 0\n"
    assert served.text("log", task_id, "-n", "2") == "── run 1 · command\n5\n✓ exit code 0\n"
    log = Path(shown(served, task_id)["runs"][0]["log_path"]).read_bytes()
    assert served.run("log", task_id, "--json").stdout == log
    assert served.run("log", task_id, "--json", "--after-line", "3").stdout == b"".join(
        log.splitlines(keepends=True)[3:]
    )
    assert served.run("log", task_id, "--setup").returncode == 5


def test_a_list_prepares_its_worktrees(served: Shell) -> None:
    created = ["lists", "create", "Mine", "--dir", ".", "--setup", "echo prepared", "--base-branch", "main"]
    list_id = served.text(*created, "--", "true").strip()
    task_id = served.text("enqueue", "Do it", "--list", list_id).strip()
    assert served.run("watch", task_id).returncode == 0
    assert served.text("log", task_id, "--setup") == "prepared\n"
    updated = served.text("lists", "update", list_id, "--clean-up-landed-after", "1d", "--unset", "setup")
    assert re.search(r"base_branch +main\n.*landed_after +1d 00h\n", updated, re.DOTALL)
    assert "prepared" not in updated


def test_events_are_shown_and_followed(served: Shell) -> None:
    task_id = served.work("true")
    lines = served.text("events", "--no-follow").splitlines()
    assert [line.split()[2] for line in lines if "worktree" not in line][:2] == ["task_queued", "task_started"]
    assert lines[-1].split()[2:4] == ["task_finished", task_id]
    assert lines[-1].endswith("succeeded")
    last = json.loads(served.text("events", "--no-follow", "--json", "--kind", "task_finished"))
    watch = served.start("events", "--after", last["sequence"], "--kind", "task_deleted", "--json")
    served.text("rm", task_id, "--discard-worktree", "--yes")
    deleted = json.loads(await_line(watch.stdout, b"KIND_TASK_DELETED"))
    watch.send_signal(signal.SIGINT)
    ended = finish(watch)
    assert ended.returncode == 130
    again = f"To go on: taskgrove events --after {deleted['sequence']} --kind task_deleted --json\n"
    assert again in ended.stderr.decode()


def test_ls_finds_tasks(served: Shell) -> None:
    failed, fine = served.work("exit 1"), served.work("true")

    def found(*filters: str) -> list[str]:
        return [json.loads(line)["id"] for line in served.text("ls", "--json", *filters).splitlines()]

    assert found("--sort", "oldest") == [failed, fine]
    assert found("--failure", "agent", "--failure", "crashed") == [failed]
    assert found("--title", "DO", "--since", "1h") == [fine, failed]
    assert found("--since", "2999-01-01") == []


def test_the_doctor_looks_at_what_is_there(served: Shell, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in served.run("doctor", "--json").stdout.splitlines()]
    by_check = {line["check"]: line["status"] for line in lines}
    for check in ("python", "grpcio", "git", "server", "socket directory", "repository"):
        assert by_check[check] == "ok", lines
    served.place.data.chmod(0o755)
    ended = served.run("doctor")
    assert ended.returncode == 1
    assert f"problem  Others can enter {served.place.data} (mode 0755). Run: chmod 700" in ended.stdout.decode()


def test_ids_are_completed_and_nothing_is_said_where_no_server_is(served: Shell) -> None:
    task_id = served.work("true")

    def completed(*typed: str) -> str:
        shell = Shell(
            served.place,
            Path.cwd(),
            _TASKGROVE_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(["taskgrove", *typed]),
            COMP_CWORD=str(len(typed)),
        )
        ended = shell.run()
        assert not ended.stderr
        return ended.stdout.decode().strip()

    assert completed("show", task_id[:3]) == f"plain,{task_id}"
    assert completed("cancel", task_id[:3]) == ""
    assert completed("ls", "--state", "suc") == "plain,succeeded"
    served.place.terminate()
    assert completed("show", task_id[:3]) == ""


def test_the_script_of_bash_is_one(served: Shell) -> None:
    script = served.text("completion", "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
