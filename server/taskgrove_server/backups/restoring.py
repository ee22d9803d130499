"""Makes a data directory of a backup: `taskgroved restore`.

manifest, list --> every file is there --> copies, each by its checksum --> runs that were at work end --> place
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrove_server import identity
from taskgrove_server.backups import copying, file_list, manifest, refusals
from taskgrove_server.backups.file_list import Entry
from taskgrove_server.backups.interruption import Interruption
from taskgrove_server.backups.manifest import Manifest
from taskgrove_server.backups.progress import Progress
from taskgrove_server.backups.refusals import BackupDamaged, BackupNewer, NotSaved
from taskgrove_server.backups.target import Target
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.run import Outcome, Run, RunState
from taskgrove_server.domain.task import TaskState
from taskgrove_server.journal.growing import GrowingLog
from taskgrove_server.ownership import DataDirectory
from taskgrove_server.store import database
from taskgrove_server.store.store import Store

#: Bytes that are looked through at a time.
_BLOCK = 1 << 16

#: Waiting tasks that are counted.
_MOST = 1_000_000

#: What becomes of a run that was at work, in words for a person.
_CUT_OFF = Failure(
    FailureKind.INTERRUPTED,
    "The task was at work when the backup was made from which it is restored: what it had done and not committed by "
    "then may be missing. Continue the task to go on.",
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    place: Path
    manifest: Manifest
    #: Tasks that were at work when the backup was made.
    interrupted: int
    #: Tasks that wait in the queue.
    queued: int


def restore(backup: Path, place: Path, *, progress: Progress, interruption: Interruption) -> Restored:
    """Restores a backup to a place that does not exist or is empty.

    Raises BackupImpossible and DatabaseUnusable; then the place is as it was, unless the message says that it is
    restored.
    """
    backup = backup.absolute()
    made = manifest.read(backup)
    if newer := database.newer_migrations(made.schema):
        raise BackupNewer(
            f"The backup {backup} was made by a newer version of Taskgrove ({made.taskgrove_version}; its database "
            f"has {', '.join(newer)}): install that version, and restore with it."
        )
    place = place.absolute().resolve()
    Target(place).check()
    _look(backup, made, progress)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Target(place) as target:
            progress.say("Copying files")
            _copy(backup, target.partial, progress)
            _displace(target.partial)
            progress.say("Opening the database")
            interrupted, queued = _end_runs(DataDirectory(target.partial))
            progress.say("Writing to the disk")
            for entry in file_list.read(backup):
                if entry.kind == file_list.FILE:
                    copying.sync(target.partial / entry.path)
            interruption.end()
            _shut(backup, target.partial)
            target.finish()
    except OSError as error:
        raise NotSaved(
            f"The backup could not be restored, and nothing is left of that: {refusals.told(error)}."
        ) from error
    # It is a data directory already.
    try:
        (place / manifest.NAME).unlink()
        copying.sync(place)
    except OSError as error:
        raise NotSaved(f"{place} is restored, but may not outlast a power cut: {refusals.told(error)}.") from error
    return Restored(place, made, interrupted, queued)


def _look(backup: Path, made: Manifest, progress: Progress) -> None:
    """Raises BackupDamaged unless everything is there, in the right size."""
    progress.say("Looking through the backup")
    file_list.check(backup, made.list_sha256)
    for entry in file_list.read(backup):
        path = backup / entry.path
        if entry.kind != file_list.FILE:
            continue
        try:
            state = path.lstat()
        except OSError as error:
            raise BackupDamaged(f"{path} is missing in the backup ({error.strerror}): use another backup.") from error
        if state.st_size != entry.size:
            raise BackupDamaged(
                f"{path} has {state.st_size} bytes instead of {entry.size}: it was changed or cut since the backup "
                "was made. Use another backup."
            )


def _copy(backup: Path, root: Path, progress: Progress) -> None:
    for entry in file_list.read(backup):
        target = root / entry.path
        _make_parent(target, entry)
        if entry.kind == file_list.FILE:
            _copy_file(backup / entry.path, target, entry, progress)
        elif entry.kind == file_list.LINK:
            target.symlink_to(entry.target)
        else:
            target.mkdir(mode=0o700, exist_ok=True)


def _shut(backup: Path, root: Path) -> None:
    """Gives directories their modes. At the end: what fails before clears away, which it cannot do in a shut one."""
    for entry in file_list.read(backup):
        if entry.kind == file_list.DIRECTORY:
            (root / entry.path).chmod(entry.mode)


def _displace(root: Path) -> None:
    try:
        identity.displace(root)
    except ValueError as error:
        raise BackupDamaged(f"{identity.NAME} of the backup is damaged ({error}): use another backup.") from error


def _make_parent(target: Path, entry: Entry) -> None:
    """Makes the directory in which an entry is put; raises BackupDamaged where a symbolic link leads out of the way."""
    parent = target.parent
    # First: not even an empty directory is made where a link leads.
    behind = os.path.realpath(parent) != os.fspath(parent)
    if behind or (entry.kind == file_list.DIRECTORY and target.is_symlink()):
        raise BackupDamaged(f"The backup puts {entry.path!r} behind a symbolic link of its own: use another backup.")
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _copy_file(source: Path, target: Path, entry: Entry, progress: Progress) -> None:
    changed = BackupDamaged(f"{source} was changed since the backup was made: use another backup.")
    try:
        descriptor = copying.open_file(source)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR):
            raise changed from error
        raise
    if descriptor is None:
        raise changed
    try:
        copied = copying.copy(descriptor, target, progress.copied)
    finally:
        os.close(descriptor)
    if (copied.size, copied.sha256) != (entry.size, entry.sha256):
        raise changed
    target.chmod(entry.mode)
    progress.copied(0, files=1)


def _end_runs(data: DataDirectory) -> tuple[int, int]:
    """Ends the tasks that were at work, whose processes belong to the directory that was saved, if they live.

    Returns how many these are, and how many tasks wait. The database comes to this version's schema with it.
    """
    interrupted = 0
    store = Store(data.database, lambda _: None)
    try:
        for task in store.slots.holding():
            run = store.runs.latest(task.id)
            if task.state is TaskState.QUEUED or task.next_prompt is not None or run is None:
                # It had not begun: see runner.recovery.
                store.slots.requeue(task.id).result()
                continue
            if run.state is RunState.RUNNING:
                _close(store, data, run)
            store.slots.rest(task.id, TaskState.FAILED, failure=_CUT_OFF).result()
            interrupted += 1
        return interrupted, store.slots.waiting(_MOST)
    finally:
        store.close()


def _close(store: Store, data: DataDirectory, run: Run) -> None:
    """Counts the lines that a run had printed, and closes it."""
    log = data.logs / os.path.basename(run.log_path)  # noqa: PTH119 - a name
    with suppress(FileNotFoundError):
        _drop_part_of_line(log)
    there = replace(run, log_path=os.fspath(log))
    growing = GrowingLog(there, lambda _line: None, lambda: None)
    extent = growing.end()
    growing.index.save(there.log_path, extent.size)
    outcome = Outcome(failure=_CUT_OFF, session_id=run.session_id)
    store.runs.finish(run, outcome, extent.lines, extent.size).result()


def _drop_part_of_line(log: Path) -> None:
    """Cuts off what was copied of a line while it was being written, and would count as one."""
    with log.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
