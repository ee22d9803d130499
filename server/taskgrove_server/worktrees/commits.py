"""Commits what a run left in its worktree."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands, git_dirs, shut_directories, staging, unfinished
from taskgrove_server.worktrees.git_dirs import GitDirs
from taskgrove_server.worktrees.nested import finding, flagged, state
from taskgrove_server.worktrees.nested.repositories import Nested

#: The longest subject line, in characters.
_SUBJECT = 72

#: Bytes without which a disk takes no commit.
_ROOM = 1 << 20

#: What git leaves of a merge, a cherry-pick or a revert until it is committed.
_CONCLUDED = ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "AUTO_MERGE", "SQUASH_MSG")


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

    What is not committed in a submodule is committed there first, so that the link leads to it. The files of other
    repositories that the agent made become files of the commit. When the agent left its branch, the branch follows
    to the head if that is a fast-forward and nobody has it checked out; otherwise only the returned id leads to the
    work. Raises CommitFailed; OSError with ENOSPC while a disk is full, after which another call may succeed.
    """
    try:
        dirs = git_dirs.find(git, worktree.path)
        if not dirs.linked:
            raise CommitFailed(
                f"{worktree.path!r} is a repository of its own now, where the task's worktree was: "
                "bring its changes back by hand."
            )
        git_dirs.remove_stale_locks(dirs, worktree)
        found = finding.look(git, worktree.path, worktree.base_commit)
        checkout = staging.Checkout.of(worktree, found)
        on_branch = git.ask(worktree.path, "symbolic-ref", "--quiet", "HEAD")
        if on_branch not in (None, f"refs/heads/{worktree.branch}") and not _is_newer(dirs, on_branch):
            # The person's, and perhaps checked out elsewhere: only HEAD goes on from there.
            _detach(git, worktree.path)
        head = _commit(git, checkout, dirs, author, text, worktree.copied_files)
        if head is None:
            raise CommitFailed(f"There is nothing in {worktree.path!r} that could be committed.")
        if on_branch != f"refs/heads/{worktree.branch}":
            _bring_branch(git, worktree, head)
    except (commands.GitFailed, OSError) as error:
        if _lacks_room(worktree.path, str(error)):
            raise OSError(errno.ENOSPC, f"The disk has no room for a commit: {error}", worktree.path) from error
        raise CommitFailed(str(error)) from error
    return head


def _commit(
    git: commands.Git,
    checkout: staging.Checkout,
    dirs: GitDirs,
    author: Author,
    text: str,
    copied_files: Sequence[str] = (),
) -> str | None:
    """Commits what is in a checkout, that of its submodules first; returns its head, None if it has no commit."""

    def commit_of(child: Nested) -> str | None:
        return _commit_inside(git, checkout, child, dirs, author, text)

    flagged.clear(git, checkout.directory, checkout.flagged)
    # Of what it cannot read git only warns, and leaves it out.
    if staging.stage(git, checkout, commit_of, copied_files):
        if not shut_directories.open_up(git, checkout.directory):
            raise CommitFailed(f"{checkout.directory!r} cannot be committed as a whole: {shut_directories.TOO_LONG}")
        staging.stage(git, checkout, commit_of, copied_files)
    tree = git(checkout.directory, "write-tree")
    head, committed = _head(git, checkout.directory)
    if tree == committed or (checkout.nested and head is None and tree == _empty_tree(git, checkout.directory)):
        return head
    own = Path(dirs.own)
    parents = [head] if head else []
    with suppress(FileNotFoundError):
        # A merge that only waits to be committed.
        parents += (own / "MERGE_HEAD").read_text(encoding="ascii").split()
    # By plumbing: `git commit` reads a person's settings, such as templates, signatures and what to ignore.
    options = [part for parent in dict.fromkeys(parents) for part in ("-p", parent)]
    message = f"{text.rstrip()}\n".encode(errors="surrogateescape")
    commit_id = git(
        checkout.directory, "commit-tree", tree, *options, "-F", "-", stdin=message, environment=author.environment
    )
    reason = f"commit: {text.partition(chr(10))[0]}"
    git(checkout.directory, "update-ref", "-m", reason, "HEAD", commit_id, head or "0" * len(commit_id))
    for name in _CONCLUDED:
        (own / name).unlink(missing_ok=True)
    return commit_id


