"""Compares what a repository shares with its worktrees, before and after each run.

A worktree is a directory of its own, but the stash, the config, the branches and the hooks are the person's: what an
agent does to them it does to the person.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands, git_dirs, unfinished
from taskgrove_server.worktrees.locks import RepositoryLocks
from taskgrove_server.worktrees.shared import config, refs, sentences, stash
from taskgrove_server.worktrees.shared.note import Note, Snapshot
from taskgrove_server.worktrees.shared.settling import Settling

log = logging.getLogger(__name__)


class SharedState:
    """Looks at repositories before runs and after them. `branch_prefix` is that of lists without one of their own.

    Nothing that it tells or logs has a value of a config in it.
    """

    def __init__(self, git: commands.Git, locks: RepositoryLocks, branch_prefix: str) -> None:
        self._git = git
        self._locks = locks
        self._branch_prefix = branch_prefix
        #: Held while a repository is looked at or put in order. A lock of `locks` may be held for a whole checkout,
        #: which the start of another task's agent must not wait for.
        self._looking: dict[str, threading.Lock] = {}

    def remember(self, task: Task, run_directory: Path) -> None:
        """Looks at the repository of a task's worktree, if it has one; call it before the run's process starts.

        Raises OSError or GitFailed while the machine is short of something. Whatever else fails is told when the run
        has ended.
        """
        worktree = task.worktree
        if worktree is None:
            return
        try:
            common_dir = git_dirs.find(self._git, worktree.path).common
            prefixes = (worktree.branch.partition(task.id)[0], self._branch_prefix)
            with self._look(common_dir):
                # The agent waits for this. What is wrong with the repository by now still is after the run.
                before = Snapshot.read(self._git, common_dir)
                Note(common_dir, task.id, worktree.branch, prefixes, before).write(run_directory)
                if before.stash:
                    stash.pin(self._git, common_dir, run_directory.name, before.stash)
        except (commands.GitFailed, OSError, ValueError) as error:
            if _passes(error):
                raise
            _log_failure("before a run", error)
            Note.write_none(run_directory)

    def compare(self, run_directory: Path) -> tuple[str, ...] | None:
        """Puts back what cannot have been meant and returns what to tell; None when that could not be found out.

        Call it when the run's processes are gone, and in one thread for a run. Done again, it tells the same. Raises
        OSError or GitFailed while the machine is short of something.
        """
        try:
            note = Note.read(run_directory)
            if note is None:
                return ()
            # Read again with the lock each time: the end of another run may have put something back meanwhile.
            with self._look(note.common_dir):
                note = Note.read(run_directory) or note
                unchanged = self._is_unchanged(note)
            if not unchanged:
                with self._locks.holding(note.common_dir), self._look(note.common_dir):
                    note = Settling(self._git, Note.read(run_directory) or note, run_directory).settle()
            if note.before.stash:
                stash.unpin(self._git, note.common_dir, run_directory.name)
        except Exception as error:
            # Nothing else of this may keep a task from its rest.
            if _passes(error):
                raise
            _log_failure("after a run", error)
            return None
        return sentences.told(note.told)

    def unfinished(self, worktree: Worktree) -> str | None:
        """Returns what a run has left its worktree in the middle of, as the end of a sentence; None for nothing.

        Call it after `compare`, which puts back what git cannot work with. What git cannot tell is for the commit to
        tell. Raises as `compare` does.
        """
        try:
            begun = unfinished.in_worktree(self._git, worktree.path)
        except commands.GitFailed as error:
            if _passes(error):
                raise
            _log_failure("for what a run has left unfinished", error)
            return None
        return begun.state if begun else None

    def _look(self, common_dir: str) -> threading.Lock:
        return self._looking.setdefault(common_dir, threading.Lock())

    def _is_unchanged(self, note: Note) -> bool:
        # With another config git may not even be able to look.
        if note.mended or config.read(note.common_dir) != note.before.configs:
            return False
        tasks = refs.TaskBranches(note.prefixes)
        return Snapshot.take(self._git, note.common_dir).without(tasks) == note.before.without(tasks)


def _passes(error: Exception) -> bool:
    """Tells whether a failure is for want of something that the machine is short of."""
    if isinstance(error, OSError):
        return shortages.of_errno(error.errno) is not None
    return isinstance(error, commands.GitFailed) and shortages.of_words(str(error)) is not None


def _log_failure(when: str, error: Exception) -> None:
    # Not git's own words, which may quote a value of the config.
    status = f", status {error.status}" if isinstance(error, commands.GitFailed) else ""
    log.warning("What a repository shares could not be looked at %s: %s%s", when, type(error).__name__, status)
