"""What there is to tell of the repositories inside a task's worktree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taskgrove.v1.change_pb2 import NestedRepository, SavedRepository

_KINDS = {
    NestedRepository.KIND_SUBMODULE: "submodule",
    NestedRepository.KIND_REPOSITORY: "repository",
    NestedRepository.KIND_WORKTREE: "worktree of the same repository",
}


def line(nested: NestedRepository) -> str:
    """Returns one repository in a line: where it is, what it is, and what only it has."""
    kind = _KINDS.get(nested.kind, "repository")
    return f"{nested.path} ({', '.join([kind, *_work(nested)])})"


def left_out(nested: NestedRepository) -> str:
    """Returns a sentence about a worktree whose work is no part of a landing."""
    return f"What was made in {nested.path} ({', '.join(_work(nested))}) is not part of it."


def saved(repositories: Iterable[SavedRepository]) -> Iterator[str]:
    """Yields a line for each repository whose work was saved."""
    for one in repositories:
        yield f"  what was in {one.path} is saved at {one.saved_ref}"


def _work(nested: NestedRepository) -> Iterator[str]:
    if nested.branch:
        yield f"branch {nested.branch}"
    if nested.commits:
        yield f"{nested.commits} commit{'' if nested.commits == 1 else 's'}"
    if nested.uncommitted_files:
        yield f"{nested.uncommitted_files} uncommitted file{'' if nested.uncommitted_files == 1 else 's'}"
