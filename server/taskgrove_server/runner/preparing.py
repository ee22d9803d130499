"""Makes the directory in which a task's agent works: a worktree, set up as its list says, or a sandbox."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrove_server.agents import environment
from taskgrove_server.domain import errors
from taskgrove_server.domain.config import Command
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import SETUP_TIMEOUT, Worktree, WorktreeSettings, WorktreeState
from taskgrove_server.processes import command
from taskgrove_server.runner.begun import Begun
from taskgrove_server.runner.clearing import Clearing
from taskgrove_server.runner.mailbox import Mailbox
from taskgrove_server.runner.task_work import Place
from taskgrove_server.worktrees import commands, copying, repositories, staging, subdirectories
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)

#: Copied files that are remembered although git ignores them: an agent may change that.
_REMEMBERED = 1000

#: Bytes of a setup log that are quoted when it fails.
_QUOTED = 2000


class SetupFailed(Exception):
    """Files could not be copied in time, or the list's setup command failed or took too long."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where the agent works. The worktree is None for a sandbox."""

    directory: str
    worktree: Worktree | None = None


class Preparation:
    """Makes directories. `pass_environment` names variables that setup commands get besides the allow-listed ones."""

    def __init__(
        self,
        worktrees: Worktrees,
        clearing: Clearing,
        begun: Begun,
        sandboxes: Path,
        pass_environment: Sequence[str],
    ) -> None:
        self._worktrees = worktrees
        self._begun = begun
        self._clearing = clearing
        self._sandboxes = sandboxes
        self._pass_environment = tuple(pass_environment)

    def prepare(self, task: Task, task_list: TaskList, mailbox: Mailbox) -> Prepared:
        """Returns the directory of a task; raises WorktreeFailed, SetupFailed and OSError.

        A cancel ends what is being done, with one of these errors.
        """
        if task_list.working_dir is None:
            return Prepared(self._sandbox(task))
        worktree = task.worktree
        repository = repositories.standing_for(task_list.working_dir, worktree.common_dir if worktree else None)
        interrupt = functools.partial(self._worktrees.interrupt, threading.get_ident())
        with mailbox.interruptible(interrupt):
            if task.subdirectory and (worktree is None or task.restart):
                self._check_subdirectory(task, repository, task_list)
            saved_ref = None
            if task.restart and worktree is not None:
                self._check_start(repository, task_list)
                saved_ref = worktree.saved_ref
                if worktree.state is WorktreeState.PRESENT:
                    self._worktrees.mend(repository, worktree)
                if worktree.state is not WorktreeState.DISCARDED:
                    saved_ref = self._put_away(task, worktree, repository, task_list)
                worktree = None
            made = worktree is None
            if worktree is None:
                worktree = self._create(task, repository, task_list.worktree_settings, mailbox)
                worktree = replace(worktree, saved_ref=saved_ref)
            else:
                restored = self._worktrees.restore(repository, worktree)
                common_dir = self._worktrees.common_dir(repository) or worktree.common_dir
                worktree = replace(worktree, state=WorktreeState.PRESENT, common_dir=common_dir)
                if not restored:
                    return _prepared(task, worktree)
        try:
            if made:
                _check_checked_out(task, worktree)
            worktree = self._set_up(task, task_list, task_list.working_dir, worktree, mailbox)
        except BaseException:
            if made:
                self.discard(task, task_list)
            raise
        return _prepared(task, worktree)

    def _create(self, task: Task, repository: str, settings: WorktreeSettings, mailbox: Mailbox) -> Worktree:
        create = functools.partial(
            self._worktrees.create,
            repository,
            task.id,
            task.title,
            base_branch=settings.base_branch,
            branch_prefix=settings.branch_prefix,
        )
        try:
            return create()
        except (WorktreeFailed, OSError) as error:
            # What it made could not be removed either, maybe.
            self._begun.suspect()
            if mailbox.told:
                raise
            log.info("Task %s: its worktree is tried once more: %s", task.id, error)
        # What was short may be there again before anybody can look for it, and git does not always say.
        return create()

    def discard(self, task: Task, task_list: TaskList) -> None:
        """Removes a worktree that was made, or begun, and not recorded; raises WorktreeFailed."""
        # If it cannot be removed now.
        self._begun.suspect()
        if task_list.working_dir is not None:
            settings = task_list.worktree_settings
            common_dir = task.worktree.common_dir if task.worktree else None
            self._worktrees.discard(
                repositories.standing_for(task_list.working_dir, common_dir),
                task.id,
                task.title,
                base_branch=settings.base_branch,
                branch_prefix=settings.branch_prefix,
            )

    def _check_subdirectory(self, task: Task, repository: str, task_list: TaskList) -> None:
        """Fails before anything is made or put away: the base may be another one than when the task was enqueued."""
        base_branch = task_list.worktree_settings.base_branch
        try:
            subdirectories.check(self._worktrees.git, repository, base_branch, task.subdirectory)
        except errors.TaskgroveError as error:
            raise WorktreeFailed(str(error)) from error

    def _check_start(self, repository: str, task_list: TaskList) -> None:
        """Raises WorktreeFailed, before anything is put away, when nothing says where to start from."""
        if repository != task_list.working_dir and not task_list.worktree_settings.base_branch:
            raise WorktreeFailed(
                f"{task_list.working_dir!r} is no checkout of the repository any more, so that nothing says from where "
                f"to start: put one there again, as by 'git -C {repository} worktree add {task_list.working_dir} "
                "<branch>', and retry."
            )

    def _set_up(
        self, task: Task, task_list: TaskList, repository: str, worktree: Worktree, mailbox: Mailbox
    ) -> Worktree:
        settings = task_list.worktree_settings
        timeout = (settings.setup_timeout or SETUP_TIMEOUT).total_seconds()
        copied = self._copy_in(repository, worktree.path, settings.copied_files, timeout, mailbox)
        log_path = None
        if settings.setup_command is not None:
            log_path = self._clearing.setup_log(task.id)
            self._run_setup(settings.setup_command, worktree.path, log_path, timeout, mailbox)
        known = dict.fromkeys((*worktree.copied_files, *copied))
        return replace(worktree, copied_files=tuple(known), setup_log_path=log_path)

    def _copy_in(
        self, repository: str, path: str, patterns: Sequence[str], timeout: float, mailbox: Mailbox
    ) -> Sequence[str]:
        """Copies files, and returns those that have to be kept out of commits."""
        deadline = time.monotonic() + timeout

        def proceed() -> None:
            if mailbox.told:
                raise SetupFailed("Copying files into the worktree was stopped.")
            if time.monotonic() > deadline:
                raise SetupFailed(f"Copying files into the worktree did not end within {timeout:g} seconds.")

        copied = copying.copy_in(repository, path, patterns, proceed)
        if len(copied) <= _REMEMBERED:
            return copied
        # As of installed dependencies, which git ignores anyhow.
        try:
            return staging.not_ignored(self._worktrees.git, path, copied)
        except commands.GitFailed as failure:
            raise WorktreeFailed(str(failure)) from failure

    def _run_setup(self, setup: Command, directory: str, log_path: str, timeout: float, mailbox: Mailbox) -> None:
        argv = ("/bin/sh", "-c", setup.shell) if setup.shell is not None else setup.argv
        name, _, value = self._worktrees.mark.partition("=")
        variables = environment.pass_on(os.environ, *self._pass_environment) | {name: value}
        try:
            end = command.run(
                argv,
                environment=variables,
                mark=f"TASKGROVE_SETUP={directory}",
                directory=directory,
                log_path=log_path,
                timeout=timeout,
                told_to_stop=lambda: mailbox.told,
            )
        except OSError as error:
            raise SetupFailed(f"The setup command could not be started: {error}") from error
        if end.code == 0:
            return
        how = f"ended with code {end.code}"
        if end.code is None:
            how = f"did not end within {timeout:g} seconds" if end.timed_out else "was stopped"
        quoted = command.tail(log_path, _QUOTED)
        words = f" The end of what it printed:\n\n```\n{quoted}\n```" if quoted else " It printed nothing."
        raise SetupFailed(f"The setup command {how}.{words}")

    def _put_away(self, task: Task, worktree: Worktree, repository: str, task_list: TaskList) -> str | None:
        place = Place(task, worktree, repository, task_list.worktree_settings.base_branch, task_list.title)
        try:
            saved_ref = self._clearing.put_away(place)
        except errors.TaskgroveError as error:
            raise WorktreeFailed(f"The earlier worktree could not be put away: {error}") from error
        log.info("Task %s is done from the start; what it had done is at %s", task.id, saved_ref)
        return saved_ref

    def _sandbox(self, task: Task) -> str:
        sandbox = self._sandboxes / task.id
        if task.restart and sandbox.is_dir() and any(sandbox.iterdir()):
            names = (sandbox.with_name(f"{task.id}.{number}") for number in itertools.count(1))
            sandbox.rename(next(name for name in names if not name.exists()))
        sandbox.mkdir(parents=True, exist_ok=True)
        return str(sandbox)


def _prepared(task: Task, worktree: Worktree) -> Prepared:
    return Prepared(str(Path(worktree.path, task.subdirectory)), worktree)


def _check_checked_out(task: Task, worktree: Worktree) -> None:
    if not Path(worktree.path, task.subdirectory).is_dir():
        raise WorktreeFailed(
            f"The task cannot start in {task.subdirectory!r}, which was not checked out: the repository's sparse "
            "checkout leaves it out. Add it with 'git sparse-checkout add', or name another directory."
        )
