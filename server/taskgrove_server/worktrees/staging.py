"""What of a worktree a commit would take."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands, git_dirs

_UNBORN = re.compile(r"^error: '(.+)/' does not have a commit checked out$", re.MULTILINE)

#: How often a snapshot is tried of a worktree in which an agent removes files meanwhile.
_ATTEMPTS = 3


def stage(
    git: commands.Git,
    path: str,
    copied_files: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Stages every change but copied files, and repositories without a commit, which git cannot link to."""
    left_out: list[str] = []
    while True:
        try:
            # --sparse: in a sparse checkout, new files outside the cone would be refused.
            exclude = (f":(exclude,literal){name}" for name in left_out)
            git(path, "add", "--all", "--sparse", "--", ".", *exclude, environment=environment)
            break
        except commands.GitFailed as failure:
            unborn = _UNBORN.search(str(failure))
            if unborn is None or unborn[1] in left_out:
                raise
            left_out.append(unborn[1])
    if copied_files:
        _unstage(git, path, copied_files, environment)


def _unstage(git: commands.Git, path: str, copied_files: Sequence[str], environment: Mapping[str, str] | None) -> None:
    """Takes new files back. Left out above, one that git ignores would be an error."""
    new = ("diff-index", "--cached", "--name-only", "--diff-filter=A", "-z", "HEAD", "--")
    added = set(git(path, *new, environment=environment).split("\0"))
    copied = [name for name in copied_files if name in added]
    if copied:
        options = ("--cached", "--quiet", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul")
        names = b"\0".join(os.fsencode(name) for name in copied)
        git(path, "--literal-pathspecs", "rm", *options, environment=environment, stdin=names)


def snapshot(git: commands.Git, worktree: Worktree) -> str:
    """Returns the full id of a tree of all that is in a worktree and would be committed, and touches nothing of it.

    Raises GitFailed.
    """
    own = git_dirs.of(git, worktree.path).own
    with tempfile.TemporaryDirectory(prefix="taskgrove-") as scratch:
        index = Path(scratch, "index")
        # With the index's own record of what is unchanged, only the rest is read.
        if os.path.exists(f"{own}/index"):  # noqa: PTH110 - follows GIT's own naming
            shutil.copy2(f"{own}/index", index)
        environment = {"GIT_INDEX_FILE": str(index)}
        for attempt in range(_ATTEMPTS):
            try:
                stage(git, worktree.path, worktree.copied_files, environment=environment)
                break
            except commands.GitFailed:
                if attempt == _ATTEMPTS - 1:
                    raise
        return git(worktree.path, "write-tree", environment=environment)


def uncommitted(git: commands.Git, worktree: Worktree) -> list[str]:
    """Returns the files of a worktree that differ from its head; new ones count, ignored and copied ones do not."""
    options = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none")
    # Without optional locks: an agent may be about to commit.
    answer = git(worktree.path, "--no-optional-locks", "status", *options)
    copied = set(worktree.copied_files)
    entries = (entry for entry in answer.split("\0") if entry)
    return [entry[3:] for entry in entries if entry[:2] not in ("??", "A ") or entry[3:] not in copied]


def not_ignored(git: commands.Git, path: str, files: Sequence[str]) -> list[str]:
    """Returns those files of a worktree that git would add."""
    untracked = set(git(path, "ls-files", "--others", "--exclude-standard", "-z").split("\0"))
    return [name for name in files if name in untracked]
