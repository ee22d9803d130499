"""What stands in the way of landing, and what to do about it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from taskgrove import errors
from taskgrove.v1 import change_pb2, task_pb2, worktree_service_pb2

_Check = worktree_service_pb2.CheckLandResponse

#: The obstacle that each refusal of a landing tells of, when it came up after the check.
_BY_ERROR: dict[type[errors.TaskgroveError], _Check.Obstacle] = {
    errors.TaskActive: _Check.OBSTACLE_TASK_ACTIVE,
    errors.NothingToLand: _Check.OBSTACLE_NOTHING_TO_LAND,
    errors.LandConflict: _Check.OBSTACLE_CONFLICT,
    errors.WorktreeDirty: _Check.OBSTACLE_WORKTREE_DIRTY,
    errors.SubmoduleUnpublished: _Check.OBSTACLE_UNPUBLISHED_SUBMODULE,
    errors.CheckoutDirty: _Check.OBSTACLE_CHECKOUT_DIRTY,
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What stands in the way: a sentence, the files that conflict, and (what to do, the command) pairs."""

    what: str
    files: tuple[str, ...] = ()
    advice: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The explanation, in as many lines as it takes."""
        lines = [self.what, *(f"  {file}" for file in self.files)]
        for what, command in self.advice:
            lines += [f"{what}:", f"  {command}"]
        return "\n".join(lines)


def explain(task_id: str, check: _Check, worktree: task_pb2.Worktree | None = None) -> Explanation:
    """Returns what a check found in the way; `worktree` is the task's, where it is known."""
    branch = check.target_branch
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
        case _Check.OBSTACLE_CONFLICT:
            prompt = shlex.quote(f"Merge the branch {branch} into yours, and resolve the conflicts.")
            return Explanation(
                f"Task {task_id} and {branch} have changed the same places:",
                files=tuple(check.conflicting_files),
                advice=(("Have the agent bring its branch up to date", f"taskgrove continue {task_id} {prompt}"),),
            )
        case _Check.OBSTACLE_WORKTREE_DIRTY:
            return Explanation(
                f"The worktree of task {task_id} has changes that are not committed.",
                advice=(
                    ("Look at them", f"taskgrove diff {task_id}"),
                    ("Land them with the rest", f"taskgrove land {task_id} --commit-uncommitted"),
                ),
            )
        case _Check.OBSTACLE_UNPUBLISHED_SUBMODULE:
            return _unpublished(task_id, check, worktree)
        case _Check.OBSTACLE_CHECKOUT_DIRTY:
            place = f"git -C {shlex.quote(check.checkout_path)}"
            return Explanation(
                f"{branch} is checked out in {check.checkout_path}, with changes that are not committed.",
                advice=(("Commit them, or set them aside", f"{place} stash --include-untracked"),),
            )
        case _Check.OBSTACLE_NO_TARGET_BRANCH:
            return Explanation(
                "There is no branch to land on: the repository has none checked out.",
                advice=(("Name one", f"taskgrove land {task_id} --onto BRANCH"),),
            )
        case _:
            return Explanation(f"Task {task_id} cannot land, for a reason that this version does not know.")


def _unpublished(task_id: str, check: _Check, worktree: task_pb2.Worktree | None) -> Explanation:
    advice = [("Or land it all the same", f"taskgrove land {task_id} --include-unpublished-submodules")]
    kind = change_pb2.NestedRepository.KIND_SUBMODULE
    submodule = next((one for one in check.nested_repositories if one.kind == kind), None)
    if submodule and worktree:
        place = shlex.quote(f"{worktree.path}/{submodule.path}")
        refspec = shlex.quote(f"{submodule.head_commit}:refs/heads/{worktree.branch}")
        advice.insert(0, ("Push it to its remote repository", f"git -C {place} push origin {refspec}"))
    which = f"the submodule {submodule.path}" if submodule else "a submodule"
    return Explanation(
        f"Task {task_id} leads to a commit of {which} that no remote repository is known to have, so that others "
        "could not check it out.",
        advice=tuple(advice),
    )


def after(task_id: str, check: _Check, error: errors.TaskgroveError) -> Explanation:
    """Returns why a landing was refused that a check had found possible; raises the error that is no obstacle."""
    obstacle = _BY_ERROR.get(type(error))
    if obstacle is None:
        raise error
    files = error.metadata.get("files", "").splitlines()
    path = error.metadata.get("path", "") if obstacle == _Check.OBSTACLE_CHECKOUT_DIRTY else check.checkout_path
    found = explain(
        task_id,
        _Check(
            obstacle=obstacle,
            conflicting_files=files,
            target_branch=error.metadata.get("target_branch") or check.target_branch,
            checkout_path=path,
        ),
    )
    # The server's own words name what the check cannot know, such as the files in the way.
    return Explanation(found.what if files else error.message, found.files, found.advice)
