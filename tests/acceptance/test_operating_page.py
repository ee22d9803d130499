"""docs/operating.md: its commands are followed word by word, in a home where nothing is but a repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import backups, repositories, tasks_gates, tasks_work
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"

#: What `systemctl --user` does with the page's unit where no systemd runs: starts the program in the unit's
#: environment, and ends that one process.
SYSTEMCTL = r"""
set -eu
unit=$HOME/.config/systemd/user/taskgroved.service
settings() { sed -n "s/^$1=//p" "$unit" "$unit".d/*.conf 2>/dev/null | sed "s#%h#$HOME#g"; }
stop() {
    test -e "$HOME/main" || return 0
    kill "$(cat "$HOME/main")"
    while kill -0 "$(cat "$HOME/main")" 2>/dev/null; do sleep 0.05; done
    rm "$HOME/main"
}
start() {
    env $(settings Environment) HOME="$HOME" $(settings ExecStart) > "$HOME/log" 2>&1 & echo $! > "$HOME/main"
}
case "$2" in stop) stop ;; start) start ;; restart) stop; start ;; esac
"""


def blocks(section: str, language: str = "sh") -> list[str]:
    """Returns the blocks of a section of the page."""
    text = PAGE.read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Home:
    """A home, as somebody has it who has installed Taskgrove and written the page's unit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / ".local" / "share" / "taskgrove"
        self._programs = path / ".local" / "bin"
        self._programs.mkdir(parents=True)
        for name in ("taskgroved", "taskgrove"):
            (self._programs / name).symlink_to(Path(sys.executable).parent / name)
        (self._programs / "systemctl").write_text(f"#!/bin/sh\n{SYSTEMCTL}")
        (self._programs / "systemctl").chmod(0o755)
        units = path / ".config" / "systemd" / "user"
        units.mkdir(parents=True)
        (units / "taskgroved.service").write_text(blocks("A systemd user unit", "ini")[0])

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self._programs}:{os.environ['PATH']}", "HOME": str(self.path), "LANG": "C.UTF-8"}

    def follow(self, block: str) -> str:
        """Does what a block says."""
        ended = subprocess.run(
            ["sh", "-eu", "-c", block],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.returncode == 0, (block, ended.stdout)
        return ended.stdout

    def client(self, data: Path | None = None) -> taskgrove.Client:
        """Returns a client of the server, once it serves."""
        client = taskgrove.Client(f"unix:{data or self.data}/taskgroved.sock")
        tasks_gates.until(lambda: _serves(client), "the server")
        return client


def _serves(client: taskgrove.Client) -> bool:
    try:
        client.get_server_info()
    except taskgrove.ServerUnavailable:
        return False
    return True


@pytest.fixture
def home() -> Iterator[Home]:
    # A short path, for the sake of the socket.
    path = Path(tempfile.mkdtemp(prefix="tg-"))
    made = Home(path)
    yield made
    made.follow("systemctl --user stop taskgroved")
    for lock in path.glob("**/runs/*/lock"):
        subprocess.run(["kill", "-9", lock.read_text().split()[0]], check=False, capture_output=True)
    shutil.rmtree(path)


@pytest.fixture
def client(home: Home) -> Iterator[taskgrove.Client]:
    for block in blocks("A systemd user unit"):
        home.follow(block)
    with home.client() as connected:
        yield connected


def test_the_unit_is_one_that_systemd_takes(home: Home, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    units = home.path / ".config" / "systemd" / "user"
    service, timer = blocks("Back up", "ini")
    (units / "taskgroved-backup.service").write_text(service)
    (units / "taskgroved-backup.timer").write_text(timer)
    environment = {**home.environment, "XDG_RUNTIME_DIR": str(tmp_path)}
    for name in ("taskgroved.service", "taskgroved-backup.timer"):
        command = ["systemd-analyze", "verify", "--user", str(units / name)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_backup_and_restore(home: Home, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "seq 3; echo work > work")
    lines = backups.lines(client, task.id)
    (back_up,) = blocks("Back up")
    assert "Saved 1 task with 1 run" in home.follow(back_up)
    later = tasks_work.run(client, "echo later")
    restore, beside = blocks("Restore")
    home.follow(restore)
    assert (home.path / "taskgrove-damaged" / "taskgrove.db").is_file()
    with home.client() as restored:
        assert backups.lines(restored, task.id) == lines
        with pytest.raises(taskgrove.TaskNotFound):
            restored.get_task(later.id)
        restored.continue_task(task.id, "Go on")
        assert tasks_work.rest(restored, task.id).state == Task.STATE_SUCCEEDED
    home.follow(beside)
    assert (home.path / "taskgrove-look" / "sandboxes" / task.id / "work").read_text() == "work\n"
    # With the whole directory gone, and not only damaged.
    home.follow("systemctl --user stop taskgroved; rm -r ~/.local/share/taskgrove")
    home.follow(restore)
    with home.client() as restored:
        assert backups.lines(restored, task.id) == lines


def test_move(home: Home, client: taskgrove.Client, tmp_path: Path) -> None:
    repository = repositories.make_repository(tmp_path / "repository", files={"README.md": "hello\n"})
    with Gate(tmp_path / "gate") as gate:
        rested = tasks_work.run(client, "echo work > work", repository)
        lines = backups.lines(client, rested.id)
        task_list = tasks_work.make_list(client, f"{gate.pass_through}; echo work > work", repository)
        at_work = client.enqueue(task_list.id, "Goes on").id
        gate.wait_for_arrivals()
        (move,) = blocks("Move it")
        home.follow(move)
        assert not home.data.exists()
        with home.client(home.path / "taskgrove-data") as moved:
            assert backups.lines(moved, rested.id) == lines
            gate.open()
            task = tasks_work.rest(moved, at_work)
            assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)
            moved.continue_task(rested.id, "Go on")
            assert tasks_work.rest(moved, rested.id).state == Task.STATE_SUCCEEDED


def test_upgrade_and_downgrade_with_a_run_going_on(home: Home, client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        before = tasks_work.run(client, "seq 3")
        task_list = tasks_work.make_list(client, f"echo begun; {gate.pass_through}")
        at_work = client.enqueue(task_list.id, "Goes on").id
        gate.wait_for_arrivals()
        back_up, restart = blocks("Upgrade")
        assert "Saved 2 tasks" in home.follow(back_up)
        home.follow(restart)
        with home.client() as upgraded:
            gate.open()
            task = tasks_work.rest(upgraded, at_work)
            assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)
        (downgrade,) = blocks("Downgrade")
        home.follow(downgrade)
        with home.client() as downgraded:
            assert len(backups.lines(downgraded, before.id)) == 4
            assert downgraded.get_task(at_work).state == Task.STATE_FAILED


def test_what_else_it_tells_one_to_run(home: Home, client: taskgrove.Client) -> None:
    (sizes,) = blocks("Keep it small")
    assert "taskgrove.db" in home.follow(sizes)
    for line in ("taskgrove ls --limit 1", "taskgrove holds", "taskgrove ls --state failed --since 1d"):
        assert line.split(" --")[0] in PAGE.read_text()
        home.follow(line)
