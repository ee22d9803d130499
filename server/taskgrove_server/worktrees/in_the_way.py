"""What in a checkout stands in the way of a move from one commit to another.

Only the places that the move changes are looked at. Git alone would not do for the answer, since it takes ignored files
for expendable when it moves a checkout, and files for changed that it has itself checked out (see `conversions`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import commands, conversions, unfinished, ways_out
from taskgrove_server.worktrees.ways_out import Edited

#: Files that an obstacle names, and its remedy takes care of; the rest come up when these are out of the way.
_NAMED = 100

_LINK = "160000"
_ABSENT = "000000"


@dataclass(frozen=True, slots=True)
class Change:
    """What a move does at one path; a mode of None means that there is no file before, or after."""

    path: str
    old_mode: str | None
    mode: str | None


class Checkout:
    """The files of a checkout beside what a move from one commit to another would do to them."""

    def __init__(self, git: commands.Git, path: str, head: str, commit: str) -> None:
        self._git = git
        self._path = path
        self._head = head
        self._commit = commit
        self._changes = {change.path: change for change in _changes(git, path, head, commit)}
        #: The files that git takes for changed, with its two letters for them.
        self._dirty = _status(git, path)

    def giving_way(self) -> list[str]:
        """Returns the files whose content the move has too; raises CheckoutDirty and FilesInTheWay."""
        if any("U" in letters or letters in ("AA", "DD") for letters in self._dirty.values()):
            conflicts = unfinished.Conflicts()
            raise errors.CheckoutDirty(self._path, conflicts.state, remedies=conflicts.ways_on(self._path))
        hidden = self._hidden()
        # What is staged as the landing has it, git leaves as it is.
        done = self._staged_alike()
        edited = [path for path in self._changes if (path in self._dirty or path in hidden) and path not in done]
        old = [path for path in edited if self._is_file(path, before=True)]
        # Renormalised files, and edits that are those of the landing.
        kept = conversions.same_as(self._git, self._path, self._head, self._present(old))
        untracked = [
            path for path, change in self._changes.items() if change.old_mode is None and path not in self._dirty
        ]
        blocking = [place for path in untracked if (place := self._in_the_way(path))]
        new = [path for path in (*edited, *untracked) if self._is_file(path, before=False) and path not in kept]
        same = conversions.same_as(self._git, self._path, self._commit, self._present(new))
        gives_way = {path for path in (*kept, *same) if self._dirty.get(path, " ")[0] == " "}
        own = [path for path in edited if path not in gives_way and not self._is_gone_anyway(path)]
        if own:
            raise errors.CheckoutDirty(
                self._path,
                f"has changes that are not committed where the landing has some: {_listed(own)}",
                files=own,
                remedies=[ways_out.set_aside(self._git, self._path, self._edited(own, hidden), self._dirty)],
            )
        in_the_way = sorted({place for place in blocking if place not in same})
        if in_the_way:
            raise errors.FilesInTheWay(
                self._path, in_the_way, [ways_out.move_away(self._path, in_the_way[:_NAMED], self._dirty)]
            )
        return sorted(gives_way)

    def _edited(self, paths: Sequence[str], hidden: dict[str, str]) -> list[Edited]:
        return [
            Edited(path, self._dirty.get(path, "  "), self._changes[path].old_mode is not None, hidden.get(path))
            for path in paths[:_NAMED]
        ]

    def _staged_alike(self) -> set[str]:
        """Returns the files of the move that are staged as it would have them."""
        staged = [path for path, letters in self._dirty.items() if letters[0] != " " and path in self._changes]
        if not staged:
            return set()
        others = self._git(
            self._path, "diff-index", "--cached", "--name-only", "--no-renames", "-z", self._commit, "--"
        )
        return set(staged) - set(others.split("\0"))

    def _is_file(self, path: str, *, before: bool) -> bool:
        change = self._changes[path]
        return (change.old_mode if before else change.mode) not in (None, _LINK)

    def _is_gone_anyway(self, path: str) -> bool:
        """Tells whether a file that somebody has deleted is one that the landing deletes too."""
        return self._changes[path].mode is None and not os.path.lexists(f"{self._path}/{path}")

    def _present(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if os.path.lexists(f"{self._path}/{path}")]

    def _hidden(self) -> dict[str, str]:
        """Returns those files of the move that git was told to take for unchanged, with what it was told."""
        if not self._changes:
            return {}
        tracked = [change.path for change in self._changes.values() if change.old_mode not in (None, _LINK)]
        # With each named, git compares all of its files with all names.
        named = ("--", *tracked) if len(tracked) <= _NAMED else ()
        answer = self._git(self._path, "--literal-pathspecs", "ls-files", "-v", "-z", *named)
        found: dict[str, str] = {}
        for entry in answer.split("\0"):
            letter, path = entry[:1], entry[2:]
            if path in self._changes and (letter.islower() or letter == "S") and path in self._present([path]):
                found[path] = "--no-skip-worktree" if letter in "Ss" else "--no-assume-unchanged"
        return found

    def _in_the_way(self, path: str) -> str | None:
        """Returns what stands where a new file goes and is not the move's own, None for nothing."""
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            place = Path(self._path, parent)
            if not os.path.lexists(place):
                return None
            if place.is_symlink() or not place.is_dir():
                # Fine if it is a file that goes away itself.
                return None if self._goes(str(parent)) else str(parent)
        place = Path(self._path, path)
        if not os.path.lexists(place):
            return None
        if place.is_symlink() or not place.is_dir():
            return path
        return path if self._holds_others(place) else None

    def _goes(self, path: str) -> bool:
        change = self._changes.get(path)
        return change is not None and change.old_mode not in (None, _LINK) and change.mode in (None, _LINK)

    def _holds_others(self, directory: Path) -> bool:
        """Tells whether a directory holds anything but what the move deletes."""
        # Not by os.walk, which recurses: directories may be deeper than Python allows.
        waiting = [str(directory)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not self._goes(os.path.relpath(entry.path, self._path)):
                        return True
        return False


def _changes(git: commands.Git, checkout: str, head: str, commit: str) -> list[Change]:
    # Without renames: each end of one is a place of its own.
    answer = git(
        checkout, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "-O/dev/null", head, commit
    )
    fields = answer.split("\0")
    found: list[Change] = []
    for entry, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, mode = entry[1:].split(" ")[:2]
        found.append(Change(path, None if old_mode == _ABSENT else old_mode, None if mode == _ABSENT else mode))
    return found


def _status(git: commands.Git, checkout: str) -> dict[str, str]:
    """Returns the tracked files that git takes for changed, with its letters for index and checkout.

    Submodules are left out: a landing moves their links alone.
    """
    options = ("--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames")
    # Without optional locks: somebody may be about to commit.
    answer = git(checkout, "--no-optional-locks", "status", *options)
    return {entry[3:]: entry[:2] for entry in answer.split("\0") if entry}


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
