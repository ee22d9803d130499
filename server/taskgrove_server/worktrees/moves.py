"""Moves a branch that people may have checked out: tells first whether that is possible, and what stands in the way.

Asked is whether this very move can be made, not whether everything is clean: people work in a checkout while tasks
land. What its files have to do with it, `in_the_way` tells.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.domain.errors import Remedy
from taskgrove_server.worktrees import (
    branches,
    checkouts,
    commands,
    git_dirs,
    giving_way,
    in_the_way,
    moving_program,
    unfinished,
    ways_out,
)
from taskgrove_server.worktrees.branches import Branch
from taskgrove_server.worktrees.git_dirs import GitDirs
from taskgrove_server.worktrees.in_the_way import Change, Checkout

#: Seconds for which a lock on the index is waited for: of a git command that somebody has just given.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Move:
    """A branch that can be moved to a commit, and what that means for its checkout, if there is one."""

    branch: Branch
    commit: str
    git_dir: str | None = None
    changes: tuple[Change, ...] = ()
    #: Files whose content the move has too.
    giving_way: tuple[giving_way.File, ...] = ()


def plan(git: commands.Git, repository: str, branch: Branch, commit: str) -> Move:
    """Returns how a branch would be moved, and touches nothing. To tell whether it can be, a tree will do for a commit.

    Raises TargetBusy, CheckoutDirty and FilesInTheWay, and GitFailed.
    """
    _require_free(git, repository, branch)
    if branch.checkout is None:
        return Move(branch, commit)
    dirs = git_dirs.find(git, branch.checkout)
    _require_settled(branch.checkout, dirs, branch.name)
    checkout = Checkout(git, branch.checkout, branch.head, commit)
    return Move(branch, commit, dirs.own, checkout.changes, checkout.giving_way())


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
                _together(git, mover, branch.checkout, move, reason)
    except commands.GitFailed as failure:
        now = branches.find(git, repository, branch.name)
        if now is None or now.head not in (branch.head, move.commit) or failure.status == moving_program.MOVED:
            raise errors.BranchMoved(branch.name, now.head if now else "") from failure
        if now.head == branch.head and branch.checkout is not None:
            raise errors.CheckoutDirty(
                branch.checkout, f"git cannot bring its files up to date: {failure}"
            ) from failure
        raise
    now = branches.find(git, repository, branch.name)
    if now is None or now.head != move.commit:
        raise commands.GitFailed(f"Git did not say why, but the branch {branch.name!r} has not moved.")


def _together(git: commands.Git, mover: commands.Git, checkout: str, move: Move, reason: str) -> None:
    present = {change.path for change in move.changes if os.path.lexists(f"{checkout}/{change.path}")}
    program = f"!{shlex.quote(sys.executable)} -I -S {shlex.quote(moving_program.__file__)}"
    settings = ("-c", "submodule.recurse=false", "-c", f"alias.taskgrove-move={program}")
    ref = f"refs/heads/{move.branch.name}"
    added = b"".join(os.fsencode(change.path) + b"\0" for change in move.changes if change.old_mode is None)
    try:
        mover(checkout, *settings, "taskgrove-move", ref, move.branch.head, move.commit, reason, stdin=added)
    except commands.GitFailed:
        in_the_way.undo(git, checkout, move.commit, move.changes, present)
        raise


def recover(git: commands.Git, repository: str) -> None:
    """Puts back what a killed server left aside in the checkouts of a repository; raises GitFailed and OSError.

    Call it with the repository's lock.
    """
    for checkout in branches.all_checkouts(git, repository):
        if dirs := git_dirs.read(checkout):
            giving_way.put_back(checkout, dirs.own)


def _require_free(git: commands.Git, repository: str, branch: Branch) -> None:
    """Raises TargetBusy while the branch is held by what HEAD does not show, or by more than one checkout."""
    common_dir = git_dirs.find(git, repository).common
    if held := unfinished.holds(common_dir, branch.name):
        place = held.checkout or held.git_dir
        why = f"a {held.operation.name} in {place!r} is not finished"
        raise errors.TargetBusy(branch.name, place, why, held.operation.ways_on(place))
    if branch.checkout is None:
        return
    places = branches.checkouts(git, repository, branch.name)
    if len(places) > 1:
        stays = repository if repository in places else places[0]
        others = [place for place in places if place != stays]
        why = f"it is checked out in several places, of which only one could follow: {', '.join(map(repr, places))}"
        leave = " && ".join(f"git -C {ways_out.word(place)} switch --detach" for place in others)
        raise errors.TargetBusy(branch.name, others[0], why, [Remedy("Leave it in all but one", leave)])
    place = branch.checkout
    if checkouts.is_lost(place):
        why = f"it is checked out, and git cannot tell where: it keeps only its own directory {place!r}"
        setting = f"git -C {ways_out.word(place)} config core.worktree DIRECTORY"
        raise errors.TargetBusy(branch.name, place, why, [Remedy("Say where its files are", setting)])
    if not Path(place).is_dir():
        forget = f"git -C {ways_out.word(repository)} worktree remove --force --force {ways_out.word(place)}"
        remedy = Remedy("Have git forget that checkout, unless it comes back", forget)
        raise errors.TargetBusy(branch.name, place, f"it is checked out in {place!r}, which is gone", [remedy])


def _require_settled(checkout: str, dirs: GitDirs, branch: str) -> None:
    """Raises CheckoutDirty in the middle of something, TargetBusy while another git command is at work."""
    if operation := unfinished.operation(dirs.own):
        why = f"{operation.state}: finish or abort that first"
        raise errors.CheckoutDirty(checkout, why, remedies=operation.ways_on(checkout))
    locks = (f"{dirs.own}/index.lock", f"{dirs.own}/HEAD.lock", f"{dirs.common}/refs/heads/{branch}.lock")
    deadline = time.monotonic() + _PATIENCE
    while held := next(filter(os.path.lexists, locks), None):
        if time.monotonic() > deadline:
            why = f"another git command works in its checkout {checkout!r}, or has left its lock {held!r} there"
            remedy = Remedy("If no git command is at work there, remove the lock", f"rm -f {ways_out.word(held)}")
            raise errors.TargetBusy(branch, checkout, why, [remedy])
        time.sleep(0.02)
