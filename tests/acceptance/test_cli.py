"""The command line as a person uses it: the real program, the real server, real agents."""

from __future__ import annotations

import fcntl
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import claude_cli, repositories
from support.cli_shell import PATIENCE, Shell, await_line, end_server, finish, shown, task_id_in
from support.model_api import ModelApi, Step
from support.server import RunningServer

#: Says so, and works until it is stopped.
ENDLESS = ("--", "sh", "-c", "echo begun; exec sleep 600")


@pytest.fixture
def shell(repository: Path) -> Iterator[Shell]:
    """A shell in a repository, where no server runs."""
    place = RunningServer()
    made = Shell(place, repository)
    try:
        yield made
    finally:
        end_server(made)
        place.__exit__()


def test_run_does_everything_where_nothing_was_set_up(shell: Shell, repository: Path) -> None:
    ended = shell.run("run", "Write it", "--", "sh", "-c", "echo hello; echo text > new.txt")
    output = ended.stdout.decode()
    assert ended.returncode == 0
    assert "── run 1 · command\nhello\n✓ exit code 0\n" in output
    assert "✔ succeeded" in output
    assert "\x1b" not in output
    branch = re.search(r"branch +(taskgrove/\S+)", output)
    assert branch
    assert repositories.git(repository, "show", f"{branch[1]}:new.txt") == "text"
    diff = re.search(r"diff +(git .*)", output)
    assert diff
    assert "+text" in subprocess.run(["sh", "-c", diff[1]], capture_output=True, text=True, check=True).stdout
    assert shell.server_pid() is None


def test_run_leaves_no_server_behind_a_task_that_failed(shell: Shell) -> None:
    ended = shell.run("run", "Fail", "--", "sh", "-c", "echo broken >&2; exit 3")
    assert ended.returncode == 1
    assert "✘ failed" in ended.stdout.decode()
    assert shell.server_pid() is None


def test_run_shows_the_work_of_the_real_claude(shell: Shell, tmp_path: Path) -> None:
    with ModelApi() as api:
        key = api.script(
            Step(tool="Bash", input={"command": "git status", "description": "Looks"}), Step(say="All **done**.")
        )
        settings = {
            "TASKGROVE_CLAUDE": claude_cli.executable(),
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": key,
            "IS_SANDBOX": "1",
        }
        ended = Shell(shell.place, tmp_path / "repository", **settings).run(
            "run", "Do it.", "--allow-tool", "Bash(git *)"
        )
    output = ended.stdout.decode()
    assert ended.returncode == 0, output
    assert "── run 1 · claude · claude-sonnet-4-6\n● Bash  git status\n    On branch taskgrove/" in output
    assert "\nAll **done**.\n✓ done after 2 turns" in output
    assert output.count("All **done**.") == 1
    assert re.search(r"  tokens +[\d,]+.* in, [\d,]+ out\n  cost +\$0\.", output)


def test_ctrl_c_cancels_the_task_and_waits_until_all_of_it_is_gone(shell: Shell) -> None:
    command = shell.start("run", "Wait", *ENDLESS)
    before = await_line(command.stdout, b"begun")
    assert shell.place.run_processes()
    command.send_signal(signal.SIGINT)
    ended = finish(command)
    assert ended.returncode == 3
    assert f"Task {task_id_in(before)} is being stopped." in ended.stderr.decode()
    assert "cancelled" in ended.stdout.decode()
    assert not shell.place.run_processes()
    assert shell.server_pid() is None


def test_a_second_ctrl_c_leaves_at_once_and_the_task_is_cancelled_all_the_same(shell: Shell) -> None:
    stubborn = "trap '' INT TERM HUP; echo begun; while :; do sleep 0.1; done"
    command = shell.start("run", "Wait", "--", "sh", "-c", stubborn)
    task_id = task_id_in(await_line(command.stdout, b"begun"))
    command.send_signal(signal.SIGINT)
    await_line(command.stderr, b"again to leave at once")
    command.send_signal(signal.SIGINT)
    assert finish(command).returncode == 130
    end_server(shell)
    with shell.place.start().client() as client:
        assert client.wait(task_id).state == client.get_task(task_id).STATE_CANCELLED
    assert not shell.place.run_processes()


def test_a_run_that_is_terminated_leaves_its_task_and_the_server_at_work(shell: Shell) -> None:
    command = shell.start("run", "Wait", *ENDLESS)
    task_id = task_id_in(await_line(command.stdout, b"begun"))
    command.terminate()
    ended = finish(command)
    assert ended.returncode == 128 + signal.SIGTERM
    pid = shell.server_pid()
    assert f"The server goes on with other work; stop it with: kill {pid}" in ended.stderr.decode()
    assert shown(shell, task_id)["task"]["state"] == "STATE_RUNNING"
    assert shell.run("cancel", task_id).returncode == 0
    assert shell.run("watch", task_id).returncode == 3


def test_runs_that_start_at_the_same_time_share_one_server(shell: Shell) -> None:
    commands = [shell.start("run", f"Number {number}", "--", "echo", f"said {number}") for number in range(3)]
    for number, ended in enumerate([finish(command) for command in commands]):
        assert ended.returncode == 0, ended.stderr
        assert f"\nsaid {number}\n" in ended.stdout.decode()


