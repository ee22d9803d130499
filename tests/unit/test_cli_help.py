"""What the program tells of itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click import shell_completion

from support.cli_stand_in import ID, StandIn, invoke
from taskgrove import errors
from taskgrove.cli import completing, exits, manual, paging, program
from taskgrove.v1 import task_list_pb2


def _walk(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _walk(one, f"{path} {name}".strip())


EVERY = dict(_walk(program.taskgrove))
COMMANDS = {path: command for path, command in EVERY.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(command: str) -> None:
    for flag in ("-h", "--help"):
        result = invoke(*command.split(), flag)
        assert result.exit_code == 0
        assert f"\n    taskgrove {command} " in result.stdout or f"\n    taskgrove {command}\n" in result.stdout


def test_the_help_documents_the_exit_codes() -> None:
    shown = invoke("--help").stdout
    for code in exits.MEANINGS:
        assert f"\n    {code} " in shown


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_cli_extra_one_sentence_says_what_to_install(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from taskgrove import cli; cli.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == exits.REFUSED
    assert ended.stderr == (
        f"taskgrove: the command line needs the package {package!r}: install Taskgrove with its extra 'cli'.\n"
    )


@pytest.mark.parametrize("path", EVERY)
def test_every_command_has_a_manual_page(path: str) -> None:
    shown = invoke("help", *path.split()).stdout
    headings = re.findall(r"^[A-Z].*$", shown, re.MULTILINE)
    known = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"]
    assert [heading for heading in headings if heading in known] == known
    assert f"NAME\n    {f'taskgrove {path}'.strip()} - " in shown
    assert manual.examples(EVERY[path])
    assert max(map(len, shown.splitlines())) <= 120
    assert "\x1b" not in shown


def test_a_page_is_bold_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "on_terminal", lambda: True)
    monkeypatch.setenv("TASKGROVE_PAGER", "cat")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1mNAME\x1b[m\n" in invoke("help", "diff").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in invoke("help", "diff").stdout


def test_the_manual_of_what_is_no_command_is_wrong_usage() -> None:
    for words in (["land", "sea"], ["sea"]):
        result = invoke("help", *words)
        assert result.exit_code == exits.USAGE
        assert "There is no command" in result.stderr


def test_commands_stand_below_headings_in_the_order_of_a_newcomer() -> None:
    shown = invoke("--help").stdout
    places = [shown.index(f"\n{heading}:\n") for heading in program.taskgrove.sections]
    assert places == sorted(places)
    listed = [name for names in program.taskgrove.sections.values() for name in names]
    assert listed == list(program.taskgrove.commands)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_of_each_shell_asks_this_program(shell: str) -> None:
    assert f"_TASKGROVE_COMPLETE={shell}_complete" in invoke("completion", shell).stdout


def _completed(*typed: str) -> list[tuple[str, str | None]]:
    *before, last = typed
    found = shell_completion.ShellComplete(program.taskgrove, {}, "taskgrove", "_X").get_completions(before, last)
    return [(item.value, item.help) for item in found]


def test_ids_are_completed_from_the_server(stand_in: StandIn) -> None:
    stand_in.task.title = "Fix \x1b[2Jit\nnow"
    stand_in.task_lists = [task_list_pb2.TaskList(id="listlistlist", title="Mine")]
    assert _completed("--target", "localhost:1", "discard", ID[:3])[0] == (ID, "queued: Fix it now")
    assert stand_in.asked("list_tasks")[-1][0]["states"] == completing.RESTING
    assert _completed("--target", "localhost:1", "lists", "show", "") == [("listlistlist", "Mine")]
    assert _completed("--target", "localhost:1", "ls", "--list", "x") == []
    stand_in.failure = errors.ServerUnavailable("No.")
    assert _completed("--target", "localhost:1", "show", "") == []


def test_what_cannot_be_connected_to_completes_nothing() -> None:
    assert _completed("--target", "example.org:1", "--token", "secret", "show", "") == []


def test_words_of_options_are_completed() -> None:
    assert [value for value, _ in _completed("ls", "--failure", "rate")] == ["rate_limited"]
    assert [value for value, _ in _completed("events", "--kind", "task_q")] == ["task_queued"]
