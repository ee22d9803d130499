"""Lands work on a branch. The new commits are made aside, and the branch is moved to them in one step.

No checkout ever stands in the middle of a merge: conflicts are found without one (git-merge-tree(1), which needs git
2.38), and where the branch is checked out, its files follow by a fast-forward, which git refuses before it begins when
a file has changes of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.domain.worktree import LandStrategy
from taskgrove_server.worktrees import branches, checkouts, commands, git_dirs
from taskgrove_server.worktrees.branches import Branch
from taskgrove_server.worktrees.work import Work

#: What a git directory holds while its checkout is in the middle of something.
_UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "BISECT_LOG")

#: Git's status for options that it does not know.
_USAGE = 129


@dataclass(frozen=True, slots=True)
class Plan:
    """What a landing would do: the commit that `target` would be moved to. Nothing but objects is made so far."""

    target: Branch
    commit: str


def plan(git: commands.Git, work: Work, strategy: LandStrategy, message: str) -> Plan:
    """Makes the commits of a landing. `message` is for the one that is made unless they are rebased.

    Raises BranchNotFound without a target, NothingToLand, LandConflict and GitFailed.
    """
    target = work.target
    if target is None:
        raise errors.BranchNotFound("")
    if work.base == work.head or branches.contains(git, work.repository, target.head, work.head):
        raise errors.NothingToLand(work.task_id, target.name)
    if strategy is LandStrategy.REBASE:
        commit = _rebase(git, work, target)
    else:
        tree = _merge(git, work, _as_if_from(git, work.repository, target.head, work.base), work.head, target)
        if tree == branches.tree(git, work.repository, target.head):
            raise errors.NothingToLand(work.task_id, target.name)
        parents = (target.head, work.head) if strategy is LandStrategy.MERGE else (target.head,)
        commit = _commit(git, work.repository, tree, *parents, message=message)
    if commit == target.head:
        raise errors.NothingToLand(work.task_id, target.name)
    return Plan(target, commit)


def check_checkout(git: commands.Git, target: Branch) -> None:
    """Raises CheckoutDirty when the branch is checked out with changes of its own."""
    if target.checkout is None:
        return
    if checkouts.is_lost(target.checkout):
        setting = f"'git -C {target.checkout} config core.worktree <directory>'"
        raise errors.CheckoutDirty(target.checkout, f"git cannot tell where its files are: say so by {setting}")
    own = git_dirs.of(git, target.checkout).own
    for name in _UNFINISHED:
        if os.path.lexists(Path(own, name)):
            raise errors.CheckoutDirty(target.checkout, "stands in the middle of a merge or a rebase: finish it first")
    options = ("--porcelain=v1", "--untracked-files=no", "--ignore-submodules=none")
    if git(target.checkout, "--no-optional-locks", "status", *options):
        raise errors.CheckoutDirty(target.checkout, "has changes that are not committed: commit or stash them")


def apply(git: commands.Git, mover: commands.Git, repository: str, planned: Plan, reason: str) -> None:
    """Moves the branch, and the files of its checkout if there is one. Call it with the repository's lock.

    `mover` runs what is not to be ended when the server is killed or stopped. Raises CheckoutDirty, BranchMoved and
    GitFailed, and then nothing has moved.
    """
    target = planned.target
    found = branches.find(git, repository, target.name)
    if found != target:
        raise errors.BranchMoved(target.name, found.head if found else "")
    check_checkout(git, target)
    try:
        if target.checkout is None:
            mover(repository, "update-ref", "-m", reason, f"refs/heads/{target.name}", planned.commit, target.head)
        else:
            settings = ("-c", "submodule.recurse=false", "-c", "merge.autoStash=false")
            mover(
                target.checkout,
                *settings,
                *("merge", "--ff-only", "--quiet", "--no-stat", planned.commit),
                environment={"GIT_REFLOG_ACTION": reason},
            )
    except commands.GitFailed as failure:
        now = branches.find(git, repository, target.name)
        if now is None or now.head not in (target.head, planned.commit):
            raise errors.BranchMoved(target.name, now.head if now else "") from failure
        if now.head == target.head and target.checkout is not None:
            raise errors.CheckoutDirty(
                target.checkout, f"git cannot bring its files up to date: {failure}"
            ) from failure
        raise


def _merge(git: commands.Git, work: Work, ours: str, theirs: str, target: Branch) -> str:
    """Returns the tree of a merge; raises LandConflict."""
    options = ("--write-tree", "-z", "--name-only", "--no-messages")
    try:
        status, answer = git.outcome(work.repository, "merge-tree", *options, ours, theirs)
    except commands.GitFailed as failure:
        if failure.status == _USAGE:
            raise commands.GitFailed("Landing needs git 2.38 or newer on the server.", failure.status) from failure
        raise
    tree, *files = answer.rstrip("\0").split("\0")
    if status == 1:
        raise errors.LandConflict(work.task_id, target.name, sorted(set(files)))
    return tree


def _as_if_from(git: commands.Git, repository: str, commit: str, base: str) -> str:
    """Returns a commit with the files of another, whose history is that of `base`: a merge takes that for the base."""
    if branches.common(git, repository, commit, base) == base and branches.contains(git, repository, commit, base):
        return commit
    return _commit(git, repository, branches.tree(git, repository, commit), base, message="")


def _rebase(git: commands.Git, work: Work, target: Branch) -> str:
    """Makes each commit again on top of the target; returns the last."""
    order = ("--reverse", "--topo-order", "--no-merges")
    own = git(work.repository, "rev-list", *order, work.head, *(f"^{one}" for one in work.excluded)).split()
    top = target.head
    for commit in own:
        parent = branches.commit(git, work.repository, f"{commit}^")
        if parent == top:
            top = commit
            continue
        before = branches.tree(git, work.repository, top)
        if parent is None:
            raise errors.RepositoryFailed(f"The commit {commit} has no parent, and cannot be rebased.")
        # A merge of these two has the parent for its base, so that it brings what the commit has changed.
        ours = _commit(git, work.repository, before, parent, message="")
        tree = _merge(git, work, ours, commit, target)
        if tree != before:
            top = _again(git, work.repository, commit, tree, top)
    return top


def _again(git: commands.Git, repository: str, commit: str, tree: str, parent: str) -> str:
    form = "%an%x00%ae%x00%ad%x00%B"
    name, email, date, text = git(
        repository, "log", "-1", "--encoding=UTF-8", "--date=raw", f"--format={form}", commit
    ).split("\0", 3)
    author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
    return _commit(git, repository, tree, parent, message=text, author=author)


def _commit(
    git: commands.Git,
    repository: str,
    tree: str,
    *parents: str,
    message: str,
    author: Mapping[str, str] | None = None,
) -> str:
    options = [part for parent in parents for part in ("-p", parent)]
    text = os.fsencode(message)
    return git(repository, "commit-tree", tree, *options, "-F", "-", stdin=text, environment=author)
