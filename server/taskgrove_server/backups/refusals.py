"""Why a data directory could not be saved or restored.

BackupImpossible
├── TargetUnusable
├── SourceUnusable
├── BackupDamaged
├── BackupNewer
└── NotSaved
"""

from __future__ import annotations

import os


class BackupImpossible(Exception):
    """The base of them all. The message is a sentence for a person, with what to do next."""


class TargetUnusable(BackupImpossible):
    """Nothing can be put there: something is there already, or it is no place for it."""


class SourceUnusable(BackupImpossible):
    """There is no data directory to save, or its database cannot be read or is damaged."""


class BackupDamaged(BackupImpossible):
    """It is no backup, was not finished, or is not what it was when it was made."""


class BackupNewer(BackupImpossible):
    """A newer version of Taskgrove made it."""


class NotSaved(BackupImpossible):
    """It could not be read or written while it was under way, for want of room as a rule. Nothing is left of it."""


def told(error: OSError) -> str:
    """Returns what the system says of an error, and of which file, without a full stop."""
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    return f"{error.strerror or error}{where}"
