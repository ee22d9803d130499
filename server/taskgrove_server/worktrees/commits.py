"""Commits what a run left in its worktree."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands, git_dirs, staging

#: The longest subject line, in characters.
_SUBJECT = 72

#: Bytes without which a disk takes no commit.
_ROOM = 1 << 20


class CommitFailed(Exception):
    """The changes could not be committed, with git's own words; they are still in the worktree."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who signs for the server's commits, whatever the user's git config says."""

    name: str = "Taskgrove"
    email: str = "taskgrove@localhost"

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"

    @property
    def environment(self) -> Mapping[str, str]:
        """Returns the variables that make git use this author."""
        return {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": self.email,
        }


def message(*, title: str, task_id: TaskId, task_list_title: str, run_number: int) -> str:
    """Returns a commit message: the title, what made it, and trailers for programs."""
    line = _one_line(title) or f"Task {task_id}"
    paragraphs = [line]
    if len(line) > _SUBJECT:
        paragraphs = [f"{line[: _SUBJECT - 1].rstrip()}…", line]
    paragraphs.append(f'Run {run_number} of task {task_id} in the list "{_one_line(task_list_title)}".')
    paragraphs.append(f"Taskgrove-Task: {task_id}\nTaskgrove-Run: {run_number}")
    return "\n\n".join(paragraphs)


def commit(git: commands.Git, worktree: Worktree, author: Author, text: str) -> str:
    """Commits every change in a worktree and returns its head, which the agent may have moved itself.

    A repository that the agent made inside the worktree becomes a link to its commit, as with `git add`; one
    without a commit is left out. When the agent left its branch, the branch follows to the head if that is a
    fast-forward and nobody has it checked out; otherwise only the returned id leads to the work.
    Raises CommitFailed; OSError with ENOSPC while a disk is full, after which another call may succeed.
    """
    try:
        dirs = git_dirs.of(git, worktree.path)
        if not dirs.linked:
            raise CommitFailed(
                f"{worktree.path!r} is a repository of its own now, where the task's worktree was: "
                "bring its changes back by hand."
            )
        git_dirs.remove_stale_locks(dirs, worktree)
        staging.stage(git, worktree.path, worktree.copied_files)
        head = _head(git, worktree.path)
        if head is None or _is_staged(git, worktree.path):
            # The user's cleanup mode might take a subject like "#12: fix" for a comment. A cherry-pick that the
            # agent left unfinished would bring its own author. --allow-empty, because diff.ignoreSubmodules may
            # make git see nothing where a link to a repository is all that is new.
            options = ("--quiet", "--allow-empty", "--no-verify", "--cleanup=whitespace", f"--author={author}")
            git(worktree.path, "commit", *options, f"--message={text}")
            head = git(worktree.path, "rev-parse", "--verify", "HEAD")
        _bring_branch(git, worktree, head)
    except (commands.GitFailed, OSError) as error:
        if _lacks_room(worktree.path, str(error)):
            raise OSError(errno.ENOSPC, f"The disk has no room for a commit: {error}", worktree.path) from error
        raise CommitFailed(str(error)) from error
    return head


def _lacks_room(path: str, words: str) -> bool:
    # Git does not always say why it cannot write.
    if any(os.strerror(code) in words for code in (errno.ENOSPC, errno.EDQUOT)):
        return True
    with suppress(OSError):
        disk = os.statvfs(path)
        return disk.f_bavail * disk.f_frsize < _ROOM
    return False


def _head(git: commands.Git, path: str) -> str | None:
    return git.ask(path, "rev-parse", "--verify", "--quiet", "HEAD")


def _is_staged(git: commands.Git, path: str) -> bool:
    return git.ask(path, "diff-index", "--cached", "--quiet", "--ignore-submodules=none", "HEAD", "--") is None


def _bring_branch(git: commands.Git, worktree: Worktree, head: str) -> None:
    reference = f"refs/heads/{worktree.branch}"
    if git.ask(worktree.path, "symbolic-ref", "--quiet", "HEAD") == reference:
        return
    tip, _, checkout = git(
        worktree.path, "for-each-ref", "--format=%(objectname) %(worktreepath)", reference
    ).partition(" ")
    if not tip or (not checkout and git.ask(worktree.path, "merge-base", "--is-ancestor", tip, head) is not None):
        # With the old value, so that a branch that moves meanwhile is not set back; zeros mean that there is none.
        git(worktree.path, "update-ref", reference, head, tip or "0" * len(head))


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
