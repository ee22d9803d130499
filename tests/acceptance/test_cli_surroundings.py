"""Every command in surroundings that are not as they should be: a sentence and the right exit code, never a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from support import repositories
from support.cli_shell import PROGRAM, Shell
from support.server import RunningServer
from taskgrove.cli import exits, program

# Some thirty programs each, on a machine that may do other things.
pytestmark = pytest.mark.timeout(300)

#: What each command is asked; TASK is a task that rests, and LIST its list.
ASKED: Mapping[str, tuple[str, ...]] = {
    "run": ("Say it", "--", "echo", "said"),
    "enqueue": ("Do it", "--", "true"),
    "watch": ("TASK",),
    "continue": ("TASK", "More", "--detach"),
    "retry": ("aaaaaaaaaaaa",),
    "cancel": ("TASK",),
    "ls": (),
    "show": ("TASK",),
    "log": ("TASK",),
    "events": ("--no-follow", "--kind", "task_finished"),
    "diff": ("TASK", "--stat"),
    "land": ("TASK", "--check"),
    "push": ("TASK",),
    "discard": ("TASK", "--dry-run"),
    "edit": ("TASK", "--title", "New"),
    "tick": ("TASK", "1"),
    "prune": ("--dry-run",),
    "rm": ("aaaaaaaaaaaa", "--yes"),
    "holds": (),
    "lift": ("agent:claude",),
    "doctor": (),
    "completion": ("bash",),
    "help": ("land",),
    "lists ls": (),
    "lists show": ("LIST",),
    "lists create": ("Another", "--dir", "REPOSITORY", "--json"),
    "lists update": ("LIST", "--title", "Ünïcode ✓"),
    "lists delete": ("aaaaaaaaaaaa",),
}


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        here = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, here)
        else:
            yield here


def test_every_command_is_asked() -> None:
    assert set(ASKED) == set(commands(program.taskgrove))


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: bytes
    stderr: bytes


@dataclass
class World:
    """A server with a task that rests, and what the commands answer where all is well."""

    shell: Shell
    task_id: str
    task_list_id: str
    repository: Path
    well: dict[str, Ended] = field(default_factory=dict)

    def run(
        self,
        arguments: tuple[str, ...],
        redirection: str = "",
        gone: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Runs a command with its streams redirected by a shell, or in a directory that is removed before."""
        process = subprocess.run(
            ["sh", "-c", f'{"rmdir ../gone;" if gone else ""} exec "$@" {redirection}', "sh", PROGRAM, *arguments],
            cwd=gone or self.repository,
            env={
                name: value for name, value in {**self.shell.environment, **(environment or {})}.items() if value != "-"
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=100,
            check=False,
        )
        ended = Ended(process.returncode, process.stdout, process.stderr)
        for trace in (b"Traceback", b"Exception ignored", b"Error:"):
            assert trace not in ended.stderr, (arguments, ended)
        assert ended.code in exits.MEANINGS, (arguments, ended)
        return ended

    def ask(
        self,
        command: str,
        redirection: str = "",
        gone: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Runs a command with the arguments of `ASKED`."""
        names = {"TASK": self.task_id, "LIST": self.task_list_id, "REPOSITORY": str(self.repository)}
        arguments = (*command.split(), *(names.get(word, word) for word in ASKED[command]))
        ended = self.run(arguments, redirection, gone, environment)
        if command == "continue":
            self.shell.run("watch", self.task_id)
        return ended


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    repository = repositories.make_repository(tmp_path_factory.mktemp("around") / "project")
    with RunningServer() as server:
        shell = Shell(server, repository)
        task_id = shell.work("echo 'Ünïcode ✓'; echo more > more.txt")
        task_list_id = shell.text("lists", "ls", "--json").split('"id": "')[1][:12]
        world = World(shell, task_id, task_list_id, repository)
        for command in ASKED:
            world.well[command] = world.ask(command)
        yield world


def test_all_is_well_first(world: World) -> None:
    answered = {command for command, ended in world.well.items() if ended.code == 0}
    refused = {command for command, ended in world.well.items() if ended.code == exits.REFUSED}
    assert refused == {"retry", "push", "edit", "tick", "rm", "lift", "lists delete"}
    assert answered | refused | {"doctor"} == set(ASKED)


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written_is_told(world: World, redirection: str) -> None:
    for command, well in world.well.items():
        ended = world.ask(command, redirection)
        if well.stdout:
            assert ended.code == exits.UNWRITTEN, (command, ended)
            assert ended.stderr.decode().splitlines()[-1].startswith("taskgrove: Cannot write to standard output: ")
        else:
            assert ended.code == well.code, (command, ended)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&- <&-"])
def test_nobody_who_hears_of_errors_changes_nothing(world: World, redirection: str) -> None:
    for command, well in world.well.items():
        ended = world.ask(command, redirection)
        assert ended.code == well.code, (command, ended)
        assert bool(ended.stdout) == bool(well.stdout), (command, ended)


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_that_cannot_be_written_is_told(world: World, flag: str) -> None:
    for command in ("", "ls"):
        arguments = (*command.split(), flag) if flag == "--help" else (flag,)
        assert world.run(arguments, ">/dev/full").code == exits.UNWRITTEN
        assert world.run(arguments, "| exec true").code == 0


def test_a_reader_that_has_left_is_no_error(world: World) -> None:
    script = '{ sleep 0.5; "$@"; echo $? >&2; } | true'
    for command in ("ls", "--help", "completion bash", "lists ls", "help"):
        ended = subprocess.run(
            ["sh", "-c", script, "sh", PROGRAM, *command.split()],
            env=world.shell.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.stderr == b"141\n", command


#: Surroundings that are poor, several things at once; no command may fail for them.
POOR: Mapping[str, Mapping[str, str]] = {
    "C": {"LANG": "C", "LC_ALL": "C", "COLUMNS": "20", "TERM": "dumb", "HOME": "/proc/1/nowhere"},
    "ASCII": {
        "LC_ALL": "POSIX",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "COLUMNS": "1",
        "HOME": "-",
        "TERM": "-",
    },
}


@pytest.mark.parametrize("poor", POOR)
def test_poor_surroundings_change_nothing(world: World, poor: str) -> None:
    for command, well in world.well.items():
        ended = world.ask(command, environment=POOR[poor])
        if poor == "ASCII" and command == "lists update":
            # There, Python takes the title for bytes of an unknown kind.
            assert (ended.code, b"is not UTF-8" in ended.stderr) == (exits.USAGE, True)
            continue
        assert ended.code == well.code, (command, ended)
        assert bool(ended.stdout) == bool(well.stdout), (command, ended)


@pytest.mark.parametrize("command", ["ls", "show", "log", "lists ls", "help", "doctor"])
def test_a_narrow_terminal_is_written_to(world: World, command: str) -> None:
    arguments = [*command.split(), *(word.replace("TASK", world.task_id) for word in ASKED[command])]
    for environment in ({"COLUMNS": "20", "TERM": "xterm"}, {"TERM": "dumb"}, {"COLUMNS": "2", "TERM": "xterm"}):
        shell = Shell(world.shell.place, world.repository, PAGER="cat", **environment)
        assert shell.at_terminal(*arguments)


def test_a_directory_that_is_gone_matters_only_where_it_is_asked_for(world: World, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for command, well in world.well.items():
        gone.mkdir()
        ended = world.ask(command, gone=gone)
        if command in {"run", "enqueue"}:
            assert ended.code == exits.REFUSED, (command, ended)
            assert b"directory" in ended.stderr
        elif command != "doctor":
            assert ended.code == well.code, (command, ended)


def test_a_user_without_a_home_is_told_what_to_set() -> None:
    # Whose number the system does not know, as in a container.
    script = "import os, pwd; pwd.getpwuid = {}.__getitem__; import taskgrove_command; taskgrove_command.main()"
    for arguments in (["ls"], ["run", "Do it"], ["doctor"]):
        ended = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (
            ended.stderr.splitlines()[-1] == b"taskgrove: There is no home directory: set HOME, or TASKGROVE_DATA_DIR."
        )
        assert ended.returncode == exits.REFUSED
