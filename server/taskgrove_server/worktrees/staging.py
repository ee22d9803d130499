"""What of a worktree a commit would take."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import branches, commands, conversions, git_dirs
from taskgrove_server.worktrees.nested import finding, flagged, placing, state
from taskgrove_server.worktrees.nested.finding import Found
from taskgrove_server.worktrees.nested.repositories import Nested

#: How often a snapshot is tried of a worktree in which an agent removes files meanwhile.
_ATTEMPTS = 3

#: Makes what is not committed the same commit each time that it is looked at.
_TIMELESS = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout that is staged: the worktree, or that of a repository inside it."""

    directory: str
    #: The repositories inside the worktree, of which `nested` is this one; None for the worktree itself.
    found: Sequence[Nested] = ()
    nested: Nested | None = None
    #: The entries of its index that keep git from looking at files; see listing.Listing.
    flagged: Sequence[str] = ()

    @classmethod
    def of(cls, worktree: Worktree, found: Found | Standing) -> Self:
        """Returns a worktree's own, of what was found in it."""
        return cls(worktree.path, found.repositories, flagged=found.flagged)

    def inside(self, child: Nested) -> Checkout:
        """Returns that of a repository inside it."""
        return Checkout(child.directory, self.found, child, child.flagged)

    @property
    def children(self) -> list[Nested]:
        """Returns the repositories right inside this one."""
        return [one for one in self.found if one.inside is self.nested]


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is in a worktree."""

    #: The files that a commit would take, with those of submodules. New ones count, ignored and copied ones do not.
    uncommitted: Sequence[str] = ()
    #: The repositories inside; not such that git ignores, but for worktrees of the same repository.
    repositories: Sequence[Nested] = ()
    #: See listing.Listing.
    flagged: Sequence[str] = ()
    #: A merge has left conflicts in the index.
    has_conflicts: bool = False


def stage(
    git: commands.Git,
    checkout: Checkout,
    commit_of: Callable[[Nested], str | None],
    copied_files: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Stages every change but copied files; returns what git says of files that it could not read.

    Of the repositories inside, submodules become links to what `commit_of` returns, others become files, and
    worktrees stay out. What is flagged in the index has to be cleared before. Raises GitFailed.
    """
    children = checkout.children
    # --sparse: in a sparse checkout, new files outside the cone would be refused.
    exclude = (f":(exclude,literal){name}" for name in _excluded(git, checkout.directory, children))
    said = git.warnings(checkout.directory, "add", "--all", "--sparse", "--", ".", *exclude, environment=environment)
    if children:
        placing.place(
            git,
            checkout.directory,
            checkout.found,
            children,
            commit_of,
            copied_files=copied_files,
            environment=environment,
        )
    if checkout.nested is None:
        # Not inside: what a repository of the agent's own names as its filters is not run.
        conversions.keep(git, checkout.directory, environment)
    if copied_files:
        _unstage(git, checkout.directory, copied_files, environment)
    return said


def _excluded(git: commands.Git, directory: str, children: Sequence[Nested]) -> list[str]:
    """Returns the names of repositories that `git add` is to leave alone: it refuses to exclude what is ignored."""
    names = [child.name for child in children if not child.is_untracked]
    ignored: set[str] = set()
    if names:
        stdin = b"".join(os.fsencode(name) + b"\0" for name in names)
        with suppress(commands.GitFailed):  # Its status when none is.
            ignored.update(git(directory, "check-ignore", "--no-index", "-z", "--stdin", stdin=stdin).split("\0"))
    return [child.name for child in children if child.name not in ignored]


def _unstage(git: commands.Git, path: str, copied_files: Sequence[str], environment: Mapping[str, str] | None) -> None:
    """Takes new files back. Left out above, one that git ignores would be an error."""
    new = ("diff-index", "--cached", "--name-only", "--diff-filter=A", "-z", "HEAD", "--")
    added = set(git(path, *new, environment=environment).split("\0"))
    copied = [name for name in copied_files if name in added]
    if copied:
        options = ("--cached", "--quiet", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul")
        names = b"\0".join(os.fsencode(name) for name in copied)
        git(path, "--literal-pathspecs", "rm", *options, environment=environment, stdin=names)


def snapshot(git: commands.Git, worktree: Worktree, standing: Standing | None = None) -> str:
    """Returns the full id of a tree of all that is in a worktree and would be committed, and touches nothing of it.

    What is not committed in a submodule becomes a commit that only the link in that tree leads to. `standing` is
    what there is in it, where that is known. Raises GitFailed.
    """
    found = standing or finding.look(git, worktree.path, worktree.base_commit)
    return _tree(git, Checkout.of(worktree, found), git_dirs.find(git, worktree.path).own, worktree.copied_files)


def _tree(git: commands.Git, checkout: Checkout, own: str, copied_files: Sequence[str] = ()) -> str:
    with tempfile.TemporaryDirectory(prefix="taskgrove-") as scratch:
        index = Path(scratch, "index")
        # With the index's own record of what is unchanged, only the rest is read.
        if os.path.exists(f"{own}/index"):  # noqa: PTH110 - follows GIT's own naming
            shutil.copy2(f"{own}/index", index)
        environment = {"GIT_INDEX_FILE": str(index)}
        flagged.clear(git, checkout.directory, checkout.flagged, environment)

        def commit_of(child: Nested) -> str | None:
            return _snapshot(git, checkout.inside(child), child.dirs.own)

        for attempt in range(_ATTEMPTS):
            try:
                stage(git, checkout, commit_of, copied_files, environment=environment)
                break
            except commands.GitFailed:
                if attempt == _ATTEMPTS - 1:
                    raise
        return git(checkout.directory, "write-tree", environment=environment)


def _snapshot(git: commands.Git, checkout: Checkout, own: str) -> str | None:
    """Returns a commit of what is in a submodule: its head, or one on top of it."""
    found = state.of(git, checkout.directory, checkout.flagged)
    if not found.changes and not checkout.children:
        return found.head
    tree = _tree(git, checkout, own)
    if found.head and tree == branches.tree(git, checkout.directory, found.head):
        return found.head
    parent = ("-p", found.head) if found.head else ()
    return git(
        checkout.directory, "commit-tree", tree, *parent, "-F", "-", stdin=b"Not committed\n", environment=_TIMELESS
    )


def look(git: commands.Git, worktree: Worktree) -> Standing:
    """Returns what a worktree has that is not committed, and the repositories inside it; raises GitFailed."""
    standing = state.of(git, worktree.path)
    found = finding.look(git, worktree.path, worktree.base_commit, untracked=standing.repositories)
    if found.flagged:
        standing = state.of(git, worktree.path, found.flagged)
    changes = state.uncommitted(git, standing, found.repositories)
    kept = conversions.only_converted(git, worktree.path, [change.path for change in changes if change.is_content])
    left_out = {change.path for change in changes if change.is_new} & set(worktree.copied_files)
    uncommitted = [change.path for change in changes if change.path not in kept | left_out]
    return Standing(uncommitted, found.repositories, found.flagged, has_conflicts=bool(standing.unmerged))


def uncommitted(git: commands.Git, worktree: Worktree) -> Sequence[str]:
    """Returns the files of a worktree that a commit would take; see Standing."""
    return look(git, worktree).uncommitted


def not_ignored(git: commands.Git, path: str, files: Sequence[str]) -> list[str]:
    """Returns those files of a worktree that git would add."""
    untracked = set(git(path, "ls-files", "--others", "--exclude-standard", "-z").split("\0"))
    return [name for name in files if name in untracked]
