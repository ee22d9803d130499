"""Queries about task lists."""

from __future__ import annotations

from concurrent.futures import Future

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.task import TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import WorktreeSettings
from taskgrove_server.store import holds, models, requests, rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.writer import Changed, Writer

_SELECT = f"SELECT sequence, {rows.TASK_LIST_COLUMNS} FROM task_list"  # noqa: S608 - names of ours alone


class TaskLists:
    """The stored task lists. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def create(self, task_list: TaskList, request: RequestKey | None = None) -> Future[TaskList]:
        """Adds a list, or returns the one that the same request added. Raises RequestIdReused."""

        def change(_changed: Changed) -> TaskList:
            if known := requests.earlier(request):
                return find(TaskListId(known))
            models.TaskList.create(
                id=task_list.id,
                title=task_list.title,
                working_dir=task_list.working_dir,
                defaults=rows.from_config(task_list.defaults),
                worktree_settings=rows.from_worktree_settings(task_list.worktree_settings),
                create_time=rows.from_time(task_list.create_time),
                update_time=rows.from_time(task_list.update_time),
            )
            requests.record(request, task_list.id)
            return task_list

        return self._writer.submit(change)

    def update(
        self,
        task_list_id: TaskListId,
        etag: str,
        *,
        title: str | None = None,
        defaults: RunConfig | None = None,
        worktree_settings: WorktreeSettings | None = None,
        request: RequestKey | None = None,
    ) -> Future[TaskList]:
        """Changes what is not None; `etag` empty means whatever the list is by now.

        Raises TaskListNotFound, EtagMismatch and RequestIdReused.
        """

        def change(_changed: Changed) -> TaskList:
            if known := requests.earlier(request):
                return find(TaskListId(known))
            before = find(task_list_id)
            if etag and etag != before.etag:
                raise errors.EtagMismatch(f"Task list {task_list_id}", before.etag)
            values: dict[str, object] = {"update_time": rows.from_time(clock.now())}
            if title is not None:
                values["title"] = title
            if defaults is not None:
                values["defaults"] = rows.from_config(defaults)
            if worktree_settings is not None:
                values["worktree_settings"] = rows.from_worktree_settings(worktree_settings)
            models.TaskList.update(values).where(models.TaskList.id == task_list_id).execute()
            requests.record(request, task_list_id)
            return find(task_list_id)

        return self._writer.submit(change)

    def delete(self, task_list_id: TaskListId, request: RequestKey | None = None) -> Future[None]:
        """Removes a list, unless the same request has done so.

        Raises TaskListNotFound, TaskListActive while a task of it is queued or running, and RequestIdReused.
        """

        def change(changed: Changed) -> None:
            if requests.earlier(request):
                return
            working_dir = find(task_list_id).working_dir
            active = models.Task.select(models.Task.id).where(
                models.Task.task_list_id == task_list_id,
                models.Task.state.in_([TaskState.QUEUED.value, TaskState.RUNNING.value]),
            )
            if active.limit(1).first() is not None:
                raise errors.TaskListActive(task_list_id)
            models.TaskList.delete().where(models.TaskList.id == task_list_id).execute()
            if working_dir and not models.TaskList.select().where(models.TaskList.working_dir == working_dir).exists():
                # Nobody is left who could find out that it has room again.
                holds.end_of_disk(changed, working_dir)
            requests.record(request, task_list_id)

        return self._writer.submit(change)

    @reading()
    def get(self, task_list_id: TaskListId) -> TaskList:
        """Returns a list. Raises TaskListNotFound."""
        return find(task_list_id)

    @reading()
    def all(self) -> list[TaskList]:
        """Returns every list."""
        return [rows.to_task_list(values) for _, *values in models.run(_SELECT)]

    @reading()
    def page(self, before: int | None, size: int, working_dir: str | None) -> list[tuple[int, TaskList]]:
        """Returns up to `size` lists with their sequences, the newest first, from below the sequence `before`."""
        conditions = {"sequence < ?": before, "working_dir = ?": working_dir}
        given = {text: value for text, value in conditions.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        found = models.run(f"{_SELECT} {where} ORDER BY sequence DESC LIMIT ?", *given.values(), size)
        return [(sequence, rows.to_task_list(values)) for sequence, *values in found]


def find(task_list_id: TaskListId) -> TaskList:
    """Returns a list, in whatever transaction there is. Raises TaskListNotFound."""
    found = models.run(f"{_SELECT} WHERE id = ?", task_list_id).fetchone()
    if found is None:
        raise errors.TaskListNotFound(task_list_id)
    return rows.to_task_list(found[1:])
