from __future__ import annotations

import os
import shutil
import subprocess
import threading
import uuid
from pathlib import Path

import pytest

from support import tasks_gates, tasks_slow
from taskgrove.cli import asking, exits, projects
from taskgrove.cli.doctor import findings, places, programs


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.3)


@pytest.fixture
def mark() -> str:
    """Digits that no other test has, for a number of seconds."""
    return str(uuid.uuid4().int)[:12]


def at_work(mark: str) -> str:
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout


def test_an_answer_has_what_was_printed_and_said_and_the_status(tmp_path: Path) -> None:
    program = tasks_slow.program(tmp_path / "program", 'echo "$1" "$WORD"; echo said >&2; exit 3')
    answer = asking.ask([program, "x"], {"WORD": "y"})
    assert answer == asking.Answer(3, "x y\n", "said\n")
    with pytest.raises(FileNotFoundError):
        asking.ask([tmp_path / "none"])


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(
    "script",
    ["sleep {mark}", "yes {mark}", "yes {mark} >&2", "trap '' TERM INT\nwhile true; do sleep {mark}; done"],
)
def test_a_program_that_does_not_end_is_ended(tmp_path: Path, mark: str, script: str) -> None:
    program = tasks_slow.program(tmp_path / "program", script.format(mark=mark))
    assert asking.ask([program]) is None
    assert programs.said_by(str(program)) is None
    tasks_gates.until(lambda: not at_work(mark), "the end of all")


def test_a_child_that_stays_holds_up_nobody(tmp_path: Path) -> None:
    program = tasks_slow.program(tmp_path / "program", "sleep 2 &\necho 1.0")
    assert programs.said_by(str(program)) == "1.0"


@pytest.mark.usefixtures("brief")
def test_a_git_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    real = shutil.which("git")
    git = tasks_slow.program(tmp_path / "bin/git", f"exec sleep {mark}")
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    with pytest.raises(exits.Refused, match="does not answer"):
        projects.repository_of(tmp_path)
    found = places.repository(tmp_path)
    assert (found.status, f"git does not answer in {tmp_path}" in found.text) == ("problem", True)
    assert programs.git().status == "problem"
    # Later, too.
    tasks_slow.program(git, f'case "$*" in *show-toplevel) exec {real} "$@";; esac; exec sleep {mark}')
    subprocess.run([str(real), "init", "-q", tmp_path / "repository"], check=True)
    found = places.repository(tmp_path / "repository")
    assert (found.status, "git does not answer" in found.text) == ("problem", True)
    tasks_gates.until(lambda: not at_work(mark), "the end of all")


def test_a_look_at_a_file_system_that_hangs_is_a_problem() -> None:
    mounted = threading.Event()
    found = findings.in_time("disk", lambda: findings.ok("disk", str(mounted.wait())), 0.1)
    assert found is not None
    assert (found.check, found.status) == ("disk", "problem")
    mounted.set()
    assert findings.in_time("disk", lambda: findings.ok("disk", "There")) == findings.ok("disk", "There")
    assert findings.in_time("token", lambda: None) is None