def test_json_is_the_log_byte_for_byte(served: Shell) -> None:
    ended = served.run("run", "Print", "--json", "--", "printf", r"a\nb\377\n\033[2Jc")
    assert ended.returncode == 0
    run = shown(served, task_id_in(ended.stderr))["runs"][0]
    log = Path(run["log_path"]).read_bytes()
    assert ended.stdout == log
    assert log.count(b"\n") == int(run["line_count"]) == 4


def test_an_agent_cannot_control_the_terminal(served: Shell) -> None:
    ended = served.run("run", "Print", "--", "printf", r"\033]0;title\007\033[2Jplain\n")
    assert b"\nplain\n" in ended.stdout
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", ended.stdout)


def test_a_watch_that_was_left_goes_on_where_it_stopped(served: Shell) -> None:
    script = "for number in 1 2 3; do echo $number; done; read -r _ < fifo; echo 4"
    task_id = served.run("enqueue", "Count", "--", "sh", "-c", f"mkfifo fifo; {script}").stdout.decode().strip()
    watch = served.start("watch", task_id, "--json")
    first = await_line(watch.stdout, b'"3"')
    watch.send_signal(signal.SIGINT)
    ended = finish(watch)
    assert ended.returncode == 130
    assert f"taskgrove watch {task_id} --after-line 3" in ended.stderr.decode()
    task = shown(served, task_id)["task"]
    assert task["state"] == "STATE_RUNNING"
    Path(task["directory"], "fifo").write_text("go\n", encoding="utf-8")
    rest = served.run("watch", task_id, "--json", "--after-line", "3")
    assert rest.returncode == 0
    assert first + rest.stdout == Path(shown(served, task_id)["runs"][0]["log_path"]).read_bytes()


def test_a_reader_that_goes_away_ends_the_command_quietly(served: Shell) -> None:
    task_id = served.run("enqueue", "Print a lot", "--", "seq", "200000").stdout.decode().strip()
    for flags in (["--json"], []):
        watch = served.start("watch", task_id, *flags)
        assert watch.stdout is not None
        assert watch.stdout.readline()
        watch.stdout.close()
        assert watch.wait(PATIENCE) == 141
        assert watch.stderr is not None
        said = watch.stderr.read().decode()
        watch.stderr.close()
        assert set(said.splitlines()) <= {f"Task {task_id}: {state}." for state in ("queued", "running", "succeeded")}


def test_continue_shows_the_new_run_only(served: Shell) -> None:
    first = served.run("run", "First prompt", "--", "cat")
    task_id = task_id_in(first.stdout)
    ended = served.run("continue", task_id, "Second prompt")
    output = ended.stdout.decode()
    assert ended.returncode == 0
    assert "── run 2 · command\nSecond prompt\n" in output
    assert "First prompt" not in output.partition("── run 2")[2]
    assert "run 1" not in output


def test_tasks_and_lists_are_looked_at_and_changed(served: Shell, repository: Path) -> None:
    list_id = (
        served.run("lists", "create", "Mine", "--dir", ".", "--timeout", "1h", "--", "echo", "x")
        .stdout.decode()
        .strip()
    )
    assert str(repository) in served.run("lists", "ls").stdout.decode()
    assert served.run("run", "By default", "--list", list_id).returncode == 0
    updated = json.loads(
        served.run("lists", "update", list_id, "--title", "Ours", "--unset", "timeout", "--json").stdout
    )
    assert updated["title"] == "Ours"
    assert updated["defaults"] == {"agent": "command", "command": {"argv": {"values": ["echo", "x"]}}}
    heading, line = served.run("ls", "--list", list_id, "--state", "succeeded").stdout.decode().splitlines()
    assert heading.startswith("ID")
    assert "By default" in line
    assert line.endswith("Ours")
    assert "echo" in served.run("lists", "show", list_id).stdout.decode()
    assert served.run("lists", "delete", list_id).returncode == 0
    assert list_id not in served.run("lists", "ls").stdout.decode()


def test_what_the_server_refuses_is_one_sentence(served: Shell) -> None:
    ended = served.run("show", "aaaaaaaaaaaa")
    assert ended.returncode == 5
    assert ended.stderr.decode() == "taskgrove: There is no task 'aaaaaaaaaaaa'.\n"
    assert served.run("enqueue", "Two\nlines").returncode == 5


def test_without_a_server_only_run_starts_one(shell: Shell) -> None:
    ended = shell.run("ls")
    assert ended.returncode == 4
    assert "Cannot reach the default server" in ended.stderr.decode()
    assert not shell.place.data.exists()


def test_a_server_is_not_stopped_under_a_command_that_has_just_found_it(shell: Shell) -> None:
    first = shell.start("run", "First", "--", "sh", "-c", "mkfifo fifo; echo begun; read -r _ < fifo")
    task_id = task_id_in(await_line(first.stdout, b"begun"))
    with (shell.place.data / "private-server.lock").open("rb") as lock:
        # What a second command does before it looks for a server.
        fcntl.flock(lock, fcntl.LOCK_SH)
        Path(shown(shell, task_id)["task"]["directory"], "fifo").write_text("go\n", encoding="utf-8")
        ended = finish(first)
        assert ended.returncode == 0
        assert "The server goes on with other work" in ended.stderr.decode()
        assert shell.server_pid() is not None
