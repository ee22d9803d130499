"""Removes directories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def remove(directory: str) -> None:
    """Removes a directory with all that is in it, also where tools have taken the right to write; raises OSError."""
    try:
        shutil.rmtree(directory)
    except PermissionError:
        # As of packages that are installed read-only.
        Path(directory).chmod(0o700)
        for parent, names, _ in os.walk(directory):
            for name in names:
                child = Path(parent, name)
                # Before it is listed, which takes rights as well.
                if not child.is_symlink():
                    child.chmod(0o700)
        shutil.rmtree(directory)
