"""The list of a backup's files, an object of JSON a line: `files.ndjson`. It is read and written a line at a time.

    {"path": "logs/<task>_run1.ndjson", "kind": "file", "mode": 384, "size": 5, "sha256": "..."}
    {"path": "sandboxes/<task>/link", "kind": "link", "target": "README.md"}
    {"path": "sandboxes/<task>", "kind": "directory", "mode": 448}

A directory comes behind what it holds, so that its mode is set once nothing more is put into it. Names that are no
text are written with lone surrogates, as Python has them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from taskgrove_server.backups.refusals import BackupDamaged
from taskgrove_server.domain import ids

NAME = "files.ndjson"

FILE, LINK, DIRECTORY = "file", "link", "directory"

#: Bytes of the longest line. A path has at most 4096 bytes, of which each may take six.
_LONGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a symbolic link or a directory of a backup; `path` is relative to it."""

    path: str
    kind: str = FILE
    mode: int = 0o600
    size: int = 0
    sha256: str = ""
    target: str = ""

    @property
    def task_id(self) -> str:
        """Returns the id of the task that it belongs to; empty for what belongs to none."""
        room, _, rest = self.path.partition("/")
        return rest[: ids.LENGTH] if room in ("logs", "sandboxes") else ""


class FileList(AbstractContextManager["FileList"]):
    """The list while it is written: entries are added behind those that it has."""

    def __init__(self, directory: Path) -> None:
        descriptor = os.open(directory / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def add(self, entry: Entry) -> None:
        """Adds an entry."""
        self._file.write(json.dumps(asdict(entry)).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Totals:
    """What a list comes to."""

    files: int
    size: int
    sha256: str


def keep(directory: Path, wanted: Callable[[Entry], bool]) -> Totals:
    """Leaves in the list what is wanted, and makes it durable."""
    path, new = directory / NAME, directory / f"{NAME}.new"
    files, size, digest = 0, 0, hashlib.sha256()
    with path.open("rb") as old, open(new, "wb", opener=_private) as file:
        for line in old:
            entry = _entry(line, path)
            if wanted(entry):
                file.write(line)
                digest.update(line)
                files += entry.kind == FILE
                size += entry.size
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    return Totals(files, size, digest.hexdigest())


def read(directory: Path) -> Iterator[Entry]:
    """Yields the entries; raises BackupDamaged."""
    path = directory / NAME
    with _opened(path) as file:
        while line := file.readline(_LONGEST):
            yield _entry(line, path)


def check(directory: Path, sha256: str) -> None:
    """Raises BackupDamaged when the list is not the one that its manifest speaks of."""
    path = directory / NAME
    with _opened(path) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise BackupDamaged(f"The list {path} was changed or cut since the backup was made: use another backup.")


def _opened(path: Path) -> Any:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise BackupDamaged(f"The list {path} of the backup cannot be read ({error}): use another backup.") from error


def _entry(line: bytes, path: Path) -> Entry:
    try:
        values: dict[str, Any] = json.loads(line)
        entry = Entry(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise BackupDamaged(f"The list {path} is damaged: use another backup.") from error
    if not all(map(_is_text, (entry.path, entry.kind, entry.sha256, entry.target))) or not all(
        map(_is_count, (entry.mode, entry.size))
    ):
        raise BackupDamaged(f"The list {path} is damaged: use another backup.")
    # Nothing leads out of the directory that it is restored to.
    sound = all(part not in ("", ".", "..") for part in entry.path.split("/"))
    if not sound or entry.kind not in (FILE, LINK, DIRECTORY) or entry.mode > 0o777:
        raise BackupDamaged(f"The list {path} names what belongs in no backup, {entry.path!r}: use another backup.")
    return entry


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
