"""Rows that sum up a task or a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from taskgrove.cli import words
from taskgrove.cli.rendering import rows
from taskgrove.cli.rendering.rows import Row
from taskgrove.v1 import run_pb2, task_pb2

_SIGNS = {"succeeded": "✔", "failed": "✘", "cancelled": "◼"}


def of_start(task: task_pb2.Task) -> Row:
    """Returns the heading of a task that is being followed."""
    return [("task ", "dim"), (task.id, "bold"), (f"  {rows.one_line(task.title, 100)}", "")]


def of_run(number: int, run: run_pb2.Run | None) -> Row:
    """Returns the heading of a run; None for one whose record could not be read."""
    if run is None:
        return [(f"── run {number}", "dim")]
    about = [
        f"── run {number}",
        "retry after a failure" if run.is_retry else "",
        run.agent,
        run.model,
    ]
    return [(" · ".join(part for part in about if part), "dim")]


def of_rest(
    task: task_pb2.Task, runs: Sequence[run_pb2.Run], *, repository: str, shown: bool, unknown: int = 0
) -> list[Row]:
    """Returns the block that ends a task's output: how it went, and what to look at next.

    `repository` is the list's working directory, empty when there is none; `shown` tells that the result was
    printed already; `unknown` counts lines that were skipped.
    """
    state = words.task_state(task.state)
    head: Row = [("\n", ""), (f"{_SIGNS.get(state, '·')} {state}", f"bold {words.STYLES.get(state, '')}")]
    if time := words.elapsed(task):
        head.append((f" in {time}", ""))
    head.append((f"  task {task.id}" + (f", {len(runs)} runs" if len(runs) > 1 else ""), "dim"))
    block = [head]
    if task.HasField("failure"):
        block += _failure(task)
    if task.state == task_pb2.Task.STATE_SUCCEEDED and task.result and not shown:
        block.append([(task.result, "")])
    block += [_field(name, value) for name, value in (*_consumption(runs), *_work(task, repository))]
    if unknown:
        lines = f"{unknown} line{'s' if unknown > 1 else ''} of unknown kinds skipped; --json shows all"
        block.append(_field("note", lines))
    return block


def of_task(task: task_pb2.Task, task_list: str, nested: Sequence[str] = ()) -> list[Row]:
    """Returns everything about a task but its runs and its rest. `task_list` says which list it belongs to.

    `nested` has a line for each repository inside its worktree.
    """
    state = words.task_state(task.state)
    if task.cancel_requested:
        state += ", being cancelled"
    block = [of_start(task), _field("state", state), _field("list", task_list)]
    block.append(_field("enqueued", words.local_time(task.create_time)))
    if task.HasField("start_time"):
        block.append(_field("started", words.local_time(task.start_time)))
    if task.HasField("finish_time"):
        block.append(_field("finished", words.local_time(task.finish_time)))
    if task.HasField("worktree"):
        block += [_field(name, value) for name, value in _worktree(task.worktree)]
        block += [_field("inside", one) for one in nested]
    elif task.directory:
        block.append(_field("directory", task.directory))
    if task.subdirectory:
        block.append(_field("starts in", task.subdirectory))
    if task.description:
        block.append([("\n", ""), (task.description, "")])
    block += [[(f"[{'x' if part.completed else ' '}] {part.title}", "")] for part in task.subtasks]
    return block


def of_past_run(run: run_pb2.Run) -> list[Row]:
    """Returns what is known of a run: how it went, and what it consumed."""
    state = words.run_state(run.state)
    head = of_run(run.number, run)
    head.append((f" · {state}", words.STYLES.get(state, "")))
    if time := words.elapsed(run):
        head.append((f" in {time}", ""))
    if run.HasField("exit_code"):
        head.append((f", exit code {run.exit_code}", "dim"))
    block = [head, *(_field(name, value) for name, value in _consumption([run]))]
    if run.session_id:
        block.append(_field("session", run.session_id))
    block.append(_field("log", "removed, as the server's log_retention says" if run.log_removed else run.log_path))
    if run.HasField("failure"):
        block.append(_field("failure", f"{words.failure_kind(run.failure.kind)}: {run.failure.message}"))
    block += [_field("denied", denial) for denial in run.permission_denials]
    block += [_change(told) for told in run.repository_changes]
    return block


def of_changes(runs: Sequence[run_pb2.Run]) -> list[Row]:
    """Returns what happened to the repository during the last run, and during those that it is a retry of."""
    last: list[run_pb2.Run] = []
    for run in reversed(runs):
        last.insert(0, run)
        if not run.is_retry:
            break
    return [_change(told) for run in last for told in run.repository_changes]


def _change(told: str) -> Row:
    """Returns a row for what happened to a repository, which a person is to see among all else."""
    return [("  repo      ", "dim"), (told, "yellow")]


def _field(name: str, value: str) -> Row:
    return [(f"  {name:<9} ", "dim"), (value.replace("\n", f"\n{' ' * 12}"), "")]


def _failure(task: task_pb2.Task) -> Iterator[Row]:
    failure = task.failure
    yield [(words.failure_kind(failure.kind), "bold red"), (f": {failure.message}", "red")]
    if failure.HasField("retry_time"):
        yield _field("wait", f"work is accepted again at {words.local_time(failure.retry_time)}")
    if failure.retryable and task.run_count:
        yield _field("try again", f"taskgrove continue {task.id} 'Please try again.'")


def _consumption(runs: Sequence[run_pb2.Run]) -> Iterator[tuple[str, str]]:
    if any(run.HasField("input_tokens") or run.HasField("output_tokens") for run in runs):
        fresh = sum(run.input_tokens for run in runs)
        cached = sum(run.cache_read_tokens + run.cache_write_tokens for run in runs)
        written = sum(run.output_tokens for run in runs)
        cache = f" + {cached:,} cached" if cached else ""
        yield "tokens", f"{fresh:,}{cache} in, {written:,} out"
    if any(run.HasField("cost_usd") for run in runs):
        yield "cost", words.money(sum(run.cost_usd for run in runs))


def _worktree(tree: task_pb2.Worktree) -> Iterator[tuple[str, str]]:
    present = tree.state in {task_pb2.Worktree.STATE_UNSPECIFIED, task_pb2.Worktree.STATE_PRESENT}
    yield "worktree", tree.path if present else f"{tree.path} ({words.worktree_state(tree.state)})"
    yield "base", tree.base_commit[: words.SHORT]
    if tree.HasField("landing"):
        landing = tree.landing
        how = words.land_strategy(landing.strategy)
        time = words.local_time(landing.land_time)
        yield "landed", f"on {landing.target_branch} as {landing.commit[: words.SHORT]}, by {how}, {time}"
    if tree.saved_ref:
        yield "saved", tree.saved_ref
    if tree.setup_log_path:
        yield "setup log", tree.setup_log_path


def _work(task: task_pb2.Task, repository: str) -> Iterator[tuple[str, str]]:
    tree = task.worktree
    if not task.HasField("worktree"):
        if task.directory:
            yield "directory", task.directory
        return
    yield "branch", tree.branch
    if not tree.head_commit:
        return
    if tree.head_commit == tree.base_commit:
        yield "commit", "none: the agent changed nothing"
        return
    yield "commit", tree.head_commit[: words.SHORT]
    if tree.state == task_pb2.Worktree.STATE_DISCARDED:
        return
    place = shlex.quote(repository or tree.path)
    yield "diff", f"git -C {place} diff {tree.base_commit[: words.SHORT]}..{shlex.quote(tree.branch)}"
