"""Gives each task a worktree and a branch of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Worktree
from taskgrove_server.worktrees import commands, commits, git_dirs, names


class WorktreeFailed(Exception):
    """The worktree could not be made, with git's own words; nothing of it is left behind."""


class Worktrees:
    """Makes worktrees below `root`, restores them and commits what is in them.

    The user's own checkout is never touched. Every method may be called from many threads at a time, but a
    task's own worktree by one. `timeout` is in seconds and holds for each git command. Raises ValueError for a
    branch prefix with which git refuses to make a branch.
    """

    def __init__(
        self, root: Path, author: commits.Author, branch_prefix: str = "taskgrove/", timeout: float = 300.0
    ) -> None:
        self._root = root.resolve()
        self._author = author
        self._branch_prefix = branch_prefix
        #: A variable that all of its git commands have in their environment, by which those that a killed server
        #: left running can be found.
        self.mark = f"TASKGROVE_WORKTREES={self._root}"
        name, _, value = self.mark.partition("=")
        self._git = commands.Git(timeout=timeout, environment={**author.environment, name: value})
        self._locks: dict[str, threading.Lock] = {}
        try:
            self._git(os.sep, "check-ref-format", "--branch", f"{branch_prefix}x")
        except commands.GitFailed as failure:
            raise ValueError(f"No branch name can start with {branch_prefix!r}: {failure}") from failure

    def stop(self) -> None:
        """Ends the git commands that run, whose calls then fail, and lets no further ones begin."""
        self._git.stop()

    def interrupt(self, thread: int) -> None:
        """Ends the git command that a thread waits for, if any, so that the thread's call fails."""
        self._git.interrupt(thread)

    def create(self, repository: str, task_id: TaskId, title: str) -> Worktree:
        """Makes a worktree with a new branch at the repository's present HEAD; raises WorktreeFailed.

        What an interrupted call for the same task left is cleared away first, unless it has commits of its own:
        then it stays, and the new path or branch gets a number.
        """
        path, branch = str(self._root / task_id), names.branch(self._branch_prefix, task_id, title)
        if not _occupied(path) and (found := self._look(repository, branch)):
            common_dir, base = found
            with self._holding(common_dir):
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._add_with_branch(repository, path, branch, base)
            return Worktree(path=path, branch=branch, base_commit=base)
        return self._create_beside(repository, path, branch)

    def _look(self, repository: str, branch: str) -> tuple[str, str] | None:
        """Returns the common git directory and HEAD if there is no such branch; None if a closer look is needed.

        One command for all: each takes longer than everything else that is done for a task.
        """
        # Without a wildcard the pattern would stand for a directory of branches.
        exactly = f"{branch[:-1]}[{branch[-1]}]"
        question = ("--path-format=absolute", "--git-common-dir", "HEAD^{commit}", f"--branches={exactly}")
        try:
            answers = self._git(repository, "rev-parse", *question).split("\n")
        except commands.GitFailed as failure:
            if failure.status != 128:
                raise WorktreeFailed(str(failure)) from failure
            # Git's word for a question that has no answer, as HEAD of an empty repository.
            return None
        return (str(Path(answers[0]).resolve()), answers[1]) if len(answers) == 2 else None

    def _create_beside(self, repository: str, path: str, branch: str) -> Worktree:
        """Makes a worktree where something stands in the way."""
        with self._exclusively(repository):
            base = self._git.ask(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
            if base is None:
                raise errors.RepositoryEmpty(repository)
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = next(free for free in _numbered(path) if self._clear_path(repository, free, base))
            branch = next(free for free in _numbered(branch) if self._clear_branch(repository, free, base, path))
            self._add_with_branch(repository, path, branch, base)
        return Worktree(path=path, branch=branch, base_commit=base)

    def discard(self, repository: str, task_id: TaskId, title: str) -> None:
        """Removes what an interrupted `create` for a task left, unless it has commits of its own.

        Raises WorktreeFailed.
        """
        # Git that was told to end has removed the directory, but not the branch.
        path = str(self._root / task_id)
        with self._exclusively(repository):
            base = self._git.ask(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
            if base is not None and self._clear_path(repository, path, base):
                self._clear_branch(repository, names.branch(self._branch_prefix, task_id, title), base, path)

    def restore(self, repository: str, worktree: Worktree) -> None:
        """Makes a worktree again at the same path if it is gone; raises WorktreeFailed.

        Its branch is checked out as it is now; one that is gone as well starts at the recorded head.
        """
        with self._exclusively(repository) as common_dir:
            if self._is_usable(repository, worktree, common_dir):
                return
            Path(worktree.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Git's entry for the old worktree goes, or git takes the branch for checked out.
            self._remove(repository, worktree.path)
            if self._tip(repository, worktree.branch):
                self._add(repository, worktree.path, worktree.branch)
            else:
                start = worktree.head_commit or worktree.base_commit
                self._add_with_branch(repository, worktree.path, worktree.branch, start)

    def commit(self, worktree: Worktree, *, title: str, task_id: TaskId, task_list_title: str, run_number: int) -> str:
        """Commits whatever changed and returns the full id of the worktree's head.

        Raises CommitFailed; OSError with ENOSPC while a disk is full, after which another call may succeed.

        Call it when the run's processes are gone: see `commits.commit`.
        """
        text = commits.message(title=title, task_id=task_id, task_list_title=task_list_title, run_number=run_number)
        return commits.commit(self._git, worktree, self._author, text)

    def prune(self, repository: str) -> None:
        """Has git forget worktrees whose directories are gone; raises WorktreeFailed."""
        with self._exclusively(repository):
            self._git(repository, "worktree", "prune")

    @contextmanager
    def _exclusively(self, repository: str) -> Generator[str]:
        """Holds the lock of a repository and yields its common git directory; turns errors into WorktreeFailed.

        Beside a prune without the lock, 2 of 100 adds fail.
        """
        try:
            common_dir = git_dirs.of(self._git, repository).common
        except commands.GitFailed as failure:
            raise WorktreeFailed(f"The repository {repository!r} cannot be used: {failure}") from failure
        with self._holding(common_dir):
            yield common_dir

    @contextmanager
    def _holding(self, common_dir: str) -> Generator[None]:
        with self._locks.setdefault(common_dir, threading.Lock()):
            try:
                yield
            except (commands.GitFailed, errors.DirectoryRefused, OSError) as error:
                raise WorktreeFailed(str(error)) from error

    def _add_with_branch(self, repository: str, path: str, branch: str, start: str) -> None:
        try:
            # --no-track and a commit id for the start: to write an upstream takes the lock of the repository's
            # config, on which parallel adds fail. Forced twice, git forgets that it had a worktree at this path
            # before, even a locked one.
            self._add(repository, "--force", "--force", "--no-track", "-b", branch, "--", path, start)
        except BaseException:
            # With the old value: a branch that has moved on stays.
            self._try(repository, "update-ref", "-d", f"refs/heads/{branch}", start)
            raise

    def _add(self, repository: str, *arguments: str) -> None:
        """Runs `git worktree add`, of whose arguments the last but one is the path."""
        try:
            self._git(repository, "worktree", "add", "--quiet", *arguments)
        except BaseException:
            self._remove(repository, arguments[-2])
            raise

    def _remove(self, repository: str, path: str) -> None:
        """Removes a worktree, whatever state it is in, as far as possible."""
        shutil.rmtree(path, ignore_errors=True)
        # Git itself goes only by complete worktrees, but takes a missing directory for one. Forced twice, because
        # an interrupted add leaves its worktree locked.
        self._try(repository, "worktree", "remove", "--force", "--force", "--", path)

    def _try(self, repository: str, *arguments: str) -> None:
        with suppress(commands.GitFailed):
            self._git(repository, *arguments)

    def _clear_path(self, repository: str, path: str, base: str) -> bool:
        """Tells whether a worktree can be made at a path, after removing one that nobody has worked in."""
        if not _occupied(path):
            return True
        head = self._heads(repository).get(path)
        if head is None or not self._is_part_of(repository, head, base):
            return False
        self._remove(repository, path)
        return True

    def _clear_branch(self, repository: str, branch: str, base: str, path: str) -> bool:
        """Tells whether a branch can be made for a worktree, after deleting one that has no commits of its own."""
        tip = self._tip(repository, branch)
        if tip is None:
            return True
        reference = f"refs/heads/{branch}"
        # Git may remember the branch as checked out in the worktree that was at this very path.
        if self._git(repository, "for-each-ref", "--format=%(worktreepath)", reference) not in ("", path):
            return False
        if not self._is_part_of(repository, tip, base):
            return False
        self._git(repository, "update-ref", "-d", reference, tip)
        return True

    def _tip(self, repository: str, branch: str) -> str | None:
        return self._git.ask(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")

    def _heads(self, repository: str) -> dict[str, str]:
        """Returns the heads of the repository's worktrees by path; zeros stand for none."""
        heads: dict[str, str] = {}
        for entry in self._git(repository, "worktree", "list", "--porcelain").split("\n\n"):
            path, head, *_ = entry.splitlines()
            heads[path.removeprefix("worktree ")] = head.removeprefix("HEAD ")  # "bare" for a bare main one
        return heads

    def _is_part_of(self, repository: str, commit: str, base: str) -> bool:
        """Tells whether `base` has everything that `commit` has."""
        if not commit.strip("0"):
            return True
        return self._git.ask(repository, "merge-base", "--is-ancestor", commit, base) is not None

    def _is_usable(self, repository: str, worktree: Worktree, common_dir: str) -> bool:
        """Tells whether a worktree is there, repaired if need be; raises WorktreeFailed if something else is."""
        if not _occupied(worktree.path):
            return False
        if not self._is_linked(worktree, common_dir):
            # The agent has removed its .git file, or the user has moved the repository.
            self._try(repository, "worktree", "repair", worktree.path)
            if not self._is_linked(worktree, common_dir):
                raise WorktreeFailed(
                    f"{worktree.path!r} is there, but is no worktree of {repository!r} any more: "
                    "save what is in it, move it away and continue the task again."
                )
        return True

    def _is_linked(self, worktree: Worktree, common_dir: str) -> bool:
        try:
            dirs = git_dirs.of(self._git, worktree.path)
        except commands.GitFailed:
            return False
        if dirs.linked and dirs.common == common_dir:
            git_dirs.remove_stale_locks(dirs, worktree)
            return True
        return False


def _numbered(name: str) -> Iterator[str]:
    """Yields a name, and then the same with -2, -3 and so on behind it."""
    yield name
    for number in itertools.count(2):
        yield f"{name}-{number}"


def _occupied(path: str) -> bool:
    """Tells whether something is at a path, other than an empty directory."""
    place = Path(path)
    return os.path.lexists(path) and not (place.is_dir() and not any(place.iterdir()))
