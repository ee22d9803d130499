"""Texts that look like something else: they begin with a dash, or are no UTF-8."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support import repositories
from support.cli_shell import PROGRAM, Shell, shown
from taskgrove.cli import exits

LATIN = b"caf\xe9"


def said(shell: Shell, *arguments: str | bytes, stdin: bytes | None = None) -> tuple[int, str]:
    """Returns the exit code of a command that must be refused, and the one line that it says."""
    ended = subprocess.run(
        [PROGRAM, *arguments],
        cwd=shell.directory,
        env=shell.environment,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not ended.stdout
    assert b"Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.decode().splitlines()[-1]


def test_a_text_may_begin_with_a_dash(served: Shell) -> None:
    task_id = served.text("enqueue", "--", "-x is unused").strip()
    assert shown(served, task_id)["task"]["title"] == "-x is unused"
    served.text("edit", task_id, "--title", "-y", "--description=--", "--subtask", "-z")
    task = shown(served, task_id)["task"]
    assert (task["title"], task["description"], task["subtasks"][0]["title"]) == ("-y", "--", "-z")
    task_list_id = served.text("lists", "create", "--dir", ".", "--", "-mine").strip()
    done = served.text("enqueue", "--list", task_list_id, "--", "--x", "--", "echo", "--", "-e").strip()
    assert served.run("watch", done).returncode == 0
    task = shown(served, done)["task"]
    assert task["title"] == "--x"
    assert task["overrides"]["command"]["argv"]["values"] == ["echo", "--", "-e"]
    assert served.run("continue", done, "--", "-more").returncode == 0
    assert "-mine" in served.text("ls", "--title", "-")


def test_a_text_with_a_dash_that_was_taken_for_an_option_comes_with_what_to_do(served: Shell) -> None:
    for arguments in (
        ("enqueue", "-x is unused"),
        ("continue", "aaaaaaaaaaaa", "-x"),
        ("lists", "create", "--no-such"),
    ):
        code, line = said(served, *arguments)
        assert code == exits.USAGE
        assert "A text that begins with a dash stands after two of them" in line
    code, line = said(served, "enqueue", "--", "-x", "make", "test")
    assert (code, "A program follows a -- of its own" in line) == (exits.USAGE, True)
    code, line = said(served, "enqueue", "Title", "--", "-x")
    assert (code, "unexpected extra argument" in line) == (exits.USAGE, True)


#: A text of each kind; the server is not asked.
NO_TEXTS = (
    (b"enqueue", LATIN),
    (b"run", LATIN, b"--", b"true"),
    (b"run", b"Do it", b"--", b"echo", LATIN),
    (b"enqueue", b"Do it", b"--description", LATIN),
    (b"enqueue", b"Do it", b"--subtask", LATIN),
    (b"enqueue", b"Do it", b"--model", LATIN),
    (b"continue", b"aaaaaaaaaaaa", LATIN),
    (b"show", LATIN),
    (b"watch", LATIN),
    (b"cancel", LATIN),
    (b"rm", b"--yes", LATIN),
    (b"diff", b"aaaaaaaaaaaa", LATIN),
    (b"ls", b"--title", LATIN),
    (b"ls", b"--list", LATIN),
    (b"lists", b"create", LATIN),
    (b"lift", LATIN),
    (b"land", b"aaaaaaaaaaaa", b"--onto", LATIN),
)


def test_what_is_no_utf8_is_named(served: Shell) -> None:
    for arguments in NO_TEXTS:
        code, line = said(served, *arguments)
        assert (code, line) == (exits.USAGE, "taskgrove: 'caf\ufffd' is not UTF-8, which every text has to be.")
    assert not served.run("ls", "--json").stdout


def test_an_address_or_a_name_of_no_command_that_is_no_utf8_is_refused(served: Shell) -> None:
    code, line = said(served, b"--target", LATIN, b"ls")
    assert (code, line) == (exits.UNREACHABLE, "taskgrove: caf\ufffd is no address: it is not UTF-8.")
    code, line = said(served, LATIN)
    assert code == exits.USAGE


def test_a_repository_whose_path_is_no_utf8_is_named(served: Shell, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/" + LATIN
    repositories.make_repository(Path(os.fsdecode(path)))
    code, line = said(served, b"enqueue", b"Do it", b"--dir", path)
    assert code == exits.USAGE
    assert line.endswith("caf\ufffd' is not UTF-8, which every text has to be.")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_standard_input_that_is_no_utf8_is_named(served: Shell, locale: str) -> None:
    shell = Shell(served.place, served.directory, LANG=locale)
    for arguments in (("enqueue", "Do it", "--description", "-"), ("continue", "aaaaaaaaaaaa", "-")):
        code, line = said(shell, *arguments, stdin=LATIN)
        assert code == exits.USAGE
        assert "Cannot read standard input: " in line


def test_standard_input_that_is_closed_is_named(served: Shell) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", PROGRAM, "enqueue", "Do it", "--description", "-"]
    ended = subprocess.run(command, cwd=served.directory, env=served.environment, capture_output=True, check=False)
    assert ended.returncode == exits.USAGE
    assert b"Cannot read standard input: " in ended.stderr
