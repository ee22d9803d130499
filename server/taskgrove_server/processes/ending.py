"""How a supervised process ended, as the run directory tells it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.domain.ids import RunId
from taskgrove_server.processes import files, sweeping


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a process, after which nothing that it started is left."""

    #: As a shell shows it: 128 + n for signal n. None when nobody saw the process end, or it never began.
    exit_code: int | None
    signal: int | None = None
    #: Why the program could not be started.
    spawn_error: str | None = None
    #: What of the start failed: "log" (it cannot be opened), "pipes" (descriptors are short), "directory" (it cannot
    #: be entered) or "program". None when nothing did, the supervisor itself failed, or one of an earlier version did
    #: not tell.
    spawn_stage: str | None = None
    #: The errno of that, which tells what passes by itself from what does not; None as above, and when there is none.
    spawn_errno: int | None = None
    #: The supervisor itself had ended, or never come up, before it started the program: its files are being replaced,
    #: or memory, descriptors or room in the run directory are short; `stderr` may tell. The same run may be started
    #: again, in a directory of its own.
    never_started: bool = False
    #: The last 64 KiB of standard error, decoded with replacement. If not `supervised`, maybe the supervisor's.
    stderr: str = ""
    #: Aware and in UTC; None when nobody saw the process end.
    end_time: datetime | None = None
    #: A stop had been asked for.
    stopped: bool = False
    #: How many processes were left behind and ended.
    swept: int = 0
    #: How many of them could not be ended: they are another user's, or the kernel does not let them go.
    survivors: int = 0
    #: The disk of the log had no room when the process ended, or for what it had printed before.
    disk_full: bool = False
    #: The limit of the log in bytes, if the process was stopped for reaching it, or what it printed beyond was dropped.
    #: None if something else stopped it first.
    log_limit: int | None = None
    #: The supervisor saw all of this. False: it was killed itself, or failed.
    supervised: bool = True


def of(run_directory: Path, run_id: RunId) -> ProcessEnd:
    """Returns how the process of a supervisor that is gone ended.

    If the supervisor did not say, first ends what is left of the run, which takes seconds if something resists. Raises
    OSError, after which another call may succeed, while no file can be opened.
    """
    stderr = _stderr(run_directory)
    # They stay: a server that is killed before it has stored this is followed by one that asks the same.
    if (run_directory / files.ORDERS).exists():
        return ProcessEnd(
            None,
            spawn_error="The supervisor ended before it had started the program.",
            never_started=True,
            stderr=stderr,
            supervised=False,
        )
    return _read(run_directory, stderr) or unseen(run_directory, run_id)


def _read(run_directory: Path, stderr: str) -> ProcessEnd | None:
    try:
        end = json.loads((run_directory / files.EXIT).read_bytes())
    except FileNotFoundError:
        return None
    return ProcessEnd(
        exit_code=end["exit_code"],
        signal=end["signal"],
        spawn_error=end["spawn_error"],
        spawn_stage=end.get("spawn_stage"),
        spawn_errno=end.get("spawn_errno"),
        stderr=stderr,
        end_time=datetime.fromtimestamp(end["end_time"], UTC),
        stopped=end["stopped"],
        swept=end["swept"],
        survivors=end["survivors"],
        disk_full=end["disk_full"],
        log_limit=end.get("log_limit"),
    )


def unseen(run_directory: Path, run_id: RunId) -> ProcessEnd:
    """Ends what is left of a run whose supervisor did not say how its process ended."""
    swept, survivors = sweeping.sweep_run(run_id, group=_group(run_directory))
    return ProcessEnd(None, stderr=_stderr(run_directory), swept=swept, survivors=survivors, supervised=False)


def _group(run_directory: Path) -> int | None:
    try:
        return int(json.loads((run_directory / files.AGENT).read_bytes())["pid"])
    except (OSError, ValueError):
        return None


def _stderr(run_directory: Path) -> str:
    with shortages.suppressing_others(), (run_directory / files.STDERR).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - files.STDERR_LIMIT))
        return file.read(files.STDERR_LIMIT).decode(errors="replace")
    return ""
