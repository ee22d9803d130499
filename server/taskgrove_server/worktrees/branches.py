"""Questions about branches and commits of a repository."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.worktrees import checkouts as places
from taskgrove_server.worktrees import commands, git_dirs

_HEADS = "refs/heads/"

_BRANCH = "%(refname)%00%(symref)%00%(objectname)%00%(tree)%00%(worktreepath)%00"


@dataclass(frozen=True, slots=True)
class Branch:
    """A local branch: its name, the full id of its head, and the checkout that it is checked out in, if any.

    Where that is a git directory, the branch is checked out at a place that cannot be told; see `checkouts.place`.
    """

    name: str
    head: str
    #: The full id of the head's tree.
    tree: str
    checkout: str | None


def find(git: commands.Git, repository: str, name: str) -> Branch | None:
    """Returns a local branch, None when there is none of this very name.

    Of one that is but another name for a branch, as `master` for `main`, returns the latter: that is what moves.
    """
    return find_all(git, repository, (name,)).get(name)


def find_all(git: commands.Git, repository: str, names: Iterable[str]) -> dict[str, Branch]:
    """Returns those of some local branches that there are, by name; see `find`."""
    wanted = {f"{_HEADS}{name}": name for name in names}
    if not wanted:
        return {}
    # Not by a revision like "refs/heads/x", of which "x~3" or "x@{1}" would be found too.
    fields = git(repository, "for-each-ref", f"--format={_BRANCH}", *wanted).split("\0")
    found: dict[str, Branch] = {}
    # A path may have newlines in it, a name not. The branches below a directory of that name are listed too.
    for ref, symref, head, tree, checkout in zip(*(fields[at::5] for at in range(5)), strict=False):
        if (name := wanted.get(ref.removeprefix("\n"))) is None:
            continue
        if not symref:
            found[name] = Branch(name, head, tree, places.place(git, repository, checkout) if checkout else None)
        elif symref.startswith(_HEADS) and (other := find(git, repository, symref.removeprefix(_HEADS))):
            found[name] = other
    return found


def checkouts(git: commands.Git, repository: str, name: str) -> list[str]:
    """Returns the paths of all checkouts that a local branch is checked out in; git allows several when forced."""
    return _listed(git, repository, f"branch {_HEADS}{name}")


def all_checkouts(git: commands.Git, repository: str) -> list[str]:
    """Returns the paths of all checkouts of a repository."""
    return _listed(git, repository, None)


def _listed(git: commands.Git, repository: str, wanted: str | None) -> list[str]:
    entries = git(repository, "worktree", "list", "--porcelain", "-z").split("\0\0")
    found = [entry.split("\0") for entry in entries if entry]
    listed = [fields[0].removeprefix("worktree ") for fields in found if wanted is None or wanted in fields]
    return [path for checkout in listed if (path := places.place(git, repository, checkout))]


def tip(git: commands.Git, repository: str, name: str) -> str | None:
    """Returns the full id of a local branch's head, None when there is no such branch."""
    found = find(git, repository, name)
    return found.head if found else None


def find_base(git: commands.Git, repository: str, name: str) -> str | None:
    """Returns the ref of a local branch of this name, or else of a remote-tracking one; None if there is neither."""
    for space in ("heads", "remotes"):
        ref = f"refs/{space}/{name}"
        if git.ask(repository, "show-ref", "--verify", "--quiet", ref) is not None:
            return ref
    return None


def checked_out(git: commands.Git, repository: str) -> str | None:
    """Returns the branch that a checkout has checked out, None for a detached HEAD and where there is no checkout."""
    if not os.path.lexists(Path(repository, ".git")):
        # A git directory stands in for a checkout that is gone: its HEAD may be that of another one.
        return None
    dirs = git_dirs.read(repository)
    ref = git_dirs.head(dirs.own) if dirs else None
    if ref is None:
        ref = git.ask(repository, "symbolic-ref", "--quiet", "HEAD")
    return name_of(ref) if ref else None


def name_of(ref: str) -> str | None:
    """Returns the name of the local branch that a ref is, None for other refs and for commits."""
    return ref.removeprefix(_HEADS) if ref.startswith(_HEADS) else None


def commit(git: commands.Git, repository: str, revision: str) -> str | None:
    """Returns the full id of the commit at a revision of our own making, None when there is none."""
    return git.ask(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")


def tree(git: commands.Git, repository: str, commit_id: str) -> str:
    """Returns the full id of a commit's tree."""
    return git(repository, "rev-parse", "--verify", f"{commit_id}^{{tree}}")


def contains(git: commands.Git, repository: str, commit_id: str, part: str) -> bool:
    """Tells whether a commit has all that another has."""
    return commit_id == part or git.ask(repository, "merge-base", "--is-ancestor", part, commit_id) is not None


def common(git: commands.Git, repository: str, one: str, other: str) -> str | None:
    """Returns the best commit that two have in common, None when their histories are unrelated."""
    return one if one == other else git.ask(repository, "merge-base", one, other)


def count(git: commands.Git, repository: str, commit_id: str, *excluded: str) -> int:
    """Counts the commits that one has and the others have not."""
    return int(git(repository, "rev-list", "--count", commit_id, *(f"^{one}" for one in excluded)))
