"""Programs that are asked for their versions, whatever they do then."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import tasks_gates, tasks_slow
from taskgrove_server.agents import versions
from taskgrove_server.agents.agent import Installation
from taskgrove_server.agents.versions import Program
from taskgrove_server.guarding import Troubles
from taskgrove_server.processes import sweeping

#: Seconds that a program has here that is to be given up.
BRIEF = 0.3

Make = Callable[..., Program]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A file with a line for each time that the program was started."""
    path = tmp_path / "asked"
    path.touch()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bin" / "program"


@pytest.fixture
def make(path: Path, asked: Path) -> Iterator[Make]:
    """Returns what makes a program of a script, and begins to look at it."""
    made: list[Program] = []

    def begin(script: str, patience: float = tasks_gates.PATIENCE) -> Program:
        write(path, asked, script)
        program = Program("test", lambda: find(path), sweeping.sweep_marked, Troubles(), patience)
        made.append(program)
        program.start()
        return program

    yield begin
    for program in made:
        program.close()


def write(path: Path, asked: Path, script: str) -> None:
    # Another file in its place, as an update does it.
    fresh = tasks_slow.program(path.with_name("fresh"), f"echo asked >> {asked}\n{script}")
    fresh.rename(path)


def find(path: Path) -> Installation:
    if not path.exists():
        return Installation(problem="It is not there.")
    return Installation(path=str(path), version_argv=(str(path), "--version"), environment={"PATH": os.environ["PATH"]})


def looked(program: Program) -> str:
    """Returns the version as it is known after a look."""
    program.look().result(tasks_gates.PATIENCE)
    assert program.known is not None
    return program.known.version


def digits() -> str:
    """Returns digits that no other test has, for a number of seconds."""
    return str(uuid.uuid4().int)[:12]


def times(asked: Path) -> int:
    return len(asked.read_text().splitlines())


def started(mark: str) -> list[int]:
    """Returns the processes whose command line has a word."""
    found = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout.split()
    return [int(pid) for pid in found]


def test_a_program_tells_its_version_once_while_it_stays_the_same(make: Make, asked: Path) -> None:
    program = make("echo 'Program 1.2.3-beta (Test)'")
    assert [looked(program) for _ in range(3)] == ["1.2.3-beta"] * 3
    assert times(asked) == 1


def test_a_program_that_has_changed_is_asked_again(make: Make, path: Path, asked: Path) -> None:
    program = make("echo 1.0")
    assert looked(program) == "1.0"
    write(path, asked, "echo 2.0")
    assert looked(program) == "2.0"
    path.unlink()
    assert looked(program) == ""
    assert program.known is not None
    assert program.known.installation.problem == "It is not there."
    write(path, asked, "echo 3.0")
    assert looked(program) == "3.0"


HANGING = {
    "sleeps": "exec sleep 4711{mark}",
    "ignores": "trap '' TERM INT HUP\nwhile true; do sleep 0.05; : 4711{mark}; done",
    "prints without end": "exec yes 4711{mark}",
    "waits for a child": "sleep 4711{mark}",
    "has a child in a session of its own that ignores signals": (
        "setsid sh -c \"trap '' TERM INT HUP; while true; do sleep 0.05; : 4711{mark}; done\" &\nexec sleep 4711{mark}"
    ),
}


@pytest.mark.parametrize("kind", HANGING)
def test_a_program_that_hangs_is_ended_with_all_that_it_started_and_not_asked_again(
    make: Make, asked: Path, kind: str
) -> None:
    mark = digits()
    program = make(HANGING[kind].format(mark=mark), BRIEF)
    assert looked(program) == ""
    assert started(f"4711{mark}") == []
    assert looked(program) == ""
    assert times(asked) == 1
    assert program.known is not None
    assert program.known.installation.path is not None


@pytest.mark.parametrize(
    "child",
    ["sleep 4711{mark} &", "setsid sleep 4711{mark} &", "yes 4711{mark} &", "setsid yes 4711{mark} 2>&1 &"],
)
def test_a_child_that_keeps_the_pipe_open_holds_up_nobody_and_is_ended(make: Make, child: str) -> None:
    mark = digits()
    program = make(f"echo 1.2.3\n{child.format(mark=mark)}")
    assert looked(program) == "1.2.3"
    assert started(f"4711{mark}") == []


def test_a_program_that_hangs_is_asked_again_once_it_has_changed(make: Make, path: Path, asked: Path) -> None:
    program = make("exec sleep 4711", BRIEF)
    assert looked(program) == ""
    write(path, asked, "echo 5.0")
    assert looked(program) == "5.0"


def test_a_program_that_told_nothing_is_asked_again_after_a_pause(
    make: Make, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make("exit 1")
    looked(program)
    looked(program)
    assert times(asked) == 1
    monkeypatch.setattr(versions, "PAUSE", 0.0)
    other = make("exit 1")
    looked(other)
    looked(other)
    assert times(asked) >= 3


def test_what_is_known_can_be_had_while_a_program_hangs(make: Make, asked: Path, path: Path) -> None:
    program = make("exec sleep 4711")
    tasks_gates.until(lambda: times(asked) == 1, "the question")
    looking = program.look()
    assert program.known is not None
    assert (program.known.installation.path, program.known.version) == (str(path), "")
    assert not looking.done()


def test_closing_ends_a_program_that_hangs(make: Make, asked: Path) -> None:
    mark = digits()
    program = make(HANGING["has a child in a session of its own that ignores signals"].format(mark=mark))
    tasks_gates.until(lambda: len(started(f"4711{mark}")) >= 2, "the processes")
    program.close()
    assert started(f"4711{mark}") == []
    assert not any(thread.name == "version-test" for thread in threading.enumerate())


@pytest.mark.parametrize("content", [b"no program", b"#!/no/such/interpreter\n", b""])
def test_a_file_that_cannot_be_started_has_no_version(make: Make, path: Path, content: bytes) -> None:
    program = make("echo 1.0")
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.chmod(0o700)
    fresh.rename(path)
    assert looked(program) in ("", "1.0")
    assert looked(program) == ""


def test_git_tells_its_version() -> None:
    git = shutil.which("git")
    assert git
    program = Program(
        "git", lambda: Installation(path=git, version_argv=(git, "version"), environment=os.environ), print, Troubles()
    )
    program.start()
    assert looked(program).startswith("2.")
    program.close()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
