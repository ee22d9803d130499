"""What `taskgroved` can be asked for on its command line instead of a server."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Deed(StrEnum):
    """What to do."""

    SERVE = "serve"
    ROTATE_TOKEN = "rotate-token"  # noqa: S105 - no password
    BACKUP = "backup"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do. `directory` is that of the backup, where there is one."""

    deed: Deed
    directory: Path = Path()
    with_token: bool = False


_BACKUP = (
    "Saves the data directory, also while a server and its agents are at work on it: the database as it is at one "
    "moment, the logs, the directories of tasks without a repository, and *.toml files in the data directory. Not "
    "saved are the bearer token, worktrees with what is not committed there, and repositories. DIR comes to be in one "
    "step, once all of it is on the disk and was looked through."
)

_RESTORE = (
    "Makes a data directory of what 'taskgroved backup' has saved, at a place where there is none. All files are "
    "compared with what was saved. Tasks that were at work then are restored as failed (interrupted), and can be "
    "continued; tasks that waited wait again, unless the directory that was saved is still at its place, to which they "
    "are left. Worktrees are made again from their branches when they are needed."
)


def add_to(parser: argparse.ArgumentParser, flags: Sequence[str]) -> None:
    """Adds all of it to the command line of the server; `flags` of the server may stand behind a command as well."""
    parser.add_argument(
        "--rotate-token",
        action="store_true",
        help="Put a new bearer token into the data directory, and exit. A server that runs takes it within a second.",
    )
    parsers = parser.add_subparsers(dest="command", title="commands, instead of serving", metavar="COMMAND")
    backup = _add(parsers.add_parser, Deed.BACKUP, "Save the data directory.", _BACKUP)
    backup.add_argument("directory", metavar="DIR", help="A directory that does not exist, or is empty.")
    backup.add_argument(
        "--with-token",
        action="store_true",
        help="Save the bearer token as well: who can read the backup can call the server then.",
    )
    restore = _add(parsers.add_parser, Deed.RESTORE, "Make a data directory of a backup.", _RESTORE)
    restore.add_argument("directory", metavar="BACKUP", help="What 'taskgroved backup' has made.")
    for command in (backup, restore):
        for flag in flags:
            # Without one, what stands before the command counts.
            command.add_argument(flag, metavar="PATH", default=argparse.SUPPRESS, help="As for the server.")


def asked(parsed: argparse.Namespace) -> Command:
    """Returns what a command line asks for."""
    if parsed.command is not None:
        return Command(Deed(parsed.command), Path(parsed.directory), getattr(parsed, "with_token", False))
    return Command(Deed.ROTATE_TOKEN if parsed.rotate_token else Deed.SERVE)


def _add(
    add_parser: Callable[..., argparse.ArgumentParser], deed: Deed, summary: str, description: str
) -> argparse.ArgumentParser:
    return add_parser(deed.value, help=summary, description=description, allow_abbrev=False)
