"""The command line, `taskgrove`. It needs the packages of the `cli` extra."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and exits."""
    try:
        from taskgrove.cli import program  # noqa: PLC0415 - click and rich may be missing, which must read as a sentence
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"click", "rich"}:
            raise
        sys.exit(f"taskgrove: the command line needs the package {package!r}: pip install 'taskgrove[cli]'")
    program.taskgrove()
