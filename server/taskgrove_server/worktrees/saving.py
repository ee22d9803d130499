"""Keeps work that is about to be removed: under a ref of its own, from which it can be restored."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees import branches, commands

#: What the names of such refs begin with.
REFS = "refs/taskgrove/saved/"

#: What is read of such a ref's commit. Not by git-log, which re-encodes and decorates as the user's settings say.
_SAVED = "%(refname)%00%(objectname)%00%(parent)%00%(contents)"


@dataclass(frozen=True, slots=True)
class Saved:
    """Work that was saved: `head` is the last commit of the task; `commit` has what was not committed on top."""

    ref: str
    commit: str
    head: str

    @property
    def is_snapshot(self) -> bool:
        """Tells whether something was saved that was not committed."""
        return self.commit != self.head

    @classmethod
    def find(cls, git: commands.Git, repository: str, ref: str | None) -> Self | None:
        """Returns what is saved under a ref, None when there is nothing (any more)."""
        if ref is None:
            return None
        answer = git(repository, "for-each-ref", "--count=1", f"--format={_SAVED}", ref)
        found, commit, parents, message = answer.split("\0", 3) if answer else ("", "", "", "")
        # The refs below a directory of that name are listed too.
        if found != ref:
            return None
        task_id = ref.removeprefix(REFS).partition("/")[0]
        return cls(ref, commit, parents.split()[0] if parents and message.rstrip("\n") == _text(task_id) else commit)


def save(git: commands.Git, repository: str, task_id: TaskId, head: str, snapshot: str | None) -> Saved:
    """Saves a commit, and a tree that goes beyond it, if any."""
    commit = head
    if snapshot is None and _is_snapshot(git, repository, task_id, head):
        # The agent has gone on from what was saved before, as by a merge: by itself it would be taken for more than a
        # last commit.
        snapshot = branches.tree(git, repository, head)
    if snapshot is not None:
        text = f"{_text(task_id)}\n"
        commit = git(repository, "commit-tree", snapshot, "-p", head, "-F", "-", stdin=text.encode())
    saved = _saved(git, repository, task_id)
    for ref, known in saved.items():
        # What a killed server had saved already.
        if known == commit and ref.rpartition("/")[0] == f"{REFS}{task_id}":
            return Saved(ref, commit, head)
    ref = _next(task_id, saved)
    git(repository, "update-ref", "--create-reflog", ref, commit, "0" * len(commit))
    return Saved(ref, commit, head)


def verify(git: commands.Git, repository: str, saved: Saved, known: Iterable[str]) -> None:
    """Removes a ref again whose commit is not whole, and raises GitFailed then; `known` are commits that are.

    Beside `git gc --prune=now`, objects go that nothing led to when it began.
    """
    try:
        git(repository, "rev-list", "--objects", "--quiet", saved.commit, "--not", *known, "--")
    except commands.GitFailed as failure:
        with suppress(commands.GitFailed):
            git(repository, "update-ref", "-d", saved.ref, saved.commit)
        raise commands.GitFailed(
            "Not all of the work that was to be saved is in the repository, as beside 'git gc --prune=now'. "
            f"Nothing was removed: call again. Git says: {failure}",
            failure.status,
        ) from failure


def next_ref(git: commands.Git, repository: str, task_id: TaskId) -> str:
    """Returns a name that nothing was saved under, for a ref or for several below it."""
    return _next(task_id, _saved(git, repository, task_id))


def _text(task_id: str) -> str:
    """Returns the whole message of a snapshot, by which it is known: a commit of an agent's may quote some of it."""
    return f"What task {task_id} had not committed\n\nTaskgrove-Task: {task_id}\nTaskgrove-Snapshot: uncommitted"


def _is_snapshot(git: commands.Git, repository: str, task_id: TaskId, commit: str) -> bool:
    message = git(repository, "cat-file", "commit", commit).partition("\n\n")[2]
    return message.rstrip("\n") == _text(task_id)


def _saved(git: commands.Git, repository: str, task_id: TaskId) -> dict[str, str]:
    """Returns the commits that were saved of a task, by ref, those of repositories that it had made included."""
    answer = git(repository, "for-each-ref", "--format=%(objectname) %(refname)", f"{REFS}{task_id}/")
    return {ref: commit for commit, ref in (line.split(" ", 1) for line in commands.rows(answer))}


def _next(task_id: TaskId, saved: Iterable[str]) -> str:
    parts = (ref.removeprefix(f"{REFS}{task_id}/").partition("/")[0] for ref in saved)
    return f"{REFS}{task_id}/{max((int(part) for part in parts if part.isdecimal()), default=0) + 1}"
