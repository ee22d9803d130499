"""Saves a data directory beside the server that may own it: `taskgroved backup`.

    live database -- one moment --> copy -- names the logs and sandboxes --> copies of these --> manifest

The database comes first. Logs only grow, so that the later copy of each has at least the lines that the database
speaks of; what was deleted in between is deleted from the copy as well.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server import identity
from taskgrove_server.backups import copying, file_list, manifest, refusals
from taskgrove_server.backups.copying import Copied
from taskgrove_server.backups.file_list import Entry, FileList
from taskgrove_server.backups.interruption import Interruption
from taskgrove_server.backups.manifest import Manifest
from taskgrove_server.backups.progress import Progress
from taskgrove_server.backups.refusals import BackupDamaged, NotSaved, SourceUnusable, TargetUnusable
from taskgrove_server.backups.snapshot import RunLog, Snapshot
from taskgrove_server.backups.target import Target
from taskgrove_server.backups.tree import LeftOut, TreeCopy
from taskgrove_server.domain import clock, ids
from taskgrove_server.identity import Identity
from taskgrove_server.journal import line_index
from taskgrove_server.ownership import DataDirectory
from taskgrove_server.worktrees import aside


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup holds, and what it does not."""

    place: Path
    manifest: Manifest
    #: Runs of whose logs the data directory itself has lost something.
    lost_logs: int
    #: Files of sandboxes that could not be copied.
    left_out: LeftOut
    #: Worktrees that there are, whose uncommitted work is not saved.
    worktrees: int


def back_up(
    data: DataDirectory, place: Path, *, with_token: bool, progress: Progress, interruption: Interruption
) -> Saved:
    """Saves a data directory to a place that does not exist or is empty; raises BackupImpossible, with nothing left."""
    if not data.database.is_file():
        raise SourceUnusable(f"There is no data directory of Taskgrove at {data.root}: name it with --data-dir.")
    place = place.absolute().resolve()
    if place.is_relative_to(data.root.resolve()):
        raise TargetUnusable(f"{place} lies in the data directory, and would be lost with it: name another place.")
    if not place.parent.is_dir():
        raise TargetUnusable(
            f"There is no directory {place.parent} to put the backup into: make it, or mount its disk."
        )
    with Target(place) as target:
        try:
            saved = _Backup(data, target, progress, interruption).make(with_token=with_token)
            interruption.end()
            target.finish()
        except OSError as error:
            raise NotSaved(
                f"The backup could not be made, and nothing is left of it: {refusals.told(error)}."
            ) from error
    return saved


