"""Backs up and restores on the command line, and says what came of it."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from taskgrove_server.backups.backing_up import Saved
from taskgrove_server.backups.backing_up import back_up as save
from taskgrove_server.backups.interruption import Interrupted, Interruption
from taskgrove_server.backups.progress import Progress, shown
from taskgrove_server.backups.restoring import Restored
from taskgrove_server.backups.restoring import restore as put_back
from taskgrove_server.ownership import DataDirectory


def back_up(data_directory: Path, place: Path, *, with_token: bool) -> int:
    """Saves a data directory; returns the exit status. Raises BackupImpossible."""

    def work(progress: Progress, interruption: Interruption) -> list[str]:
        data = DataDirectory(data_directory)
        saved = save(data, place, with_token=with_token, progress=progress, interruption=interruption)
        return _of_backup(saved, data, with_token=with_token)

    return _carry_out(work)


def restore(backup: Path, data_directory: Path) -> int:
    """Restores a backup; returns the exit status. Raises BackupImpossible and DatabaseUnusable."""
    return _carry_out(
        lambda progress, interruption: _of_restore(
            put_back(backup, data_directory, progress=progress, interruption=interruption)
        )
    )


def _carry_out(work: Callable[[Progress, Interruption], list[str]]) -> int:
    os.umask(0o077)
    progress = Progress()
    with Interruption() as interruption:
        try:
            lines = work(progress, interruption)
        except (Exception, Interrupted):
            # SQLite makes an error of its own of a signal.
            if interruption.status is None:
                raise
            progress.end()
            _say(2, ["taskgroved: Interrupted; nothing is left of what was begun."])
            return interruption.status
        finally:
            progress.end()
    _say(1, lines)
    return 0


def _of_backup(saved: Saved, data: DataDirectory, *, with_token: bool) -> list[str]:
    made = saved.manifest
    what = f"{_count(made.tasks, 'task')} with {_count(made.runs, 'run')}"
    lines = [f"Saved {what} ({_count(made.files, 'file')}, {shown(made.size)}) to {saved.place}"]
    if saved.lost_logs:
        lines.append(
            f"The data directory itself has lost lines of {_count(saved.lost_logs, 'log')}: what there is was saved."
        )
    if saved.left_out.count:
        lines.append(f"Not saved, of directories of tasks: {', '.join(saved.left_out.named)}")
        if saved.left_out.count > len(saved.left_out.named):
            lines.append(f"  and {_count(saved.left_out.count - len(saved.left_out.named), 'other')}")
    if saved.worktrees:
        lines.append(
            f"Not in it: what is not committed in {_count(saved.worktrees, 'worktree')} below {data.worktrees}; and "
            "the repositories, which have the commits."
        )
    if not with_token:
        lines.append("Not in it: the bearer token. A restored server makes a new one.")
    return lines


def _of_restore(restored: Restored) -> list[str]:
    made = restored.manifest
    what = f"{_count(made.tasks, 'task')} with {_count(made.runs, 'run')}"
    lines = [f"Restored {what}, as of {made.create_time}, to {restored.place}"]
    if restored.interrupted:
        lines.append(
            f"{_count(restored.interrupted, 'task')} that had been at work failed with it (interrupted): "
            "'taskgrove continue <task>' goes on with one."
        )
    if restored.queued:
        waits, left = ("waits", "it is") if restored.queued == 1 else ("wait", "they are")
        lines.append(
            f"{_count(restored.queued, 'task')} in the queue {waits} on. If {made.data_directory} is still there, "
            f"{left} left to that: the server takes what is restored for a copy then."
        )
    lines.append(f"Next: taskgroved --data-dir {shlex.quote(os.fspath(restored.place))}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _say(descriptor: int, lines: list[str]) -> None:
    # What is done is done, whether or not it can be said.
    with contextlib.suppress(OSError):
        os.write(descriptor, "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
