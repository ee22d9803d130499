"""A git directory of our own over the files of a repository that an agent made.

What the repository's own config names, such as filters, does not run, and nothing is written to it: new objects go to
the task's repository, and those that there are are read from where they lie.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import guarded
from taskgrove_server.worktrees.nested.repositories import Nested

#: Settings that say how the files lie there, and name no program.
_KEPT = r"^(core\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode)|extensions\.objectformat)$"


@contextmanager
def over(git: commands.Git, nested: Nested, objects: str) -> Generator[Mapping[str, str]]:
    """Yields the environment in which git works on a repository's files, with a copy of its index.

    `objects` is the directory to which new objects go. Raises GitFailed and OSError.
    """
    with tempfile.TemporaryDirectory(prefix="taskgrove-") as scratch:
        place = Path(scratch)
        own = Path(nested.dirs.own)
        with suppress(FileNotFoundError):
            shutil.copy2(own / "index", place / "index")
        index = {"GIT_INDEX_FILE": str(place / "index")}
        if nested.is_shared and nested.inside is None:
            # Its config is that of the person's own repository.
            yield index
            return
        for shared in own.glob("sharedindex.*"):
            (place / shared.name).symlink_to(shared)
        for name in ("refs", "objects", "info"):
            (place / name).mkdir()
        for name in ("shallow", "info/exclude", "info/attributes", "info/sparse-checkout"):
            with suppress(OSError):
                shutil.copy(Path(nested.dirs.common, name), place / name)
        head = guarded.ask(git, nested, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        (place / "HEAD").write_text(f"{head or 'ref: refs/heads/unborn'}\n", encoding="ascii")
        (place / "config").write_text("[core]\n\tbare = false\n", encoding="ascii")
        variables = {
            **index,
            "GIT_DIR": scratch,
            "GIT_WORK_TREE": nested.directory,
            "GIT_OBJECT_DIRECTORY": objects,
            **lent([f"{nested.dirs.common}/objects"]),
        }
        _configure(git, nested, place)
        yield variables


def _configure(git: commands.Git, nested: Nested, place: Path) -> None:
    settings = guarded.ask(git, nested, "config", "-z", "--get-regexp", _KEPT) or ""
    for setting in filter(None, settings.split("\0")):
        name, _, value = setting.partition("\n")
        if name.startswith("extensions."):
            git(nested.directory, "config", "--file", str(place / "config"), "core.repositoryFormatVersion", "1")
        git(nested.directory, "config", "--file", str(place / "config"), name, value)


def lent(directories: Sequence[str]) -> Mapping[str, str]:
    """Returns the environment in which git reads objects from further directories."""
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(map(_quoted, directories))}


def _quoted(path: str) -> str:
    """Returns a path as git takes it in a list that is separated by colons."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if os.pathsep in path or path.startswith('"') else path
