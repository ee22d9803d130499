"""What a backup says of itself: `manifest.json`.

It is there from the first moment, and says `complete` only at the end, so that what was cut off is known as such.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from taskgrove_server.backups.refusals import BackupDamaged, BackupNewer

NAME = "manifest.json"

#: What becomes it.
_NEW = "manifest.json.new"

#: What the manifest calls itself.
FORMAT = "taskgrove-backup"

#: Raised by one when an older version could not restore a backup rightly.
VERSION = 1

#: Bytes of the longest manifest that is read: it lists no files.
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of a backup. Counts are of what is in it."""

    #: Of the Taskgrove that made it.
    taskgrove_version: str
    #: In UTC, as RFC 3339 has it: the moment that the database shows.
    create_time: str
    #: Where the data directory was, and its id; empty for one of a version that had none.
    data_directory: str
    directory_id: str
    #: The names of the migrations that its database has been through.
    schema: tuple[str, ...]
    tasks: int
    runs: int
    files: int
    #: Bytes of all files.
    size: int
    #: Of the list of files.
    list_sha256: str


def begin(directory: Path) -> None:
    """Writes a manifest that says there is no backup yet."""
    _write(directory, {"format": FORMAT, "format_version": VERSION, "complete": False})


def complete(directory: Path, manifest: Manifest) -> None:
    """Writes the manifest of a backup that is whole, in one step."""
    _write(directory, {"format": FORMAT, "format_version": VERSION, "complete": True, **asdict(manifest)})


def is_begun(directory: Path) -> bool:
    """Tells whether a directory was begun here, a backup or what is restored from one, or is empty."""
    if all(path.name == _NEW for path in directory.iterdir()):
        return True
    try:
        return bool(_parse(directory))
    except BackupDamaged:
        return False


def read(directory: Path) -> Manifest:
    """Returns the manifest of a backup that is whole; raises BackupDamaged and BackupNewer."""
    values = _parse(directory)
    version = values.get("format_version")
    if isinstance(version, int) and version > VERSION:
        made_by = values.get("taskgrove_version")
        raise BackupNewer(
            f"The backup {directory} was made by a newer version of Taskgrove ({made_by}), in a form that this one "
            "does not know: install that version, and restore with it."
        )
    if values.get("complete") is not True:
        raise BackupDamaged(f"The backup {directory} was not finished, and cannot be restored: use another one.")
    if not _is_sound(values):
        raise BackupDamaged(f"The manifest {directory / NAME} is damaged: use another backup.")
    values["schema"] = tuple(values["schema"])
    return Manifest(**{field.name: values[field.name] for field in fields(Manifest)})


def _is_sound(values: dict[str, Any]) -> bool:
    kinds = {"str": str, "int": int, "tuple[str, ...]": list}
    for field in fields(Manifest):
        value = values.get(field.name)
        if not isinstance(value, kinds[str(field.type)]) or (isinstance(value, int) and value < 0):
            return False
    return all(isinstance(name, str) for name in values["schema"]) and values.get("format_version") == VERSION


def _parse(directory: Path) -> dict[str, Any]:
    path = directory / NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(_LONGEST)
    except OSError as error:
        raise BackupDamaged(f"{directory} is no backup of Taskgrove: its {NAME} cannot be read ({error}).") from error
    try:
        values: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BackupDamaged(f"The manifest {path} is damaged: use another backup.") from error
    found = cast("dict[str, Any]", values) if isinstance(values, dict) else {}
    if found.get("format") != FORMAT:
        raise BackupDamaged(f"{directory} is no backup of Taskgrove: {path} is something else.")
    return found


def _write(directory: Path, values: dict[str, Any]) -> None:
    new = directory / _NEW
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(values, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(directory / NAME)
