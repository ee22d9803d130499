"""Where a checkout stands: its head, its branch, and what is not committed in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from taskgrove_server.domain.worktree import NestedKind, NestedRepository
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import files, flagged, guarded
from taskgrove_server.worktrees.nested.repositories import Nested

#: How many fields an entry of `git status --porcelain=v2` has before its path.
_FIELDS = {"1": 8, "u": 10}


@dataclass(frozen=True, slots=True)
class Change:
    """A file that differs from the head; `is_new` when neither head nor index had it."""

    path: str
    is_new: bool
    is_unmerged: bool = False
    #: Nothing but its content differs, and none of it is staged.
    is_content: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Where one checkout stands."""

    #: None when it has no commit.
    head: str | None
    #: None when its HEAD is detached.
    branch: str | None
    changes: Sequence[Change]

    @property
    def repositories(self) -> list[str]:
        """Returns where repositories are of which the index knows nothing."""
        return [change.path[:-1] for change in self.changes if change.is_new and change.path.endswith("/")]

    @property
    def unmerged(self) -> list[str]:
        """Returns the files that a merge has left in conflict."""
        return [change.path for change in self.changes if change.is_unmerged]


def of(git: commands.Git, place: str | Nested, hidden: Sequence[str] = ()) -> State:
    """Returns where a checkout stands; a link that leads to another commit counts. Raises GitFailed.

    `hidden` are the flagged entries of its index, which a repository inside knows of itself.
    """
    environment: Mapping[str, str] = {}
    if isinstance(place, Nested):
        if place.is_bare:
            branch = guarded.ask(git, place, "symbolic-ref", "--quiet", "HEAD")
            head = guarded.ask(git, place, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
            return State(head, branch.removeprefix("refs/heads/") if branch else None, ())
        environment = guarded.without_filters(git, place)
        hidden = place.flagged
    # With links to submodules whatever .gitmodules says, but what is in them is asked of them. Without optional
    # locks: an agent may be about to commit.
    options = (
        *("--porcelain=v2", "--branch", "-z", "--untracked-files=all"),
        *("--no-renames", "--ignore-submodules=dirty", "--no-ahead-behind"),
    )
    arguments = ("--no-optional-locks", "status", *options)
    with flagged.cleared(git, place, hidden) as index:
        environment = {**environment, **index}
        # In the worktree itself as the person has it set up, such as with a fsmonitor.
        answer = (
            git(place, *arguments, environment=environment)
            if isinstance(place, str)
            else guarded.run(git, place, *arguments, environment=environment)
        )
    return _read(answer)


def _read(answer: str) -> State:
    head = branch = None
    changes: list[Change] = []
    for entry in answer.split("\0"):
        kind = entry[:1]
        if entry.startswith("# branch.oid "):
            head = None if entry.endswith("(initial)") else entry.rpartition(" ")[2]
        elif entry.startswith("# branch.head "):
            name = entry.removeprefix("# branch.head ")
            branch = None if name == "(detached)" else name
        elif kind == "?":
            changes.append(Change(entry[2:], is_new=True))
        elif kind in _FIELDS:
            fields = entry.split(" ", _FIELDS[kind])
            is_content = fields[1] == ".M" and fields[3] == fields[5]
            changes.append(Change(fields[-1], fields[1] == "A.", is_unmerged=kind == "u", is_content=is_content))
    return State(head, branch, changes)


def uncommitted(
    git: commands.Git, standing: State, found: Sequence[Nested], inside: Nested | None = None
) -> list[Change]:
    """Returns what a commit of a checkout would take, that of its submodules included; paths relative to it.

    `standing` is where the checkout stands; `found` are the repositories inside the worktree. What a sub-agent's
    worktree holds is no part of it.
    """
    children = {child.name: child for child in found if child.inside is inside}
    changes: list[Change] = []
    fresh: set[str] = set()
    for change in standing.changes:
        child = children.get(change.path.rstrip("/"))
        if child is None:
            changes.append(change)
        elif child.kind is NestedKind.SUBMODULE:
            changes.append(Change(child.name, is_new=change.is_new))
        elif change.path.endswith("/"):
            fresh.add(child.name)
    for name, child in children.items():
        match child.kind:
            case NestedKind.SUBMODULE:
                inner = uncommitted(git, of(git, child), found, child)
                changes += [Change(f"{name}/{one.path}", one.is_new, one.is_unmerged) for one in inner]
            case NestedKind.REPOSITORY if child.is_linked or name in fresh:
                changes += [Change(f"{name}/{one}", is_new=True) for one in files.of(git, child, found)]
            case NestedKind.WORKTREE if child.is_linked:
                changes.append(Change(name, is_new=False))
            case _:
                pass
    return changes


def describe(git: commands.Git, found: Sequence[Nested], task_head: str) -> tuple[NestedRepository, ...]:
    """Returns what there is to tell of the repositories inside a worktree; raises GitFailed."""
    return tuple(_described(git, nested, found, task_head) for nested in found)


def outside(found: Sequence[Nested], described: Sequence[NestedRepository]) -> int:
    """Counts the uncommitted files in repositories of which nothing enters a commit of the task."""
    return sum(one.uncommitted_files for nested, one in zip(found, described, strict=True) if nested.stays_out)


def left_out(git: commands.Git, found: Sequence[Nested], task_head: str) -> tuple[NestedRepository, ...]:
    """Returns the worktrees inside a worktree that have something which does not land with the task's work."""
    worktrees = [nested for nested in found if nested.kind is NestedKind.WORKTREE]
    described = (_described(git, nested, found, task_head) for nested in worktrees)
    return tuple(one for one in described if one.commits or one.uncommitted_files)


def _described(git: commands.Git, nested: Nested, found: Sequence[Nested], task_head: str) -> NestedRepository:
    try:
        return _describe(git, nested, found, task_head)
    except commands.GitFailed as failure:
        raise commands.GitFailed(
            f"The repository {nested.path!r} inside the worktree cannot be read: {failure}. Mend it, or move it away.",
            failure.status,
        ) from failure


def _describe(git: commands.Git, nested: Nested, found: Sequence[Nested], task_head: str) -> NestedRepository:
    state = of(git, nested)
    children = {child.name for child in found if child.inside is nested}
    own = _outside(state.changes, children)
    return NestedRepository(
        path=nested.path,
        kind=nested.kind,
        head_commit=state.head,
        branch=state.branch,
        uncommitted_files=sum(1 for _ in own),
        commits=_count(git, nested, state, task_head),
    )


def _outside(changes: Iterable[Change], children: set[str]) -> Iterable[Change]:
    return (change for change in changes if change.path.rstrip("/") not in children)


def _count(git: commands.Git, nested: Nested, state: State, task_head: str) -> int:
    """Counts the commits that nothing but a repository has."""
    if state.head is None:
        own = ["--branches", "--tags", "--not", "--remotes"]
    elif nested.kind is NestedKind.WORKTREE:
        own = [state.head, "--not", task_head]
    else:
        own = [state.head, "--branches", "--tags", "--not", "--remotes", *filter(None, [nested.recorded])]
    try:
        return int(guarded.run(git, nested, "rev-list", "--count", *own, "--"))
    except commands.GitFailed:
        # A commit that is recorded was never fetched.
        own = ["HEAD", "--branches", "--tags", "--not", "--remotes"]
        return int(guarded.run(git, nested, "rev-list", "--count", *own, "--"))
