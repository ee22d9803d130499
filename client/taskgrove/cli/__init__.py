"""The command line, `taskgrove`. It needs the packages of the `cli` extra."""

from __future__ import annotations

import sys

from taskgrove.cli import streams

#: See exits, which takes click.
_REFUSED = 5
_INTERRUPTED = 130


def main() -> None:
    """Runs the command line and exits."""
    streams.prepare()
    try:
        from taskgrove.cli import program  # noqa: PLC0415 - click and rich may be missing, which must read as a sentence
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"click", "rich"}:
            raise
        print(  # noqa: T201 - click may be what is missing
            f"taskgrove: the command line needs the package {package!r}: install Taskgrove with its extra 'cli'.",
            file=sys.stderr,
        )
        sys.exit(_REFUSED)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    program.taskgrove()
