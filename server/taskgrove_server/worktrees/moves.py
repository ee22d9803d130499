"""Moves a branch that people may have checked out: tells first whether that is possible, and what stands in the way.

Asked is whether this very move can be made, not whether everything is clean: people work in a checkout while tasks
land. Git alone would not do for the answer, since it takes ignored files for expendable when it moves a checkout, and
files for changed that it has itself checked out (see `conversions`).
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from taskgrove_server.domain import errors
from taskgrove_server.domain.errors import Remedy
from taskgrove_server.worktrees import branches, checkouts, commands, conversions, git_dirs, giving_way, unfinished
from taskgrove_server.worktrees.branches import Branch

#: Files that an obstacle names, and its remedy takes care of; the rest come up when these are out of the way.
_NAMED = 100

#: Seconds for which a lock on the index is waited for: of a git command that somebody has just given.
_PATIENCE = 1.0

_LINK = "160000"
_ABSENT = "000000"


class Change(NamedTuple):
    """What a move does at one path; a mode of None means that there is no file before, or after."""

    path: str
    old_mode: str | None
    mode: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """A branch that can be moved to a commit; `giving_way` are files of its checkout whose content the move has too."""

    branch: Branch
    commit: str
    git_dir: str | None = None
    giving_way: tuple[str, ...] = ()


def plan(git: commands.Git, repository: str, branch: Branch, commit: str) -> Move:
    """Returns how a branch would be moved, and touches nothing. To tell whether it can be, a tree will do for a commit.

    Raises TargetBusy, CheckoutDirty and FilesInTheWay, and GitFailed.
    """
    _require_free(git, repository, branch)
    if branch.checkout is None:
        return Move(branch, commit)
    git_dir = git_dirs.find(git, branch.checkout).own
    _require_settled(branch.checkout, git_dir, branch.name)
    files = _Checkout(git, branch.checkout, branch.head, commit).giving_way()
    return Move(branch, commit, git_dir, tuple(files))


def make(git: commands.Git, mover: commands.Git, repository: str, move: Move, reason: str) -> None:
    """Moves the branch, and the files of its checkout if there is one. Call it with the repository's lock.

    `mover` runs what is not to be ended when the server is killed or stopped. Raises CheckoutDirty, BranchMoved,
    OSError and GitFailed, and then nothing has moved.
    """
    branch = move.branch
    try:
        if branch.checkout is None or move.git_dir is None:
            mover(repository, "update-ref", "-m", reason, f"refs/heads/{branch.name}", move.commit, branch.head)
        else:
            with giving_way.out_of_the_way(branch.checkout, move.git_dir, move.giving_way):
                _fast_forward(mover, branch.checkout, branch.name, move.commit, reason)
    except commands.GitFailed as failure:
        now = branches.find(git, repository, branch.name)
        if now is None or now.head not in (branch.head, move.commit):
            raise errors.BranchMoved(branch.name, now.head if now else "") from failure
        if now.head == branch.head and branch.checkout is not None:
            raise errors.CheckoutDirty(
                branch.checkout, f"git cannot bring its files up to date: {failure}"
            ) from failure
        raise
    now = branches.find(git, repository, branch.name)
    if now is None or now.head != move.commit:
        raise commands.GitFailed(f"Git did not say why, but the branch {branch.name!r} has not moved.")


def recover(git: commands.Git, repository: str, name: str) -> None:
    """Puts back what a killed server left aside in the checkout of a branch; raises GitFailed and OSError."""
    branch = branches.find(git, repository, name)
    if branch is not None and branch.checkout is not None and Path(branch.checkout).is_dir():
        giving_way.put_back(branch.checkout, git_dirs.find(git, branch.checkout).own)


def _fast_forward(mover: commands.Git, checkout: str, branch: str, commit: str, reason: str) -> None:
    # A merge, because read-tree takes ignored files for expendable and has no option against it: whoever writes one
    # at this very moment keeps it. The branch's own options may be anything, another strategy or a squash among them.
    environment = {
        "GIT_REFLOG_ACTION": reason,
        # Not by -c, which takes the name of a branch with a "=" in it apart.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"branch.{branch}.mergeOptions",
        "GIT_CONFIG_VALUE_0": "",
    }
    options = ("--ff-only", "--no-overwrite-ignore", "--no-verify-signatures", "--no-squash", "--no-autostash")
    settings = ("-c", "submodule.recurse=false")
    mover(checkout, *settings, "merge", *options, "--quiet", "--no-stat", commit, environment=environment)


def _require_free(git: commands.Git, repository: str, branch: Branch) -> None:
    """Raises TargetBusy while the branch is held by what HEAD does not show, or by more than one checkout."""
    common_dir = git_dirs.find(git, repository).common
    if held := unfinished.holds(common_dir, branch.name):
        place = held.checkout or held.git_dir
        raise errors.TargetBusy(
            branch.name, place, f"a {held.operation.name} in {place!r} is not finished", held.operation.ways_on(place)
        )
    if branch.checkout is None:
        return
    places = branches.checkouts(git, repository, branch.name)
    if len(places) > 1:
        stays = repository if repository in places else places[0]
        others = [place for place in places if place != stays]
        raise errors.TargetBusy(
            branch.name,
            others[0],
            f"it is checked out in several places, of which only one could follow: {', '.join(map(repr, places))}",
            [
                Remedy(
                    "Leave it in all but one", _all(f"git -C {shlex.quote(place)} switch --detach" for place in others)
                ),
            ],
        )
    if checkouts.is_lost(branch.checkout):
        setting = f"git -C {shlex.quote(branch.checkout)} config core.worktree DIRECTORY"
        raise errors.TargetBusy(
            branch.name,
            branch.checkout,
            f"it is checked out, and git cannot tell where: it keeps only its own directory {branch.checkout!r}",
            [Remedy("Say where its files are", setting)],
        )
    if not Path(branch.checkout).is_dir():
        place = shlex.quote(branch.checkout)
        raise errors.TargetBusy(
            branch.name,
            branch.checkout,
            f"it is checked out in {branch.checkout!r}, which is gone",
            [
                Remedy(
                    "Have git forget that checkout, unless it comes back",
                    f"git -C {shlex.quote(repository)} worktree remove --force --force {place}",
                ),
            ],
        )


def _require_settled(checkout: str, git_dir: str, branch: str) -> None:
    """Raises CheckoutDirty in the middle of something, TargetBusy while another git command is at work."""
    if operation := unfinished.operation(git_dir):
        why = f"{operation.state}: finish or abort that first"
        raise errors.CheckoutDirty(checkout, why, remedies=operation.ways_on(checkout))
    lock = Path(git_dir, "index.lock")
    deadline = time.monotonic() + _PATIENCE
    while lock.exists():
        if time.monotonic() > deadline:
            raise errors.TargetBusy(
                branch,
                checkout,
                f"another git command works in its checkout {checkout!r}, or has left its lock {str(lock)!r} there",
                [Remedy("If no git command is at work there, remove the lock", f"rm -f {shlex.quote(str(lock))}")],
            )
        time.sleep(0.02)


class _Checkout:
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
                remedies=[_set_aside(self._path, own[:_NAMED], hidden)],
            )
        in_the_way = sorted({place for place in blocking if place not in same})
        if in_the_way:
            raise errors.FilesInTheWay(self._path, in_the_way, [_move_away(self._path, in_the_way[:_NAMED])])
        return sorted(gives_way)

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
        hidden = (entry for entry in answer.split("\0") if entry[:1].islower() or entry[:1] == "S")
        for entry in hidden:
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
        for parent, names, files in os.walk(directory):
            links = [name for name in names if Path(parent, name).is_symlink()]
            for name in (*files, *links):
                if not self._goes(str(Path(parent, name).relative_to(self._path))):
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


def _set_aside(checkout: str, files: Sequence[str], hidden: dict[str, str]) -> Remedy:
    place = f"git -C {shlex.quote(checkout)}"
    shown = [
        f"{place} update-index {option} -- {_quoted(path for path in files if hidden.get(path) == option)}"
        for option in sorted({option for path, option in hidden.items() if path in files})
    ]
    description = "Commit them, or set them aside (git stash pop brings them back)"
    return Remedy(description, _all((*shown, f"{place} stash push -- {_quoted(files)}")))


def _move_away(checkout: str, files: Sequence[str]) -> Remedy:
    move = f'for file in {_quoted(files)}; do mv -n -- "$file" "$file.mine"; done'
    return Remedy("Move it away", f"cd {shlex.quote(checkout)} && {move}")


def _quoted(files: Iterable[str]) -> str:
    return " ".join(shlex.quote(name) for name in files)


def _all(commands_: Iterable[str]) -> str:
    return " && ".join(commands_)


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