def _commit_inside(
    git: commands.Git, checkout: staging.Checkout, child: Nested, dirs: GitDirs, author: Author, text: str
) -> str | None:
    inner = checkout.inside(child)
    if not _is_own(child, dirs):
        if state.of(git, child).changes:
            raise CommitFailed(
                f"The submodule {child.path!r} belongs to the git directory {child.dirs.own!r}, which is not the "
                "task's: its changes cannot be committed. Commit them there, or take them away."
            )
        return _head(git, child.directory)[0]
    # No process of a run outlives it, so between runs nobody holds them.
    for lock in ("index.lock", "HEAD.lock"):
        Path(child.dirs.own, lock).unlink(missing_ok=True)
    found = state.of(git, child.directory, child.flagged)
    if begun := unfinished.operation(child.dirs.own):
        raise CommitFailed(
            f"The submodule {child.path!r} {begun.state}, and nothing is committed over that: finish or abort it there."
        )
    if found.unmerged:
        raise CommitFailed(
            f"The submodule {child.path!r} stands in the middle of a merge, with conflicts in "
            f"{', '.join(found.unmerged[:3])}: resolve and commit them there, or abort the merge."
        )
    if not found.changes and not inner.children:
        return found.head
    return _commit(git, inner, child.dirs, author, text)


def _is_own(child: Nested, dirs: GitDirs) -> bool:
    """Tells whether a submodule keeps its git directory in its own checkout, or in that of the one around it."""
    places = (os.path.realpath(child.directory), dirs.own)
    return any(Path(child.dirs.own).is_relative_to(place) for place in places)


def _lacks_room(path: str, words: str) -> bool:
    # Git does not always say why it cannot write.
    if any(os.strerror(code) in words for code in (errno.ENOSPC, errno.EDQUOT)):
        return True
    with suppress(OSError):
        disk = os.statvfs(path)
        return disk.f_bavail * disk.f_frsize < _ROOM
    return False


def _head(git: commands.Git, path: str) -> tuple[str | None, str | None]:
    """Returns the commit and the tree at HEAD, None before the first commit."""
    question = ("cat-file", "--batch-check=%(objectname)")
    answers = commands.rows(git(path, *question, stdin=b"HEAD^{commit}\nHEAD^{tree}\n"))
    return (answers[0], answers[1]) if not answers[0].endswith(" missing") else (None, None)


def _empty_tree(git: commands.Git, path: str) -> str:
    return git(path, "hash-object", "-t", "tree", "--stdin", stdin=b"")


def _is_newer(dirs: GitDirs, reference: str) -> bool:
    """Tells whether a branch was made in a worktree, as its log has it, which begins with that."""
    try:
        with Path(dirs.common, "logs", reference).open("rb") as log:
            made = int(log.readline().partition(b"\t")[0].split()[-2])
        # The worktree's own branch, of which it may be a new name, was made just before it, in whole seconds.
        return made >= int(Path(dirs.own, "commondir").stat().st_mtime) - 1
    except (OSError, ValueError, IndexError):
        return False


def _detach(git: commands.Git, path: str) -> None:
    head, _ = _head(git, path)
    if head is not None:
        git(path, "update-ref", "--no-deref", "-m", "taskgrove: leave the branch to others", "HEAD", head)


def _bring_branch(git: commands.Git, worktree: Worktree, head: str) -> None:
    reference = f"refs/heads/{worktree.branch}"
    tip, _, checkout = git(
        worktree.path, "for-each-ref", "--format=%(objectname) %(worktreepath)", reference
    ).partition(" ")
    if not tip or (not checkout and git.ask(worktree.path, "merge-base", "--is-ancestor", tip, head) is not None):
        # With the old value, so that a branch that moves meanwhile is not set back; zeros mean that there is none.
        git(worktree.path, "update-ref", reference, head, tip or "0" * len(head))


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