class _Backup:
    """One backup while it is made."""

    def __init__(self, data: DataDirectory, target: Target, progress: Progress, interruption: Interruption) -> None:
        self._data = data
        self._target = target
        self._root = target.partial
        self._progress = progress
        self._interruption = interruption
        self._copy = DataDirectory(self._root)

    def make(self, *, with_token: bool) -> Saved:
        moment = clock.now()
        self._progress.say("Copying the database")
        snapshot = Snapshot.take(
            self._data.database, self._copy.database, self._progress.part, self._interruption.check
        )
        self._progress.say("Copying files")
        with FileList(self._root) as listed:
            self._copy_logs(snapshot, listed)
            tree = TreeCopy(self._root, listed.add, self._progress.copied)
            self._copy_sandboxes(snapshot, tree)
            self._copy_single(listed, with_token=with_token)
            # As these may have lost files before they could be copied.
            deleted = snapshot.follow_removals()
            self._progress.say("Checking the database")
            snapshot.check()
            listed.add(_entry(self._copy.database.name, copying.checksum(self._copy.database)))
        self._progress.say("Writing to the disk")
        totals = file_list.keep(self._root, lambda entry: self._is_kept(entry, deleted))
        self._look()
        made = Manifest(
            taskgrove_version=importlib.metadata.version("taskgrove"),
            create_time=moment.isoformat(timespec="seconds"),
            data_directory=os.fspath(self._data.root),
            directory_id=self._directory_id(),
            schema=snapshot.schema(),
            tasks=snapshot.count("task"),
            runs=snapshot.count("run"),
            files=totals.files,
            size=totals.size,
            list_sha256=totals.sha256,
        )
        lost = sum(not self._has(run_log) for run_log in snapshot.run_logs())
        manifest.complete(self._root, made)
        return Saved(self._target.place, made, lost, tree.left_out, self._count_worktrees())

    def _copy_logs(self, snapshot: Snapshot, listed: FileList) -> None:
        self._copy.logs.mkdir(mode=0o700)
        for run_log in snapshot.run_logs():
            self._copy_file(f"logs/{run_log.name}", listed)
            # After its log, so that it speaks of no more than that has.
            self._copy_file(f"logs/{line_index.path_of(run_log.name)}", listed)
        for task_id in snapshot.task_ids():
            self._copy_file(f"logs/{task_id}_setup.log", listed)
        listed.add(Entry("logs", file_list.DIRECTORY, mode=0o700))

    def _copy_sandboxes(self, snapshot: Snapshot, tree: TreeCopy) -> None:
        self._copy.sandboxes.mkdir(mode=0o700)
        with suppress(FileNotFoundError), os.scandir(self._data.sandboxes) as sandboxes:
            for sandbox in sandboxes:
                # Those that a retry from the start has put aside have a number behind the id.
                if sandbox.name == aside.PLACE or not snapshot.has_task(sandbox.name[: ids.LENGTH]):
                    continue
                path = f"sandboxes/{sandbox.name}"
                if sandbox.is_symlink():
                    # Its agent may have put it there, and have it lead anywhere.
                    tree.left_out.add(path, "it is a link")
                else:
                    tree.copy(Path(sandbox.path), path)

    def _copy_single(self, listed: FileList, *, with_token: bool) -> None:
        """Copies what says which directory it is, settings that lie in it, and the token if it is wanted."""
        self._copy_file(identity.NAME, listed)
        for path in sorted(self._data.root.glob("*.toml")):
            self._copy_file(path.name, listed)
        if with_token:
            self._copy_file(self._data.token.name, listed)

    def _copy_file(self, path: str, listed: FileList) -> None:
        """Copies a file of the server's own, if it is there; one that is a link is a file in the copy."""
        try:
            # A person has put the link there, such as to settings that are kept elsewhere.
            source = copying.open_file((self._data.root / path).resolve())
        except FileNotFoundError:
            return
        if source is None:
            return
        try:
            copied = copying.copy(source, self._root / path, self._progress.copied)
        finally:
            os.close(source)
        listed.add(_entry(path, copied))
        self._progress.copied(0, files=1)

    def _is_kept(self, entry: Entry, deleted: Container[str]) -> bool:
        """Tells whether an entry is of none of the deleted tasks; its files are removed else."""
        if entry.task_id not in deleted:
            return True
        path = self._root / entry.path
        if entry.kind == file_list.DIRECTORY:
            path.rmdir()
        else:
            path.unlink()
        return False

    def _look(self) -> None:
        """Makes all files durable, and looks whether they are there as they are listed."""
        for entry in file_list.read(self._root):
            path = self._root / entry.path
            if entry.kind == file_list.FILE and copying.sync(path) != entry.size:
                raise BackupDamaged(f"{path} was changed while the backup was made, and nothing is left of that.")

    def _has(self, run_log: RunLog) -> bool:
        try:
            return (self._copy.logs / run_log.name).stat().st_size >= run_log.size
        except FileNotFoundError:
            return run_log.size == 0

    def _directory_id(self) -> str:
        """Returns the id of the data directory, as it was copied."""
        try:
            noted = Identity.read(self._root)
        except ValueError as error:
            raise SourceUnusable(f"{self._data.root / identity.NAME} is damaged ({error}).") from error
        return noted.id if noted else ""

    def _count_worktrees(self) -> int:
        with suppress(FileNotFoundError), os.scandir(self._data.worktrees) as worktrees:
            return sum(worktree.name != aside.PLACE for worktree in worktrees)
        return 0


def _entry(path: str, copied: Copied) -> Entry:
    return Entry(path, mode=copied.mode, size=copied.size, sha256=copied.sha256)
