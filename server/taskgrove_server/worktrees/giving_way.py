"""Files of a checkout that give way to a landing and lose nothing by it: git has their content, or writes the same.

Git refuses to move a checkout over files that it takes for changed or does not track, whatever they hold. So they are
renamed into the checkout's git directory for that moment, and back if the move fails. What a killed server has left
there is put back by the next one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = "taskgrove-giving-way"
_LIST = "files.json"


@contextmanager
def out_of_the_way(checkout: str, git_dir: str, files: Sequence[str]) -> Generator[None]:
    """Renames files, relative to the checkout, out of the way; those whose places are free afterwards come back.

    Raises OSError, and then all are where they were.
    """
    if not files:
        yield
        return
    aside = Path(git_dir, _NAME)
    put_back(checkout, git_dir)
    aside.mkdir()
    try:
        (aside / _LIST).write_text(json.dumps(list(files)), encoding="utf-8")
        for number, name in enumerate(files):
            Path(checkout, name).rename(aside / str(number))
        yield
    finally:
        put_back(checkout, git_dir)


def put_back(checkout: str, git_dir: str) -> None:
    """Puts back what was left aside, but for files in whose places there are others by now."""
    aside = Path(git_dir, _NAME)
    if not aside.is_dir():
        return
    names: list[str] = []
    with suppress(OSError, ValueError):
        names = json.loads((aside / _LIST).read_text(encoding="utf-8"))
    for number, name in enumerate(names):
        kept, place = aside / str(number), Path(checkout, name)
        if os.path.lexists(kept) and not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            kept.rename(place)
    shutil.rmtree(aside, ignore_errors=True)
