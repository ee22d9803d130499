"""Which data directory this is: the one of the last start, the same moved since then, or a copy of one that lives on.

A copy has the same runs, worktrees and branches in its database, and none of them is its own. So each directory has an
id, and notes what it was found as:

    identity.json    {"id": …, "path": …, "device": …, "inode": …, "boot_id": …, "copied_from": …, "arrival": …}

    device and inode are those of the note    the same directory, renamed maybe
    the original is found elsewhere           a copy; see originals
    else                                      moved, to another disk or machine, or restored
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from taskgrove_server import originals
from taskgrove_server.guarding import Tellable

log = logging.getLogger(__name__)

NAME = originals.NOTE

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class IdentityRefused(Tellable):
    """It cannot be told which data directory it is, or it is no whole one; the message says what to do."""


class Arrival(StrEnum):
    """How a directory came to its place, for as long as what follows from that is not done."""

    MOVED = "moved"
    COPIED = "copied"


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a data directory from every other."""

    id: str
    #: Where it was at its last start, without symbolic links.
    path: str
    device: int
    inode: int
    #: The machine's, between two of its starts; empty where the system has none.
    boot_id: str
    #: The path of the directory that it was made from, if it began as a copy.
    copied_from: str | None = None
    arrival: Arrival | None = None
    #: Where it was before it arrived.
    moved_from: str | None = None

    @property
    def mark(self) -> str:
        """Returns what no other directory on the machine shares, not even a second one that was restored from it."""
        return f"{self.id}.{self.device:x}.{self.inode:x}"

    @property
    def suffix(self) -> str:
        """Returns what tells branches and worktrees of a copy from those of its original; empty for an original."""
        return f".{self.id[:6]}" if self.copied_from is not None else ""

    @classmethod
    def read(cls, root: Path) -> Self | None:
        """Returns what is noted in a data directory, None when nothing is; raises ValueError and OSError."""
        try:
            noted = (root / NAME).read_bytes()
        except FileNotFoundError:
            return None
        try:
            values: dict[str, Any] = json.loads(noted)
            known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
            identity = cls(**known)
            arrival = Arrival(identity.arrival) if identity.arrival else None
            uuid.UUID(identity.id)
            os.fspath(identity.path)
            return replace(identity, device=int(identity.device), inode=int(identity.inode), arrival=arrival)
        except (TypeError, AttributeError, LookupError, RecursionError) as error:
            raise ValueError(str(error)) from error

    def write(self, root: Path) -> None:
        """Notes it in a data directory, as a whole or not at all; raises OSError."""
        new = root / f"{NAME}.new"
        new.unlink(missing_ok=True)
        with open(new, "x", encoding="utf-8", opener=_private) as file:
            json.dump(asdict(self), file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(root / NAME)
        directory = os.open(root, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def settled(self) -> Identity:
        """Returns it as it is once what followed from its arrival is done."""
        return replace(self, arrival=None, moved_from=None)


def displace(root: Path) -> None:
    """Notes in a directory that was put together from a backup that it is at no place yet.

    Its number may be that of the lost one, by chance. Raises ValueError and OSError.
    """
    noted = Identity.read(root)
    if noted is not None:
        replace(noted, device=0, inode=0).write(root)


def establish(root: Path) -> Identity:
    """Finds out which directory it is, and notes that; call it with the directory's lock.

    Raises IdentityRefused when the note is damaged, or a copy has a part in common with its original, and OSError when
    the note cannot be read or written.
    """
    here = _here(root)
    try:
        noted = Identity.read(root)
    except ValueError as error:
        raise IdentityRefused(
            f"{root / NAME} is damaged ({error}), so that it cannot be told whether {root} is a copy of another data "
            "directory. If that other one is still used, copy this file from it; if there is none, remove the file. "
            "Then start again."
        ) from error
    identity = _identified(here, noted)
    if identity.arrival is Arrival.COPIED:
        _check_parts(root, identity)
    if identity != noted:
        try:
            identity.write(root)
        except OSError as error:
            if noted is None or identity.arrival is not noted.arrival or identity.id != noted.id:
                raise
            # The same place as before, on a disk that is full: what is noted of the machine can wait.
            log.warning("%s is as of an earlier start: %s", root / NAME, error)
    return identity


def _check_parts(root: Path, copy: Identity) -> None:
    """Raises IdentityRefused if a part of a copy is a link, by which it has that part in common with its original."""
    for name in originals.PARTS:
        place = (root / name).resolve()
        if not place.is_relative_to(root.resolve()):
            raise IdentityRefused(
                f"{root} is a copy of {copy.copied_from}, but its {name!r} is a link to {place}, which the original "
                "uses as well. Put a copy of that in the place of the link, and start again."
            )
    database = root / originals.DATABASE
    with suppress(FileNotFoundError):
        # Not compared with the original's: that may be on a file server which does not answer.
        if database.stat().st_nlink > 1:
            raise IdentityRefused(
                f"{root} is a copy of {copy.copied_from}, but its {database.name!r} has hard links, as after 'cp -l': "
                "the original may use the same file. Put a copy of it in its place, and start again."
            )


def _here(root: Path) -> Identity:
    state = root.stat()
    boot_id = ""
    with suppress(OSError):
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    return Identity(str(uuid.uuid4()), str(root.resolve()), state.st_dev, state.st_ino, boot_id)


def _identified(here: Identity, noted: Identity | None) -> Identity:
    """Returns the identity of the directory that is `here`, in which `noted` was found."""
    if noted is None:
        # A new one, or of a version that kept no note.
        original, earlier = originals.find_unnoted(Path(here.path))
        if original is not None:
            return _copy(here, original)
        return here if earlier is None else replace(here, arrival=Arrival.MOVED, moved_from=earlier)
    same = (here.device, here.inode) == (noted.device, noted.inode)
    now = replace(noted, path=here.path, device=here.device, inode=here.inode, boot_id=here.boot_id)
    if noted.path == here.path and noted.inode == here.inode:
        # The device may have another number after a restart of the machine.
        return now
    original = None if same else originals.find(Path(here.path), noted.id, noted.path)
    if original is not None:
        return _copy(here, original)
    # A copy that has not given up yet what is its original's still has to.
    return now if noted.arrival else replace(now, arrival=Arrival.MOVED, moved_from=noted.path)


def _copy(here: Identity, original: str) -> Identity:
    return replace(here, copied_from=original, arrival=Arrival.COPIED)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
