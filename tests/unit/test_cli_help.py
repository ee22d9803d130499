"""What the program tells of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.cli_stand_in import invoke
from taskgrove.cli import exits


@pytest.mark.parametrize(
    "command",
    ["run", "enqueue", "watch", "continue", "cancel", "ls", "show"]
    + [f"lists {name}" for name in ("create", "ls", "show", "update", "delete")],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    for flag in ("-h", "--help"):
        result = invoke(*command.split(), flag)
        assert result.exit_code == 0
        assert f"\n    taskgrove {command} " in result.stdout or f"\n    taskgrove {command}\n" in result.stdout


def test_the_help_documents_the_exit_codes() -> None:
    shown = invoke("--help").stdout
    for code in (exits.SUCCEEDED, exits.FAILED, exits.USAGE, exits.CANCELLED, exits.REFUSED, exits.INTERRUPTED):
        assert f"\n    {code} " in shown


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_cli_extra_one_sentence_says_what_to_install(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from taskgrove import cli; cli.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"taskgrove: the command line needs the package {package!r}: pip install 'taskgrove[cli]'\n"
    )
