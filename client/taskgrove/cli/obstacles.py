"""What stands in the way of landing, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from taskgrove import errors
from taskgrove.cli import words
from taskgrove.v1 import landing_pb2, worktree_service_pb2

_Check = worktree_service_pb2.CheckLandResponse

#: Commits of others that are shown.
_COMMITS = 10


@dataclass(frozen=True, slots=True)
class Attempt:
    """A landing that was asked for."""

    task_id: str
    #: As it was given; None when it was left to the server.
    target_branch: str | None
    strategy: landing_pb2.LandStrategy

    def command(self, *options: str, strategy: landing_pb2.LandStrategy | None = None) -> str:
        """Returns the command that tries it again, with further options, or in another way."""
        way = words.land_strategy(self.strategy if strategy is None else strategy)
        onto = ("--onto", shlex.quote(self.target_branch)) if self.target_branch else ()
        how = () if way == "merge" and strategy is None else (f"--{way}",)
        return " ".join(("taskgrove land", self.task_id, *onto, *how, *options))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What stands in the way: a sentence, what it is about, a line each, and (what to do, the command) pairs."""

    what: str
    details: tuple[str, ...] = ()
    advice: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The explanation, in as many lines as it takes."""
        lines = [self.what, *(f"  {detail}" for detail in self.details)]
        for what, command in self.advice:
            lines += [f"{what}:", f"  {command}"]
        return "\n".join(lines)


def explain(again: Attempt, check: _Check) -> Explanation:
    """Returns what a check found in the way."""
    task_id, branch = again.task_id, check.target_branch
    remedies = tuple((remedy.description, remedy.command) for remedy in check.remedies)
    match check.obstacle:
        case _Check.OBSTACLE_TASK_ACTIVE:
            return Explanation(
                f"Task {task_id} is still queued or running.",
                advice=(
                    ("Wait until it rests", f"taskgrove watch {task_id}"),
                    ("Or stop it", f"taskgrove cancel {task_id}"),
                ),
            )
        case _Check.OBSTACLE_NOTHING_TO_LAND:
            return Explanation(
                f"There is nothing to land: {branch} has everything of task {task_id} already.",
                advice=(("See what the task did", f"taskgrove show {task_id}"),),
            )
        case _Check.OBSTACLE_CONFLICT if not check.conflicting_files:
            # Histories that have nothing in common.
            return Explanation(check.message, advice=(*_anew(task_id, branch), *remedies))
        case _Check.OBSTACLE_CONFLICT:
            return Explanation(
                f"Task {task_id} and {branch} have changed the same places:",
                details=tuple(check.conflicting_files),
                advice=(*_other_ways(again), *_anew(task_id, branch), *remedies),
            )
        case _Check.OBSTACLE_MERGES_NOT_REBASABLE:
            return Explanation(
                f"Task {task_id} has merge commits with changes of their own, which a rebase would lose.",
                advice=(
                    ("Land it as a merge", again.command(strategy=landing_pb2.LAND_STRATEGY_MERGE)),
                    ("Or as one commit", again.command(strategy=landing_pb2.LAND_STRATEGY_SQUASH)),
                ),
            )
        case _Check.OBSTACLE_OTHER_COMMITS:
            count = check.other_commit_count
            them = "a commit that is" if count == 1 else f"{count} commits that are"
            return Explanation(
                f"Besides the work of task {task_id}, {branch} would get {them} not its own:",
                details=tuple(_commits(check)),
                advice=(
                    ("Land on the branch that it was begun on", f"taskgrove land {task_id} --onto BRANCH"),
                    ("Or land all of them", again.command("--include-other-commits")),
                ),
            )
        case _Check.OBSTACLE_WORKTREE_DIRTY:
            return Explanation(
                f"The worktree of task {task_id} has changes that are not committed.",
                advice=(
                    ("Look at them", f"taskgrove diff {task_id}"),
                    ("Land them with the rest", again.command("--commit-uncommitted")),
                ),
            )
        case _Check.OBSTACLE_WORK_UNFINISHED:
            prompt = shlex.quote("Finish the merge or rebase that stands unfinished in your worktree, or abort it.")
            return Explanation(
                check.message,
                advice=(*remedies, ("Or have the agent see to it", f"taskgrove continue {task_id} {prompt}")),
            )
        case _Check.OBSTACLE_UNPUBLISHED_SUBMODULE:
            anyway = ("Or land it all the same", again.command("--include-unpublished-submodules"))
            return Explanation(check.message, advice=(*remedies, anyway))
        case _Check.OBSTACLE_NO_TARGET_BRANCH:
            return Explanation(
                "There is no branch to land on: the repository has none checked out.",
                advice=(("Name one", f"taskgrove land {task_id} --onto BRANCH"),),
            )
        case _Check.OBSTACLE_CHECKOUT_DIRTY | _Check.OBSTACLE_FILES_IN_THE_WAY | _Check.OBSTACLE_TARGET_BUSY:
            return Explanation(check.message, details=tuple(check.blocking_files), advice=remedies)
        case _:
            # Of a newer server, which has its words for it.
            what = check.message or f"Task {task_id} cannot land, for a reason that this version does not know."
            return Explanation(what, advice=remedies)


def after(again: Attempt, check: _Check, error: errors.TaskgroveError) -> Explanation:
    """Returns why a landing was refused that a check had found possible, of which another one may tell more."""
    if check.can_land:
        return Explanation(error.message)
    return explain(again, check)


def _other_ways(again: Attempt) -> Iterable[tuple[str, str]]:
    """A rebase may conflict at a commit where the whole of the work does not."""
    if again.strategy == landing_pb2.LAND_STRATEGY_REBASE:
        merge = again.command("--check", strategy=landing_pb2.LAND_STRATEGY_MERGE)
        yield ("See whether it can land as a merge", merge)


def _anew(task_id: str, branch: str) -> Iterable[tuple[str, str]]:
    """Works for every agent, also for one that may not run git."""
    yield (f"Have it done anew from where {branch} is now", f"taskgrove retry {task_id}")


def _commits(check: _Check) -> Iterable[str]:
    shown = check.other_commits[:_COMMITS]
    yield from (f"{commit.id[: words.SHORT]} {commit.subject}" for commit in shown)
    if check.other_commit_count > len(shown):
        yield f"and {check.other_commit_count - len(shown)} more"
