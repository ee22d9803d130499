"""What in a checkout stands in the way of a move from one commit to another.

Only the places that the move changes are looked at. Git alone would not do for the answer, since it takes ignored files
for expendable when it moves a checkout, and files for changed that it has itself checked out (see `conversions`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from taskgrove_server.domain import errors
from taskgrove_server.domain.errors import Remedy
from taskgrove_server.worktrees import commands, conversions, giving_way, unfinished, ways_out
from taskgrove_server.worktrees.ways_out import Edited

#: Files that an obstacle names, and its remedy takes care of; the rest come up when these are out of the way.
_NAMED = 100

_LINK = "160000"
_ABSENT = "000000"


class Change(NamedTuple):
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
        self._changes = _changes(git, path, head, commit)
        #: The files that git takes for changed, with its two letters for them.
        self._dirty = _status(git, path)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Returns what the move does."""
        return tuple(self._changes.values())

    def giving_way(self) -> tuple[giving_way.File, ...]:
        """Returns the files whose content the move has too; raises CheckoutDirty and FilesInTheWay."""
        if any("U" in letters or letters in ("AA", "DD") for letters in self._dirty.values()):
            conflicts = unfinished.Conflicts()
            raise errors.CheckoutDirty(self._path, conflicts.state, remedies=conflicts.ways_on(self._path))
        hidden = self._hidden()
        # What is staged as the landing has it, git leaves as it is.
        done = self._staged_alike()
        edited = [path for path in self._changes if (path in self._dirty or path in hidden) and path not in done]
        untracked = [
            path for path, change in self._changes.items() if change.old_mode is None and path not in self._dirty
        ]
        # Before their contents are looked at.
        stamps = {path: giving_way.Stamp.of(f"{self._path}/{path}") for path in self._present((*edited, *untracked))}
        old = [path for path in edited if self._is_file(path, before=True)]
        # Renormalised files, and edits that are those of the landing.
        kept = conversions.same_as(self._git, self._path, self._head, self._present(old))
        blocking = [place for path in untracked if (place := self._in_the_way(path))]
        blocking += [change.path for change in self.changes if change.old_mode == _LINK and self._is_filled(change)]
        new = [path for path in (*edited, *untracked) if self._is_file(path, before=False) and path not in kept]
        same = conversions.same_as(self._git, self._path, self._commit, self._present(new))
        gives_way = {path for path in (*kept, *same) if self._dirty.get(path, " ")[0] == " "}
        own = [path for path in edited if path not in gives_way and not self._is_gone_anyway(path)]
        own += self._staged_around(untracked)
        if own:
            raise errors.CheckoutDirty(
                self._path,
                f"has changes that are not committed where the landing has some: {_listed(own)}",
                files=own,
                remedies=[ways_out.set_aside(self._git, self._path, self._edited(own, hidden), self._dirty)],
            )
        self._require_writable()
        in_the_way = sorted({place for place in blocking if place not in same and place not in own})
        if in_the_way:
            raise errors.FilesInTheWay(
                self._path, in_the_way, [ways_out.move_away(self._path, in_the_way[:_NAMED], self._dirty)]
            )
        return tuple(giving_way.File(path, stamps[path]) for path in sorted(gives_way) if path in stamps)

    def _edited(self, paths: Sequence[str], hidden: dict[str, str]) -> list[Edited]:
        return [
            Edited(path, self._dirty.get(path, "  "), self._is_tracked(path), hidden.get(path))
            for path in paths[:_NAMED]
        ]

    def _is_tracked(self, path: str) -> bool:
        """Tells whether the head has a file that stands in the way; one that is staged around a change may be new."""
        change = self._changes.get(path)
        return change.old_mode is not None if change else self._dirty.get(path, "A")[0] != "A"

    def _staged_alike(self) -> set[str]:
        """Returns the files of the move that are staged as it would have them."""
        staged = [path for path, letters in self._dirty.items() if letters[0] != " " and path in self._changes]
        if not staged:
            return set()
        others = self._git(
            self._path, "diff-index", "--cached", "--name-only", "--no-renames", "-z", self._commit, "--"
        )
        return set(staged) - set(others.split("\0"))

    def _staged_around(self, new: Iterable[str]) -> list[str]:
        """Returns files that are staged where the move makes a directory, or below where it makes a file."""
        files = {path for path in new if self._is_file(path, before=False)}
        parents = {str(parent) for path in files for parent in PurePosixPath(path).parents}
        others = [path for path in self._dirty if path not in self._changes]
        return [
            path
            for path in others
            if path in parents or any(str(parent) in files for parent in PurePosixPath(path).parents)
        ]

    def _is_filled(self, submodule: Change) -> bool:
        """Tells whether a submodule becomes a file, which would take its files, and all that only it has, with it."""
        if submodule.mode in (None, _LINK):
            return False
        with suppress(OSError):
            return any(Path(self._path, submodule.path).iterdir())
        return False

    def _require_writable(self) -> None:
        """Raises CheckoutDirty where files cannot be replaced, as those that a container has made as another user."""
        for name in {path.rpartition("/")[0] for path in self._changes}:
            directory = f"{self._path}/{name}" if name else self._path
            if os.path.isdir(directory) and not os.access(directory, os.W_OK | os.X_OK):  # noqa: PTH112
                owner = f"sudo chown {os.getuid()} {ways_out.word(directory)}"
                raise errors.CheckoutDirty(
                    self._path,
                    f"{directory!r} in it cannot be written by the server",
                    remedies=[Remedy("Give it to the user of the server", owner)],
                )

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
        for entry in (entry for entry in answer.split("\0") if entry[:1].islower() or entry[:1] == "S"):
            letter, path = entry[0], entry[2:]
            if path in self._changes and path in self._present([path]):
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


def undo(git: commands.Git, checkout: str, commit: str, changes: Sequence[Change], present: Collection[str]) -> None:
    """Takes back what a move that failed half-way has done to the files of a checkout, which `present` were there.

    Git leaves the index as it was then, but not the files that it has written before one that it could not write.
    """
    written = [change for change in changes if change.mode not in (None, _LINK)]
    there = [change.path for change in written if os.path.lexists(f"{checkout}/{change.path}")]
    moved = conversions.same_as(git, checkout, commit, there)
    gone = {change.path for change in changes if change.path in present} - {
        change.path for change in changes if os.path.lexists(f"{checkout}/{change.path}")
    }
    old = {change.path for change in changes if change.old_mode not in (None, _LINK)}
    for path in moved - old:
        Path(checkout, path).unlink()
    if back := sorted((moved | gone) & old):
        stdin = b"".join(os.fsencode(path) + b"\0" for path in back)
        git(checkout, "checkout-index", "--force", "--quiet", "-z", "--stdin", stdin=stdin)


def _changes(git: commands.Git, checkout: str, head: str, commit: str) -> dict[str, Change]:
    # Without renames: each end of one is a place of its own.
    answer = git(
        checkout, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "-O/dev/null", head, commit
    )
    fields = answer.split("\0")
    # Each begins with a colon and two modes; there may be very many.
    return {
        path: Change(path, _mode(entry[1:7]), _mode(entry[8:14]))
        for entry, path in zip(fields[::2], fields[1::2], strict=False)
    }


def _mode(text: str) -> str | None:
    return None if text == _ABSENT else text


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
