"""Task lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taskgrove_server.domain import clock
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.worktree import WorktreeSettings


@dataclass(frozen=True, slots=True)
class TaskList:
    """A project: a repository, or none, and the defaults of its tasks. Times are aware and in UTC."""

    id: TaskListId
    title: str
    #: The top level of a git repository, absolute and without symbolic links; None for sandboxes.
    working_dir: str | None
    defaults: RunConfig
    create_time: datetime
    update_time: datetime
    worktree_settings: WorktreeSettings = WorktreeSettings()

    @property
    def etag(self) -> str:
        """Returns what changes whenever the list does."""
        return clock.etag(self.update_time)
