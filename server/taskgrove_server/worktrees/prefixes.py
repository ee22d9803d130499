"""What the names of tasks' branches may begin with, beside the branches that there are.

Branches are named like files: where there is a branch "x" there can be none "x/y".
"""

from __future__ import annotations

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import commands


def taken(git: commands.Git, repository: str, prefix: str) -> errors.BranchPrefixTaken | None:
    """Returns why no branch can begin with a prefix, with another that works; None if one can. Raises GitFailed."""
    branch = _in_the_way(git, repository, prefix)
    if branch is None:
        return None
    other = prefix
    found: str | None = branch
    while found is not None:
        # A dash in the place of the slash, behind as many characters as the branch in the way has.
        other = f"{other[: len(found)]}-{other[len(found) + 1 :]}"
        found = _in_the_way(git, repository, other)
    return errors.BranchPrefixTaken(branch, prefix, other)


def _in_the_way(git: commands.Git, repository: str, prefix: str) -> str | None:
    """Returns a branch that has the name of a directory of the prefix."""
    parts = prefix.split("/")[:-1]
    directories = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    if not directories:
        return None
    # What is below each of them is listed too.
    patterns = [f"refs/heads/{directory}" for directory in directories]
    question = ("for-each-ref", "--ignore-case", "--format=%(refname:lstrip=2)", *patterns)
    listed = commands.rows(git(repository, *question))
    same = [name for name in listed if name in directories]
    if same:
        return same[0]
    folded = {directory.casefold() for directory in directories}
    alike = [name for name in listed if name.casefold() in folded]
    # On such a file system the two would be one file.
    if alike and git.ask(repository, "config", "--type=bool", "--get", "core.ignorecase") == "true":
        return alike[0]
    return None
