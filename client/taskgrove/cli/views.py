"""The two ways to show a task that is being followed: for a person, and for a program."""

from __future__ import annotations

import contextlib
from typing import Self

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import elsewhere, output, words
from taskgrove.cli.rendering import claude, command, rows, safety, summary, terminal, unknown
from taskgrove.v1 import run_pb2, task_pb2

_RENDERERS: dict[str, type[rows.Renderer]] = {"claude": claude.Renderer, "command": command.Renderer}


class JsonView:
    """Writes the lines as they are to standard output, and states to standard error."""

    def __init__(self) -> None:
        self._state = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def opened(self, task: task_pb2.Task, replay: int) -> None:  # noqa: ARG002 - part of the protocol
        """Reports the state."""
        self.changed(task)

    def line(self, line: taskgrove.Line) -> None:
        """Writes the line."""
        output.print_line(line.data)

    def changed(self, task: task_pb2.Task) -> None:
        """Reports the state if it is another one."""
        state = words.task_state(task.state)
        if state != self._state:
            self._state = state
            self.notice(f"Task {task.id}: {state}.")

    def rested(self, task: task_pb2.Task) -> None:
        """Reports the state, and why the task failed."""
        self.changed(task)
        if task.HasField("failure"):
            self.notice(f"{words.failure_kind(task.failure.kind).capitalize()}: {task.failure.message}")

    def notice(self, text: str) -> None:
        """Writes to standard error."""
        click.echo(safety.plain(text), err=True)


class Lines:
    """Renders the lines of a task, each run below a heading of its own."""

    def __init__(self, client: taskgrove.Client, screen: terminal.Screen, task_id: str = "") -> None:
        self._client = client
        self._screen = screen
        self.task_id = task_id
        self._run_number = 0
        self.renderers: list[rows.Renderer] = []

    def show(self, line: taskgrove.Line) -> None:
        """Renders the line, below a heading if it is the first one of its run."""
        if line.run_number != self._run_number:
            self._begin_run(line.run_number)
        self._screen.print(*self.renderers[-1].feed(line.data))

    def _begin_run(self, number: int) -> None:
        self._run_number = number
        run: run_pb2.Run | None = None
        # The heading is not worth ending the watch for: a server that restarts is waited for there.
        with contextlib.suppress(errors.TaskgroveError):
            run = elsewhere.called(lambda: self._find_run(number))
        self.renderers.append(_RENDERERS.get(run.agent if run else "", unknown.Renderer)())
        self._screen.print(summary.of_run(number, run))

    def _find_run(self, number: int) -> run_pb2.Run | None:
        return next((run for run in self._client.list_runs(self.task_id) if run.number == number), None)


class PersonView:
    """Renders the lines, with a status line below them on a terminal, and sums up at the end."""

    def __init__(self, client: taskgrove.Client) -> None:
        self._client = client
        self._screen = terminal.Screen()
        self._task = task_pb2.Task()
        self._last_line = 0
        self._replay = 0
        self._lines = Lines(client, self._screen)
        # Last, because it is drawn once at this point.
        self._status = self._screen.status(self._status_text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def opened(self, task: task_pb2.Task, replay: int) -> None:
        """Shows which task it is."""
        self.changed(task)
        self._screen.print(summary.of_start(task))
        self._lines.task_id = task.id
        self._replay = replay
        if not replay:
            self._status.start()

    def line(self, line: taskgrove.Line) -> None:
        """Renders the line, below a heading if it is the first one of its run."""
        self._last_line = line.number
        self._lines.show(line)
        if self._replay:
            self._replay -= 1
            # Drawn anew for each line, the status line would make a long replay seven times slower.
            if not self._replay:
                self._status.start()

    def changed(self, task: task_pb2.Task) -> None:
        """Takes note of the task for the status line."""
        self._task = task

    def rested(self, task: task_pb2.Task) -> None:
        """Sums up."""
        self._task = task
        renderers = self._lines.renderers
        shown = bool(renderers) and renderers[-1].has_shown(task.result)
        runs = elsewhere.called(lambda: list(self._client.list_runs(task.id)))
        block = summary.of_rest(
            task,
            runs,
            repository=elsewhere.called(lambda: repository_of(self._client, task)),
            shown=shown,
            unknown=sum(renderer.unknown for renderer in renderers),
        )
        self._status.stop()
        self._screen.print(*block, *summary.of_changes(runs))

    def notice(self, text: str) -> None:
        """Prints the sentence where it does not mix with the agent's output."""
        self._screen.notice(text)

    def _status_text(self) -> str:
        task = self._task
        used = [renderer.usage for renderer in self._lines.renderers]
        read, written = sum(one.input_tokens for one in used), sum(one.output_tokens for one in used)
        cost = sum(one.cost_usd for one in used)
        parts = [
            words.standing(task),
            words.elapsed(task),
            f"line {self._last_line}" if self._last_line else "",
            f"{words.amount(read)} in, {words.amount(written)} out" if read or written else "",
            words.money(cost) if cost else "",
        ]
        return " · ".join(part for part in parts if part)


def repository_of(client: taskgrove.Client, task: task_pb2.Task) -> str:
    """Returns the repository that a task's list names; empty when there is none, or the list is gone."""
    try:
        return client.get_task_list(task.task_list_id).working_dir
    except errors.TaskListNotFound:
        return ""
