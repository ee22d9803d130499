"""Gives each task a worktree and a branch of its own."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import (
    branches,
    commands,
    commits,
    filters,
    git_dirs,
    letter_case,
    names,
    prefixes,
    ref_files,
    registration,
    removing,
    saving,
)
from taskgrove_server.worktrees.locks import RepositoryLocks, WorktreeFailed


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose worktrees these are.

    `mark` is what no other data directory on the machine shares. `suffix` stands behind the ids of tasks in the names
    of the branches and worktrees of a copy, whose tasks have the same ids as its original's; it is empty for others.
    """

    mark: str
    suffix: str = ""


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
        owner: Owner | None = None,
    ) -> None:
        self._root = root.resolve()
        owner = owner or Owner(str(self._root))
        self._suffix = owner.suffix
        self._author = author
        self._branch_prefix = branch_prefix
        #: A variable that all of its git commands have in their environment, by which those that a killed server
        #: left running can be found.
        self.mark = f"TASKGROVE_WORKTREES={owner.mark}"
        name, _, value = self.mark.partition("=")
        # Below the root alone: a person's checkout may lie on another disk.
        settings = {str(self._root): [letter_case.TOLD_APART]} if letter_case.is_told_apart(self._root) else {}
        #: What runs its git commands, and the locks that it takes; for others who work on the same repositories.
        self.git = commands.Git(
            timeout=timeout,
            environment={**author.environment, name: value},
            passed=pass_environment,
            settings=settings,
        )
        self.locks = RepositoryLocks(self.git)
        #: The mark of commands that move branches, which the next server waits for instead of ending them.
        self.moving_mark = f"TASKGROVE_MOVING={owner.mark}"
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
        path = self._path(task_id)
        branch = names.branch(branch_prefix or self._branch_prefix, task_id, title, self._suffix)
        start = self._start(repository, base_branch)
        made = self._create_free(repository, path, branch, start)
        if made is None:
            made = self._create_beside(repository, path, branch, start)
        self._check_out(repository, made.path, made.branch, made.base_commit)
        return made

    def own_names(self, task_id: TaskId, worktree: Worktree) -> tuple[str, str]:
        """Returns the path and the branch that a worktree has here which a data directory had that this one copies."""
        path = self._root / names.renamed(Path(worktree.path).name, task_id, self._suffix)
        return str(path), names.renamed(worktree.branch, task_id, self._suffix)

    def follow(self, worktree: Worktree, is_copy: Callable[[str], bool] = lambda _path: False) -> None:
        """Has the repository know where a worktree is after its data directory was moved; see registration.follow.

        Or that it is gone, as in a directory that was restored. Raises GitFailed and OSError.
        """
        registration.follow(self.git, worktree.common_dir, worktree.path, is_copy)
        if worktree.common_dir is not None and not registration.occupied(worktree.path):
            registration.forget_gone(self.git, worktree.common_dir, worktree)

    def tips(self, repository: str) -> dict[str, str]:
        """Returns the heads of all local branches, by name; raises GitFailed."""
        answer = self.git(repository, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")
        return {
            ref.removeprefix("refs/heads/"): head for head, ref in (row.split(" ", 1) for row in commands.rows(answer))
        }

    def _path(self, task_id: TaskId) -> str:
        return str(self._root / f"{task_id}{self._suffix}")

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

    def _create_free(self, repository: str, path: str, branch: str, start: str) -> Worktree | None:
        """Makes a worktree, without its files; None, with nothing made, if something may stand in the way."""
        if registration.occupied(path):
            return None
        read = self._read(repository, branch) if start == "HEAD" else None
        found = read or self._look(repository, branch, start)
        if found is None:
            return None
        common_dir, base = found
        try:
            with self.locks.holding(common_dir):
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._add_with_branch(repository, path, branch, base)
        except WorktreeFailed:
            # The files do not say all that git does, as of a commit that is not there.
            if read is None or self._look(repository, branch, start) == read:
                raise
            return None
        return Worktree(path=path, branch=branch, base_commit=base, common_dir=common_dir)

    @staticmethod
    def _read(repository: str, branch: str) -> tuple[str, str] | None:
        """Returns the same as `_look` at HEAD, from the files alone, where these are certain."""
        dirs = git_dirs.read(repository)
        base = ref_files.start(dirs, branch) if dirs else None
        return (dirs.common, base) if dirs and base else None

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
        """Makes a worktree, without its files, where something stands in the way."""
        with self.locks.exclusively(repository) as common_dir:
            base = self.git.ask(repository, "rev-parse", "--verify", "--quiet", f"{start}^{{commit}}")
            if base is None:
                raise errors.RepositoryEmpty(repository)
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = next(free for free in _numbered(path) if self._clear_path(repository, free, base))
            branch = next(free for free in _numbered(branch) if self._clear_branch(repository, free, base, path))
            self._add_with_branch(repository, path, branch, base)
        return Worktree(path=path, branch=branch, base_commit=base, common_dir=common_dir)

    def discard(
        self, repository: str, task_id: TaskId, title: str, *, base_branch: str = "", branch_prefix: str = ""
    ) -> None:
        """Removes what an interrupted `create` for a task left, unless it has commits of its own.

        Raises WorktreeFailed.
        """
        branch = names.branch(branch_prefix or self._branch_prefix, task_id, title, self._suffix)
        self.remove_begun(repository, task_id, branch, base_branch=base_branch)

    def begun(self, repository: str, branch_prefix: str = "") -> list[tuple[TaskId, str | None]]:
        """Returns the tasks that have a branch in a repository, with that, or a worktree alone; raises GitFailed."""
        prefix = branch_prefix or self._branch_prefix
        found = commands.rows(self.git(repository, "for-each-ref", "--format=%(refname)", f"refs/heads/{prefix}*"))
        branches_of = [ref.removeprefix("refs/heads/") for ref in found]
        places = [Path(path) for path in self._heads(repository)]
        named: list[tuple[TaskId | None, str | None]] = [
            *((names.task_of(prefix, name, self._suffix), name) for name in branches_of),
            *((names.task_of("", place.name, self._suffix), None) for place in places if place.parent == self._root),
        ]
        return [(task_id, branch) for task_id, branch in named if task_id is not None]

    def remove_begun(
        self,
        repository: str,
        task_id: TaskId,
        branch: str | None,
        *,
        base_branch: str = "",
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """Removes the worktree that `create` made, and its branch if known, unless they have commits of their own.

        `may` is asked under the repository's lock. Raises WorktreeFailed.
        """
        # Git that was told to end has removed the directory, but not the branch.
        path = self._path(task_id)
        with self.locks.exclusively(repository):
            start = self._start(repository, base_branch)
            base = self.git.ask(repository, "rev-parse", "--verify", "--quiet", f"{start}^{{commit}}")
            if base is None or not may() or not self._clear_path(repository, path, base):
                return
            # Of a directory that is gone, git may still have its entry.
            head = self._heads(repository).get(path)
            if head is not None and self._is_part_of(repository, head, base):
                self._remove(repository, path)
            if branch is not None:
                self._clear_branch(repository, branch, base, path)

    def restore(self, repository: str, worktree: Worktree) -> bool:
        """Makes a worktree again at the same path if it is gone, and tells whether it was; raises WorktreeFailed.

        One that is there is registered with its repository again if need be; see registration.mend.
        Its branch is checked out as it is now; one that is gone as well starts at what was saved of it, or else at
        the recorded head. What was saved of changes that were not committed is in its files again.
        """
        with self.locks.exclusively(repository) as common_dir:
            if registration.mend(self.git, repository, common_dir, worktree):
                if dirs := git_dirs.read(worktree.path):
                    git_dirs.remove_stale_locks(dirs, worktree)
                return False
            Path(worktree.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Git's entry for the old worktree goes, or git takes the branch for checked out.
            self._remove(repository, worktree.path)
            registration.forget_gone(self.git, common_dir, worktree)
            tip = branches.tip(self.git, repository, worktree.branch)
            saved = saving.Saved.find(self.git, repository, worktree.saved_ref)
            if tip:
                self._add(repository, worktree.path, worktree.branch)
                self._check_out(repository, worktree.path, worktree.branch, None)
            else:
                tip = saved.head if saved else worktree.head_commit or worktree.base_commit
                self._add_with_branch(repository, worktree.path, worktree.branch, tip)
                self._check_out(repository, worktree.path, worktree.branch, tip)
            if saved and saved.is_snapshot and saved.head == tip:
                self.git(worktree.path, "restore", f"--source={saved.commit}", "--worktree", "--", ".")
            return True

    def commit(self, worktree: Worktree, *, title: str, task_id: TaskId, task_list_title: str, run_number: int) -> str:
        """Commits whatever changed and returns the full id of the worktree's head.

        Raises CommitFailed; OSError with ENOSPC while a disk is full, after which another call may succeed.

        Call it when the run's processes are gone: see `commits.commit`. An agent that has removed or replaced its
        .git has worked all the same.
        """
        try:
            self.mend(worktree.common_dir, worktree, trusted=True)
        except WorktreeFailed as failure:
            cause = failure.__cause__
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(errno.ENOSPC, str(cause), worktree.path) from failure
            raise commits.CommitFailed(str(failure)) from failure
        text = commits.message(title=title, task_id=task_id, task_list_title=task_list_title, run_number=run_number)
        return commits.commit(self.git, worktree, self._author, text)

    @staticmethod
    def common_dir(repository: str) -> str | None:
        """Returns the git directory that all checkouts of a repository share, None when there is none."""
        dirs = git_dirs.read(repository)
        return dirs.common if dirs else None

    def mend(
        self,
        repository: str | None,
        worktree: Worktree,
        *,
        trusted: bool = False,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """Registers a worktree with its repository again if need be; see registration.mend. Raises WorktreeFailed.

        `repository` is a checkout or a git directory; without one, nothing is done. `may` is asked under the lock
        whether nobody works in the worktree.
        """
        dirs = git_dirs.read(repository) if repository else None
        if repository is None or dirs is None:
            return
        if not registration.occupied(worktree.path):
            registration.refuse_moved(repository, dirs.common, worktree)
            return
        path, branch = worktree.path, worktree.branch
        if registration.is_sound(path, dirs.common) and registration.has_branch(path, branch):
            with suppress(OSError):
                registration.keep(worktree.path, dirs.common)
            return
        with self.locks.holding(dirs.common):
            if may():
                registration.mend(self.git, repository, dirs.common, worktree, trusted=trusted)

    def _add_with_branch(self, repository: str, path: str, branch: str, start: str) -> None:
        """Makes a worktree without its files, and its branch; see `_add`."""
        try:
            # --no-track and a commit id for the start: to write an upstream takes the lock of the repository's
            # config, on which parallel adds fail. Forced twice, git forgets that it had a worktree at this path
            # before, even a locked one.
            self._add(repository, path, start, "--force", "--force", "--no-track", "-b", branch)
        except BaseException as error:
            self._delete_branch(repository, branch, start)
            if isinstance(error, commands.GitFailed):
                # In words that say what to do, where it is this: git's own speak of a lock.
                refusal = prefixes.taken(self.git, repository, branch[: branch.rfind("/") + 1])
                if refusal is not None:
                    raise WorktreeFailed(refusal.message) from error
            raise

    def _add(self, repository: str, path: str, revision: str, *options: str) -> None:
        """Runs `git worktree add`, without a checkout. The worktree is locked: no `git worktree prune` takes it."""
        kept = ("--no-checkout", "--lock", "--reason", registration.REASON)
        try:
            self.git(repository, "worktree", "add", "--quiet", *kept, *options, "--", path, revision)
        except BaseException:
            self._remove(repository, path)
            raise

    def _check_out(self, repository: str, path: str, branch: str, tip: str | None) -> None:
        """Checks the files of a new worktree out, as `git worktree add` does it. If that fails, removes the worktree.

        And its branch if `tip` is given, the commit that it was made at. Takes the repository's lock for that alone:
        what takes the longest is not what others have to wait for. Raises WorktreeFailed.
        """
        try:
            dirs = git_dirs.find(self.git, path)
            # Filters that keep something in the git directory get it before they have to check anything out.
            filters.share_state(dirs.common, dirs.own)
            # With what filters find in their environment when `git worktree add` starts this.
            environment = {"GIT_DIR": dirs.own, "GIT_WORK_TREE": path}
            self.git(path, "reset", "--hard", "--quiet", "--no-recurse-submodules", environment=environment)
        except BaseException as error:
            with self.locks.exclusively(repository):
                # Nobody has worked in it.
                self._try(repository, "worktree", "remove", "--force", "--force", "--", path)
                if registration.occupied(path):
                    self._remove(repository, path)
                if tip is not None:
                    self._delete_branch(repository, branch, tip)
                if isinstance(error, commands.GitFailed):
                    raise commands.GitFailed(filters.explained(error), error.status) from error
                raise

    def _delete_branch(self, repository: str, branch: str, tip: str) -> None:
        # With the old value: a branch that has moved on stays.
        self._try(repository, "update-ref", "-d", f"refs/heads/{branch}", tip)

    def _remove(self, repository: str, path: str) -> None:
        """Removes a worktree, whatever state it is in, as far as possible."""
        try:
            removing.remove(path)
        except errors.RemovalRefused:
            # Git would remove what it can of it, also below mounts.
            return
        # Git itself goes only by complete worktrees, but takes a missing directory for one. Forced twice, because
        # an interrupted add leaves its worktree locked.
        self._try(repository, "worktree", "remove", "--force", "--force", "--", path)

    def _try(self, repository: str, *arguments: str) -> None:
        with suppress(commands.GitFailed):
            self.git(repository, *arguments)

    def _clear_path(self, repository: str, path: str, base: str) -> bool:
        """Tells whether a worktree can be made at a path, after removing one that nobody has worked in."""
        if not registration.occupied(path):
            return True
        head = self._heads(repository).get(path)
        if head is None or not self._is_part_of(repository, head, base):
            return False
        self._remove(repository, path)
        return not registration.occupied(path)

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
        for entry in self.git(repository, "worktree", "list", "--porcelain", "-z").rstrip("\0").split("\0\0"):
            path, head, *_ = entry.split("\0")
            heads[path.removeprefix("worktree ")] = head.removeprefix("HEAD ")  # "bare" for a bare main one
        return heads

    def _is_part_of(self, repository: str, commit: str, base: str) -> bool:
        """Tells whether `base` has everything that `commit` has."""
        return not commit.strip("0") or branches.contains(self.git, repository, base, commit)


def _numbered(name: str) -> Iterator[str]:
    """Yields a name, and then the same with -2, -3 and so on behind it."""
    yield name
    for number in itertools.count(2):
        yield f"{name}-{number}"
