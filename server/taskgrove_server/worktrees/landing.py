"""Plans landings: makes the new commits aside, so that no checkout ever stands in the middle of a merge.

Conflicts are found without a checkout (git-merge-tree(1), which needs git 2.38); `moves` then moves the branch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from taskgrove_server.domain import errors
from taskgrove_server.domain.errors import Remedy
from taskgrove_server.domain.worktree import LandStrategy
from taskgrove_server.worktrees import branches, commands, unfinished, ways_out
from taskgrove_server.worktrees.branches import Branch
from taskgrove_server.worktrees.staging import Standing
from taskgrove_server.worktrees.work import Work

#: Git's status for options that it does not know.
_USAGE = 129

#: What git takes for a time, and for a zone.
_SECONDS = re.compile(r"[0-9]{1,18}")
_ZONE = re.compile(r"[+-][0-9]{4}")

#: Characters that git drops at both ends of a name, and of which it takes none that has nothing else.
_DROPPED = "".join(map(chr, range(33))) + ".,:;<>\"\\'"


@dataclass(frozen=True, slots=True)
class Coming:
    """A commit that would land, and when it was made, in seconds since 1970."""

    id: str
    commit_time: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a landing would do to `target`. Nothing but objects is made so far."""

    target: Branch
    #: The commit that the target would be moved to, or the tree of one that `made` makes, on top of `parents`.
    result: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """How work is to land. `message` is for the commit that is made unless the task's are rebased."""

    strategy: LandStrategy
    message: str = ""
    include_other_commits: bool = False


def coming(git: commands.Git, work: Work) -> list[Coming]:
    """Returns the commits that would land, the newest first; raises GitFailed."""
    if work.base == work.head:
        return []
    known = (f"^{one}" for one in dict.fromkeys(work.excluded))
    lines = git(work.repository, "rev-list", "--topo-order", "--timestamp", work.head, *known).splitlines()
    entries = (line.split(" ") for line in lines)
    return [Coming(commit, int(seconds)) for seconds, commit in entries]


def plan(git: commands.Git, work: Work, wish: Wish, commits: Sequence[Coming], created: datetime) -> Plan:
    """Plans to land `commits`, which are all that are `coming`, of a task that was created at a time.

    Raises BranchNotFound without a target, TargetBusy for one whose name is no text, NothingToLand, OtherCommits,
    LandConflict, HistoriesUnrelated, MergesNotRebasable and GitFailed.
    """
    target = work.target
    if target is None:
        raise errors.BranchNotFound("")
    _require_text(work.repository, target)
    if work.is_landed:
        raise errors.NothingToLand(work.task_id, target.name)
    if not wish.include_other_commits and (others := other_commits(git, work, commits, created)):
        raise errors.OtherCommits(work.task_id, target.name, others, len(others))
    if wish.strategy is LandStrategy.REBASE:
        planned = Plan(target, _rebase(git, work, target))
        changes = planned.result != target.head
    else:
        parents = (target.head, work.head) if wish.strategy is LandStrategy.MERGE else (target.head,)
        planned = Plan(target, _merged(git, work, target), parents)
        changes = planned.result != target.tree
    if not changes:
        raise errors.NothingToLand(work.task_id, target.name)
    return planned


def made(git: commands.Git, work: Work, planned: Plan, wish: Wish) -> str:
    """Returns the commit that the target is to be moved to; raises GitFailed."""
    if not planned.parents:
        return planned.result
    return _commit(git, work.repository, planned.result, *planned.parents, message=wish.message)


def _require_text(repository: str, target: Branch) -> None:
    """Raises TargetBusy for a branch that no record and no message can name."""
    name = os.fsencode(target.name)
    text = name.decode(errors="replace")
    if text.encode() != name:
        old, new = ways_out.word(target.name), ways_out.word(text.replace("\ufffd", "-"))
        rename = Remedy("Rename it", f"git -C {ways_out.word(repository)} branch -m {old} {new}")
        raise errors.TargetBusy(target.name, repository, "its name is no UTF-8", [rename])


def require_finished(git: commands.Git, work: Work, standing: Standing) -> None:
    """Raises WorkUnfinished when the task's worktree, which stands as told, is in the middle of something."""
    if not work.present:
        return
    path = work.worktree.path
    begun = unfinished.in_worktree(git, path, has_conflicts=standing.has_conflicts)
    if begun:
        raise errors.WorkUnfinished(work.task_id, path, begun.state, begun.ways_on(path))


def other_commits(git: commands.Git, work: Work, commits: Sequence[Coming], created: datetime) -> list[str]:
    """Returns the full ids of those of the coming commits that are not the task's own, the newest first.

    Those are the commits that its branch was made from and the target has not, and those that are older than the task,
    as of a branch that its agent has checked out or merged.
    """
    start = work.worktree.base_commit
    below: set[str] = set()
    if start not in work.excluded and start != work.common:
        known = (f"^{one}" for one in work.excluded)
        below = set(git(work.repository, "rev-list", start, *known).split())
    # Git's clock has whole seconds.
    oldest = int(created.timestamp())
    return [commit.id for commit in commits if commit.id in below or commit.commit_time < oldest]


