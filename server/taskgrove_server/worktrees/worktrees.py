"""Gives each task a worktree and a branch of its own."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import branches, commands, commits, git_dirs, names, saving
from taskgrove_server.worktrees.locks import RepositoryLocks, WorktreeFailed


class Worktrees:
    """Makes worktrees below `root`, restores them and commits what is in them.

    The user's own checkout is never touched. Every method may be called from many threads at a time, but a
    task's own worktree by one. `timeout` is in seconds and holds for each git command; `pass_environment` names
    GIT_* variables of the server's that they get. Raises ValueError for a branch prefix with which git refuses to
    make a branch.
    """

    def __init__(
        self,
        root: Path,
        author: commits.Author,
        branch_prefix: str = "taskgrove/",
        timeout: float = 300.0,
        pass_environment: Sequence[str] = (),
    ) -> None:
        self._root = root.resolve()
        self._author = author
        self._branch_prefix = branch_prefix
        #: A variable that all of its git commands have in their environment, by which those that a killed server
        #: left running can be found.
        self.mark = f"TASKGROVE_WORKTREES={self._root}"
        name, _, value = self.mark.partition("=")
        #: What runs its git commands, and the locks that it takes; for others who work on the same repositories.
        self.git = commands.Git(
            timeout=timeout, environment={**author.environment, name: value}, passed=pass_environment
        )
        self.locks = RepositoryLocks(self.git)
        #: The mark of commands that move branches, which the next server waits for instead of ending them.
        self.moving_mark = f"TASKGROVE_MOVING={self._root}"
        name, _, value = self.moving_mark.partition("=")
        self.moving_git = commands.Git(
            timeout=timeout, environment={**author.environment, name: value}, passed=pass_environment
        )
        try:
            self.git(os.sep, "check-ref-format", "--branch", f"{branch_prefix}x")
        except commands.GitFailed as failure:
            raise ValueError(f"No branch name can start with {branch_prefix!r}: {failure}") from failure

    def stop(self) -> None:
        """Ends the git commands that run, whose calls then fail, and lets no further ones begin."""
        self.git.stop()

    def interrupt(self, thread: int) -> None:
        """Ends the git command that a thread waits for, if any, so that the thread's call fails."""
        self.git.interrupt(thread)

    def create(
        self, repository: str, task_id: TaskId, title: str, *, base_branch: str = "", branch_prefix: str = ""
    ) -> Worktree:
        """Makes a worktree with a new branch; raises WorktreeFailed.

        The branch starts at `base_branch`, a local or a remote-tracking one, or without one at the repository's
        present HEAD; its name begins with `branch_prefix`, or without one with that of all lists.
        What an interrupted call for the same task left is cleared away first, unless it has commits of its own:
        then it stays, and the new path or branch gets a number.
        """
        path = str(self._root / task_id)
        branch = names.branch(branch_prefix or self._branch_prefix, task_id, title)
        start = self._start(repository, base_branch)
        if not _occupied(path) and (found := self._look(repository, branch, start)):
            common_dir, base = found
            with self.locks.holding(common_dir):
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._add_with_branch(repository, path, branch, base)
            return Worktree(path=path, branch=branch, base_commit=base)
        return self._create_beside(repository, path, branch, start)

    def _start(self, repository: str, base_branch: str) -> str:
        """Returns the revision at which branches start."""
        if not base_branch:
            return "HEAD"
        try:
            found = branches.find_base(self.git, repository, base_branch)
        except commands.GitFailed as failure:
            raise WorktreeFailed(str(failure)) from failure
        if found is None:
            raise WorktreeFailed(f"The repository {repository!r} has no branch {base_branch!r} to start from.")
        return found

    def _look(self, repository: str, branch: str, start: str) -> tuple[str, str] | None:
        """Returns the common git directory and the commit at `start`; None if a closer look is needed.

        That is so if the branch exists.

        One command for all: each takes longer than everything else that is done for a task.
        """
        # Without a wildcard the pattern would stand for a directory of branches.
        exactly = f"{branch[:-1]}[{branch[-1]}]"
        question = ("--path-format=absolute", "--git-common-dir", f"{start}^{{commit}}", f"--branches={exactly}")
        try:
            answers = self.git(repository, "rev-parse", *question).split("\n")
        except commands.GitFailed as failure:
            if failure.status != 128:
                raise WorktreeFailed(str(failure)) from failure
            # Git's word for a question that has no answer, as HEAD of an empty repository.
            return None
        return (str(Path(answers[0]).resolve()), answers[1]) if len(answers) == 2 else None

    def _create_beside(self, repository: str, path: str, branch: str, start: str) -> Worktree:
        """Makes a worktree where something stands in the way."""
        with self.locks.exclusively(repository):
            base = self.git.ask(repository, "rev-parse", "--verify", "--quiet", f"{start}^{{commit}}")
            if base is None:
                raise errors.RepositoryEmpty(repository)
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = next(free for free in _numbered(path) if self._clear_path(repository, free, base))
            branch = next(free for free in _numbered(branch) if self._clear_branch(repository, free, base, path))
            self._add_with_branch(repository, path, branch, base)
        return Worktree(path=path, branch=branch, base_commit=base)

    def discard(
        self, repository: str, task_id: TaskId, title: str, *, base_branch: str = "", branch_prefix: str = ""
    ) -> None:
        """Removes what an interrupted `create` for a task left, unless it has commits of its own.

        Raises WorktreeFailed.
        """
        # Git that was told to end has removed the directory, but not the branch.
        path = str(self._root / task_id)
        with self.locks.exclusively(repository):
            start = self._start(repository, base_branch)
            base = self.git.ask(repository, "rev-parse", "--verify", "--quiet", f"{start}^{{commit}}")
            if base is not None and self._clear_path(repository, path, base):
                branch = names.branch(branch_prefix or self._branch_prefix, task_id, title)
                self._clear_branch(repository, branch, base, path)

    def restore(self, repository: str, worktree: Worktree) -> bool:
        """Makes a worktree again at the same path if it is gone, and tells whether it was; raises WorktreeFailed.

        Its branch is checked out as it is now; one that is gone as well starts at what was saved of it, or else at
        the recorded head. What was saved of changes that were not committed is in its files again.
        """
        with self.locks.exclusively(repository) as common_dir:
            if self._is_usable(repository, worktree, common_dir):
                return False
            Path(worktree.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Git's entry for the old worktree goes, or git takes the branch for checked out.
            self._remove(repository, worktree.path)
            tip = branches.tip(self.git, repository, worktree.branch)
            saved = saving.Saved.find(self.git, repository, worktree.saved_ref)
            if tip:
                self._add(repository, worktree.path, worktree.branch)
            else:
                tip = saved.head if saved else worktree.head_commit or worktree.base_commit
                self._add_with_branch(repository, worktree.path, worktree.branch, tip)
            if saved and saved.is_snapshot and saved.head == tip:
                self.git(worktree.path, "restore", f"--source={saved.commit}", "--worktree", "--", ".")
            return True

    def commit(self, worktree: Worktree, *, title: str, task_id: TaskId, task_list_title: str, run_number: int) -> str:
        """Commits whatever changed and returns the full id of the worktree's head.

        Raises CommitFailed; OSError with ENOSPC while a disk is full, after which another call may succeed.

        Call it when the run's processes are gone: see `commits.commit`.
        """
        text = commits.message(title=title, task_id=task_id, task_list_title=task_list_title, run_number=run_number)
        return commits.commit(self.git, worktree, self._author, text)

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
            self.git(repository, "worktree", "add", "--quiet", *arguments)
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
            self.git(repository, *arguments)

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
        tip = branches.tip(self.git, repository, branch)
        if tip is None:
            return True
        reference = f"refs/heads/{branch}"
        # Git may remember the branch as checked out in the worktree that was at this very path.
        if self.git(repository, "for-each-ref", "--format=%(worktreepath)", reference) not in ("", path):
            return False
        if not self._is_part_of(repository, tip, base):
            return False
        self.git(repository, "update-ref", "-d", reference, tip)
        return True

    def _heads(self, repository: str) -> dict[str, str]:
        """Returns the heads of the repository's worktrees by path; zeros stand for none."""
        heads: dict[str, str] = {}
        for entry in self.git(repository, "worktree", "list", "--porcelain").split("\n\n"):
            path, head, *_ = entry.splitlines()
            heads[path.removeprefix("worktree ")] = head.removeprefix("HEAD ")  # "bare" for a bare main one
        return heads

    def _is_part_of(self, repository: str, commit: str, base: str) -> bool:
        """Tells whether `base` has everything that `commit` has."""
        return not commit.strip("0") or branches.contains(self.git, repository, base, commit)

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
            dirs = git_dirs.of(self.git, worktree.path)
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
