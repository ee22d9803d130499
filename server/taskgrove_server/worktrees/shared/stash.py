"""The stash of a repository, which all its checkouts share.

`git stash` in a clean worktree stashes nothing, and the `git stash pop` that follows takes the entry of somebody else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.shared import refs

REF = "refs/stash"

#: Seconds between attempts to read or to put back what somebody else is changing at the same time.
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)

#: Seconds after which a lock of git's is taken for a killed command's: git holds it while it writes one file.
_STALE = 2.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: the id of its commit, its message, and who made it when, as git's reflog has them."""

    commit: str
    message: str
    name: str
    email: str
    date: str

    @property
    def branch(self) -> str:
        """Returns the branch that the entry says it was made on, empty when its message says nothing of that."""
        for begins in ("WIP on ", "On "):
            if self.message.startswith(begins):
                return self.message.removeprefix(begins).partition(":")[0]
        return ""


def read(git: commands.Git, common_dir: str) -> tuple[Entry, ...]:
    """Returns the entries, the newest first; raises GitFailed. It takes for granted that there are some."""
    for pause in _PAUSES:
        with suppress(commands.GitFailed):
            return _read(git, common_dir)
        # Somebody has taken the last of them, or takes some at the moment.
        if git.ask(common_dir, refs.at(common_dir), "show-ref", "--verify", "--quiet", REF) is None:
            return ()
        time.sleep(pause)
    return _read(git, common_dir)


def _read(git: commands.Git, common_dir: str) -> tuple[Entry, ...]:
    options = ("--no-show-signature", "--no-patch", "--no-color", "--encoding=UTF-8", "--date=raw")
    form = "%H%x00%gs%x00%gn%x00%ge%x00%gd"
    answer = git(common_dir, refs.at(common_dir), "log", "--walk-reflogs", *options, f"--format={form}", REF, "--")
    entries: list[Entry] = []
    for line in answer.split("\n") if answer else ():
        commit, message, name, email, selector = line.split("\0")
        entries.append(Entry(commit, message, name, email, selector.partition("{")[2].removesuffix("}")))
    if not entries:
        # The ref alone, as after a fetch of it: git's own commands see nothing, but it leads to somebody's work.
        entries.append(Entry(git(common_dir, refs.at(common_dir), "rev-parse", "--verify", REF), "", "", "", ""))
    return tuple(entries)


def merged(before: Sequence[Entry], now: Sequence[Entry]) -> tuple[Entry, ...]:
    """Returns all entries of two states: what is new on top, then what was there, in its order."""
    known = {entry.commit for entry in before}
    return (*(entry for entry in now if entry.commit not in known), *before)


def put_back(git: commands.Git, common_dir: str, missing: Sequence[Entry], before: Sequence[Entry]) -> None:
    """Brings entries back to their places among the present ones; raises GitFailed. Done again, it changes nothing.

    `before` has the order.
    """
    for pause in _PAUSES:
        now = _present(git, common_dir)
        there = {entry.commit for entry in (*now, *missing)}
        wanted = merged([entry for entry in before if entry.commit in there], now)
        if [entry.commit for entry in now] == [entry.commit for entry in wanted]:
            return
        try:
            _write(git, common_dir, now, wanted)
        except commands.GitFailed:
            # Somebody else stashes at the same time, or was killed at it.
            time.sleep(pause)
            _remove_stale_lock(common_dir)
    if {entry.commit for entry in missing} - {entry.commit for entry in _present(git, common_dir)}:
        raise commands.GitFailed("The stash cannot be changed.")


def _remove_stale_lock(common_dir: str) -> None:
    lock = Path(common_dir, f"{REF}.lock")
    with suppress(OSError):
        if time.time() - lock.stat().st_mtime > _STALE:
            lock.unlink()


def _present(git: commands.Git, common_dir: str) -> tuple[Entry, ...]:
    if git.ask(common_dir, refs.at(common_dir), "show-ref", "--verify", "--quiet", REF) is None:
        return ()
    return read(git, common_dir)


def _write(git: commands.Git, common_dir: str, now: Sequence[Entry], wanted: Sequence[Entry]) -> None:
    """Makes the stash what is wanted, from the oldest entry that differs on.

    Each step names what it expects, so that one who stashes at the same time makes it fail.
    """
    top = now[0].commit if now else ""
    standing = len(now)
    if standing and [entry.commit for entry in now] != [entry.commit for entry in wanted[-standing:]]:
        # Nothing can be put below the top, so all of it is made anew.
        git(common_dir, refs.at(common_dir), "update-ref", "-d", REF, top)
        top, standing = "", 0
    for entry in reversed(wanted[: len(wanted) - standing]):
        who = {"GIT_COMMITTER_NAME": entry.name, "GIT_COMMITTER_EMAIL": entry.email, "GIT_COMMITTER_DATE": entry.date}
        message = ("-m", entry.message) if entry.message else ()
        expected = top or "0" * len(entry.commit)
        git(
            common_dir,
            *(refs.at(common_dir), "update-ref", "--create-reflog", *message, REF, entry.commit, expected),
            environment={name: value for name, value in who.items() if value},
        )
        top = entry.commit


def pin(git: commands.Git, common_dir: str, run_id: str, entries: Sequence[Entry]) -> None:
    """Holds the commits of entries by refs of a run's, so that not even `git gc --prune=now` takes them."""
    refs.update(git, common_dir, [f"update {_pin(run_id, n)} {entry.commit}" for n, entry in enumerate(entries, 1)])


def unpin(git: commands.Git, common_dir: str, run_id: str) -> None:
    """Removes these refs."""
    listed = git(common_dir, refs.at(common_dir), "for-each-ref", "--format=%(refname)", _pin(run_id, ""))
    refs.update(git, common_dir, [f"delete {ref}" for ref in commands.rows(listed)])


def _pin(run_id: str, number: int | str) -> str:
    return f"refs/taskgrove/stash/{run_id}/{number}"