def _merged(git: commands.Git, work: Work, target: Branch) -> str:
    """Returns the tree of the target with the work merged into it; raises LandConflict and HistoriesUnrelated."""
    # A merge takes for its base what the two have in common: else a commit with the target's files on top of the base.
    ours = (
        target.head if work.base == work.common else _commit(git, work.repository, target.tree, work.base, message="")
    )
    return _merge(git, work, ours, work.head, target)


def _merge(git: commands.Git, work: Work, ours: str, theirs: str, target: Branch) -> str:
    """Returns the tree of a merge; raises LandConflict and HistoriesUnrelated."""
    options = ("--write-tree", "-z", "--name-only", "--no-messages")
    try:
        status, answer = git.outcome(work.repository, "merge-tree", *options, ours, theirs)
    except commands.GitFailed as failure:
        if failure.status == _USAGE:
            raise commands.GitFailed("Landing needs git 2.38 or newer on the server.", failure.status) from failure
        if branches.common(git, work.repository, ours, theirs) is None:
            raise _unrelated(work, target) from failure
        raise
    tree, *files = answer.rstrip("\0").split("\0")
    if status == 1:
        raise errors.LandConflict(work.task_id, target.name, sorted(set(files)), _by_hand(work, target))
    return tree


def _unrelated(work: Work, target: Branch) -> errors.HistoriesUnrelated:
    return errors.HistoriesUnrelated(work.task_id, target.name, _by_hand(work, target, "--allow-unrelated-histories"))


def _by_hand(work: Work, target: Branch, *options: str) -> Sequence[Remedy]:
    """Returns the way out of a conflict that needs neither the agent nor its right to run git."""
    if not work.present:
        return ()
    # The whole ref: a tag may have the branch's name, and that may look like an option. Settings forbid real merges.
    ref = ways_out.word(f"refs/heads/{target.name}")
    merge = " ".join((f"cd {ways_out.word(work.worktree.path)} && git merge --no-ff", *options, ref))
    return (Remedy("Or merge by hand in the task's worktree, resolve the conflicts and commit", merge),)


def _rebase(git: commands.Git, work: Work, target: Branch) -> str:
    """Makes each commit again on top of the target; returns the last.

    Raises MergesNotRebasable when the commits alone make something else than the whole work does, LandConflict and
    HistoriesUnrelated.
    """
    known = tuple(f"^{one}" for one in work.excluded)
    merges = git(work.repository, "rev-list", "--min-parents=2", "--max-count=1", work.head, *known)
    try:
        top = _commits_again(git, work, target, known)
        if merges and branches.tree(git, work.repository, top) != _merged(git, work, target):
            raise errors.MergesNotRebasable(work.task_id, target.name)
    except (errors.LandConflict, errors.HistoriesUnrelated) as conflict:
        if merges:
            # Where the agent has resolved it in a merge already, the commits before that conflict for ever; and where
            # it has merged another history, that has a commit without a parent.
            raise errors.MergesNotRebasable(work.task_id, target.name) from conflict
        raise
    return top


def _commits_again(git: commands.Git, work: Work, target: Branch, known: Sequence[str]) -> str:
    order = ("--reverse", "--topo-order", "--no-merges")
    top = target.head
    for commit in git(work.repository, "rev-list", *order, work.head, *known).split():
        parent = branches.commit(git, work.repository, f"{commit}^")
        if parent == top:
            top = commit
            continue
        before = branches.tree(git, work.repository, top)
        if parent is None:
            raise _unrelated(work, target)
        # A merge of these two has the parent for its base, so that it brings what the commit has changed.
        ours = _commit(git, work.repository, before, parent, message="")
        tree = _merge(git, work, ours, commit, target)
        if tree != before:
            top = _again(git, work.repository, commit, tree, top)
    return top


def _again(git: commands.Git, repository: str, commit: str, tree: str, parent: str) -> str:
    # Not git-log, to whose answer a person's settings add what they like to see.
    form = ("--no-commit-header", "--encoding=UTF-8", "--date=raw", "--format=%an%x00%ae%x00%ad%x00%ct%x00%B")
    name, email, date, time, text = git(repository, "rev-list", "--max-count=1", *form, commit).split("\0", 4)
    return _commit(git, repository, tree, parent, message=text, author=_author(name, email, date, time))


def _author(name: str, email: str, date: str, time: str) -> dict[str, str]:
    """Returns an author as git takes it, which refuses to write some that it reads; `time` is for want of a date."""
    # With @, since git takes 0 to 99999999 for a year and the like; it knows no zones of other than four digits.
    seconds, _, zone = date.partition(" ")
    seconds = next((one for one in (seconds, time) if _SECONDS.fullmatch(one)), "0")
    return {
        "GIT_AUTHOR_NAME": next((one for one in (name, email) if one.strip(_DROPPED)), "unknown"),
        "GIT_AUTHOR_EMAIL": email,
        "GIT_AUTHOR_DATE": f"@{seconds} {zone if _ZONE.fullmatch(zone) else '+0000'}",
    }


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
