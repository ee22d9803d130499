"""Saves what is in a repository that an agent has made in the place of its worktree's own registration."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees import branches, commands, saving
from taskgrove_server.worktrees.locks import WorktreeFailed

#: What its .git is called once it has been set aside in the git directory of the worktree.
_ASIDE = "taskgrove-own-repository-"

#: Refs by which its head and what is staged in it are fetched with everything else.
_HEAD, _STAGED = "refs/taskgrove/head", "refs/taskgrove/staged"


def save(git: commands.Git, common_dir: str, task_id: TaskId, path: str) -> str | None:
    """Fetches all that its refs, its HEAD and its index lead to, and returns where the refs are; None without any.

    They are below the next of the task's saved refs. Raises WorktreeFailed where git would not take them, and
    GitFailed.
    """
    own_format, shallow = git(path, "rev-parse", "--show-object-format", "--is-shallow-repository").split()
    if own_format != git(common_dir, "rev-parse", "--show-object-format"):
        raise _refusal(path, f"its objects are named by {own_format}, which the repository does not know")
    if shallow == "true":
        raise _refusal(path, f"its history is shallow: 'git -C {path} fetch --unshallow' completes it")
    _name_head_and_index(git, path)
    if not git(path, "for-each-ref", "--count=1", "--format=%(refname)"):
        return None
    prefix = saving.next_ref(git, common_dir, task_id)
    settings = ("-c", "protocol.file.allow=always", "-c", "fetch.prune=false", "-c", "fetch.pruneTags=false")
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    git(common_dir, *settings, "fetch", *options, "--", path, f"+refs/*:{prefix}/*")
    return prefix


def set_aside(path: str, own: str) -> None:
    """Moves its .git into the git directory of the worktree, whatever it is; raises OSError."""
    free = next(name for number in itertools.count(1) if not os.path.lexists(name := f"{own}/{_ASIDE}{number}"))
    # Renamed, or copied first where the worktree is on another file system than its repository.
    shutil.move(Path(path, ".git"), free)


def _name_head_and_index(git: commands.Git, path: str) -> None:
    head = branches.commit(git, path, "HEAD")
    if head is not None:
        git(path, "update-ref", _HEAD, head)
    if git(path, "ls-files", "--unmerged", "-z"):
        # What is staged is no tree yet; the files are in the worktree.
        return
    staged = git(path, "write-tree")
    if staged == (branches.tree(git, path, head) if head else _empty_tree(git, path)):
        return
    parents = ("-p", head) if head else ()
    text = b"What was staged in a repository of the task's own\n"
    git(path, "update-ref", _STAGED, git(path, "commit-tree", staged, *parents, "-F", "-", stdin=text))


def _empty_tree(git: commands.Git, path: str) -> str:
    return git(path, "hash-object", "-t", "tree", "--stdin", stdin=b"")


def _refusal(path: str, why: str) -> WorktreeFailed:
    return WorktreeFailed(
        f"The agent has made a repository of its own in the worktree {path!r}, whose history cannot be taken over: "
        f"{why}. Save what is in '{path}/.git', move that away and call again."
    )
