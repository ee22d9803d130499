"""A stand-in for the client, over which the commands of the command line are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import click.testing

import taskgrove
from taskgrove import diffs, errors, watching
from taskgrove.cli import program
from taskgrove.v1 import change_pb2, event_pb2, run_pb2, task_list_pb2, task_pb2, task_service_pb2
from taskgrove.v1 import worktree_service_pb2 as worktrees_pb2
from taskgrove.v1.server_service_pb2 import GetServerInfoResponse

Task = task_pb2.Task
CancelResponse = task_service_pb2.CancelResponse
DeleteTaskResponse = task_service_pb2.DeleteTaskResponse

ID = "k3v5m2qxw7ab"

#: A step of a watch: an event, or something that happens while the next event is waited for.
type_step = watching.WatchEvent | Callable[[], object]


def a_task(state: Task.State = Task.STATE_QUEUED, **fields: Any) -> Task:
    """Returns a task."""
    return Task(id=ID, task_list_id="listlistlist", title="Fix it", state=state, run_count=1, **fields)


def invoke(*arguments: str, stdin: str = "") -> click.testing.Result:
    """Runs a command."""
    return click.testing.CliRunner().invoke(
        program.taskgrove, ["--target", "localhost:1", *arguments], input=stdin, catch_exceptions=False
    )


class StandIn:
    """Answers as a client does, from what a test put into it."""

    def __init__(self) -> None:
        self.task = a_task()
        self.run = run_pb2.Run(id="r", task_id=ID, number=1, agent="command")
        self.task_lists: list[task_list_pb2.TaskList] = []
        #: Steps of each next watch.
        self.watches: list[Sequence[type_step]] = []
        self.watched_after: list[int] = []
        self.requests: list[tuple[Any, ...]] = []
        self.outcome = CancelResponse.OUTCOME_STOPPING
        #: Fails every call.
        self.failure: errors.TaskgroveError | None = None
        #: Each fails one call of the method of its name.
        self.failures: dict[str, list[errors.TaskgroveError]] = {}
        self.check = worktrees_pb2.CheckLandResponse(can_land=True, target_branch="main", head_commit="c" * 40)
        self.diff: list[diffs.Summary | diffs.FileDiff] = []
        self.files: list[change_pb2.ChangedFile] = []
        self.removal = worktrees_pb2.Removal(task_id=ID, path="/home/me/tree", branch="taskgrove/x")
        self.prunes: list[worktrees_pb2.PruneWorktreesResponse] = []
        self.saved_ref: str | None = None
        self.leftover_path = ""
        self.log: list[taskgrove.Line] = []
        self.setup_log = b""
        self.info = GetServerInfoResponse(version=taskgrove.__version__)
        #: Steps of the feed.
        self.feed: list[event_pb2.Event | Callable[[], object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def watch(self, task_id: str, *, after_line: int = 0) -> Watch:
        assert task_id == ID
        self.watched_after.append(after_line)
        return Watch(self.watches.pop(0))

    def get_server_info(self) -> GetServerInfoResponse:
        return self.info

    def get_task(self, task_id: str) -> Task:
        self._ask("get_task", task_id)
        return self.task

    def enqueue(self, task_list_id: str, title: str, **fields: Any) -> Task:
        self._ask("enqueue", task_list_id, title, fields)
        return self.task

    def continue_task(self, task_id: str, prompt: str) -> Task:
        self._ask("continue", task_id, prompt)
        return self.task

    def cancel(self, task_id: str) -> CancelResponse:
        self._ask("cancel", task_id)
        return CancelResponse(task=self.task, outcome=self.outcome)

    def retry_task(self, task_id: str) -> Task:
        self._ask("retry", task_id)
        return self.task

    def update_task(self, task_id: str, **changes: Any) -> Task:
        self._ask("update_task", task_id, changes)
        return self.task

    def update_subtask(self, task_id: str, number: int, *, completed: bool) -> Task:
        self._ask("update_subtask", task_id, number, completed)
        return self.task

    def delete_task_response(self, task_id: str, *, discard_worktree: bool) -> DeleteTaskResponse:
        self._ask("delete_task", task_id, discard_worktree)
        return DeleteTaskResponse(saved_ref=self.saved_ref or "", leftover_path=self.leftover_path)

    def read_lines(self, task_id: str, **part: Any) -> Iterator[taskgrove.Line]:
        self._ask("read_lines", task_id, part)
        return iter(self.log)

    def read_setup_log(self, task_id: str) -> bytes:
        self._ask("read_setup_log", task_id)
        return self.setup_log

    def read_events(self, **wanted: Any) -> Iterator[event_pb2.Event]:
        self._ask("read_events", wanted)
        return iter(step for step in self.feed if isinstance(step, event_pb2.Event))

    def watch_events(self, **wanted: Any) -> EventWatch:
        self._ask("watch_events", wanted)
        return EventWatch(self.feed)

    def iterate_diff(self, task_id: str, **wanted: Any) -> Iterator[diffs.Summary | diffs.FileDiff]:
        self._ask("iterate_diff", task_id, wanted)
        return iter(self.diff)

    def list_changed_files(self, task_id: str, **wanted: Any) -> Iterator[change_pb2.ChangedFile]:
        self._ask("list_changed_files", task_id, wanted)
        return iter(self.files)

    def check_land(self, task_id: str, **wanted: Any) -> worktrees_pb2.CheckLandResponse:
        self._ask("check_land", task_id, wanted)
        return self.check

    def land(self, task_id: str, **wanted: Any) -> Task:
        self._ask("land", task_id, wanted)
        return self.task

    def push_branch(self, task_id: str, **wanted: Any) -> worktrees_pb2.PushBranchResponse:
        self._ask("push_branch", task_id, wanted)
        return worktrees_pb2.PushBranchResponse(
            remote="origin", remote_branch="taskgrove/x", commit="c" * 40, remote_message="Open it at \x1b[2Jhttps://x"
        )

    def discard_worktree(self, task_id: str, *, dry_run: bool = False) -> worktrees_pb2.DiscardWorktreeResponse:
        self._ask("discard_worktree", task_id, dry_run)
        removal = worktrees_pb2.Removal()
        removal.CopyFrom(self.removal)
        if dry_run:
            removal.saved_ref = ""
        return worktrees_pb2.DiscardWorktreeResponse(task=self.task, removal=removal)

    def prune_worktrees(
        self, *, task_list_id: str | None, rested_for: timedelta | None, dry_run: bool
    ) -> worktrees_pb2.PruneWorktreesResponse:
        self._ask("prune_worktrees", task_list_id, rested_for, dry_run)
        return self.prunes.pop(0)

    def list_runs(self, task_id: str) -> Iterator[run_pb2.Run]:
        assert task_id == ID
        return iter([self.run])

    def list_tasks(self, **filters: Any) -> Iterator[Task]:
        self._ask("list_tasks", filters)
        return iter([self.task] * 3)

    def get_task_list(self, task_list_id: str) -> task_list_pb2.TaskList:
        for task_list in self.task_lists:
            if task_list.id == task_list_id:
                return task_list
        raise errors.TaskListNotFound("It is gone.")

    def list_task_lists(
        self, *, working_dir: Path | None = None, page_size: int = 0
    ) -> Iterator[task_list_pb2.TaskList]:
        return iter([one for one in self.task_lists if working_dir is None or one.working_dir == str(working_dir)])

    def create_task_list(
        self,
        title: str,
        *,
        working_dir: Path | None = None,
        defaults: taskgrove.RunConfig | None = None,
        worktree_settings: taskgrove.WorktreeSettings | None = None,
    ) -> task_list_pb2.TaskList:
        self._ask("create_task_list", title, working_dir)
        return task_list_pb2.TaskList(
            id="newnewnewnew",
            title=title,
            working_dir=str(working_dir or ""),
            defaults=defaults,
            worktree_settings=worktree_settings,
        )

    def update_task_list(self, task_list_id: str, **changes: Any) -> task_list_pb2.TaskList:
        self._ask("update_task_list", task_list_id, changes)
        return task_list_pb2.TaskList(
            id=task_list_id,
            title=changes["title"] or "",
            defaults=changes["defaults"],
            worktree_settings=changes["worktree_settings"],
        )

    def _ask(self, *request: Any) -> None:
        self.requests.append(request)
        if self.failure:
            raise self.failure
        if failures := self.failures.get(request[0]):
            raise failures.pop(0)

    def asked(self, name: str) -> list[tuple[Any, ...]]:
        """Returns what was asked of one method."""
        return [request[1:] for request in self.requests if request[0] == name]


class Watch:
    """Plays the steps of a watch."""

    def __init__(self, steps: Sequence[type_step]) -> None:
        self._steps = steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Does nothing: after an interrupt there is no further step."""

    def __iter__(self) -> Iterator[watching.WatchEvent]:
        for step in self._steps:
            if callable(step):
                step()
            else:
                yield step


class EventWatch:
    """Plays the steps of the feed, and ends as if it were interrupted."""

    def __init__(self, steps: Sequence[event_pb2.Event | Callable[[], object]]) -> None:
        self._steps = steps
        self.last_sequence: int | None = 100

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Does nothing: after an interrupt there is no further step."""

    def __iter__(self) -> Iterator[event_pb2.Event]:
        for step in self._steps:
            if isinstance(step, event_pb2.Event):
                yield step
            else:
                step()
