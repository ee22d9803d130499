"""Says states, times, amounts and kinds as a person reads them."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import cast

from google.protobuf import timestamp_pb2

from taskgrove.v1 import event_pb2, failure_pb2, landing_pb2, run_config_pb2, run_pb2, task_pb2

#: States in which nothing more happens until somebody asks.
RESTING = frozenset({task_pb2.Task.STATE_SUCCEEDED, task_pb2.Task.STATE_FAILED, task_pb2.Task.STATE_CANCELLED})

#: Of commit ids, so many digits are shown, as git does in a large repository.
SHORT = 10

_KIB = 1024

#: A rich style for each state, by its word.
STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
}


def task_state(state: task_pb2.Task.State) -> str:
    """Returns the word for a task's state; a state of a newer server has its number."""
    return _word(task_pb2.Task.State.items(), state, "STATE_")


def standing(task: task_pb2.Task) -> str:
    """Returns the word for where a task stands, a little finer than its state."""
    if task.cancel_requested and task.state not in RESTING:
        return "cancelling"
    # Its worktree is made, and set up as the list says.
    if task.state == task_pb2.Task.STATE_QUEUED and task.slot:
        return "preparing"
    return task_state(task.state)


def is_waiting(task: task_pb2.Task) -> bool:
    """Tells whether a task waits for a slot."""
    return task.state == task_pb2.Task.STATE_QUEUED and not task.slot


def run_state(state: run_pb2.Run.State) -> str:
    """Returns the word for a run's state."""
    return _word(run_pb2.Run.State.items(), state, "STATE_")


def failure_kind(kind: failure_pb2.FailureKind) -> str:
    """Returns the words for a kind of failure, such as "rate limited"."""
    return _word(failure_pb2.FailureKind.items(), kind, "FAILURE_KIND_").replace("_", " ")


def event_kind(kind: event_pb2.Event.Kind) -> str:
    """Returns the word for a kind of event, as --kind takes it, such as "task_queued"."""
    return _word(event_pb2.Event.Kind.items(), kind, "KIND_")


def event_kinds() -> dict[str, event_pb2.Event.Kind]:
    """Returns the kinds of events by their words."""
    kinds = [cast("event_pb2.Event.Kind", kind) for kind in event_pb2.Event.Kind.values() if kind]
    return {event_kind(kind): kind for kind in kinds}


def failure_kinds() -> dict[str, failure_pb2.FailureKind]:
    """Returns the kinds of failures by their words, each joined to one as --failure takes it."""
    kinds = [cast("failure_pb2.FailureKind", kind) for kind in failure_pb2.FailureKind.values() if kind]
    return {failure_kind(kind).replace(" ", "_"): kind for kind in kinds}


def worktree_state(state: task_pb2.Worktree.State) -> str:
    """Returns the word for what there is of a worktree."""
    return _word(task_pb2.Worktree.State.items(), state, "STATE_")


def land_strategy(strategy: landing_pb2.LandStrategy) -> str:
    """Returns the word for a way to land."""
    return _word(landing_pb2.LandStrategy.items(), strategy, "LAND_STRATEGY_")


def command(program: run_config_pb2.Command) -> str:
    """Returns a program as a person types it into a shell."""
    return program.shell if program.HasField("shell") else shlex.join(program.argv.values)


def _word(values: list[tuple[str, int]], number: int, prefix: str) -> str:
    names = {value: name for name, value in values}
    return names[number].removeprefix(prefix).lower() if number in names else f"unknown ({number})"


def duration(span: timedelta) -> str:
    """Returns a span in its two largest units, such as "1m 05s"."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02}s"
    if seconds < 86400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d {seconds % 86400 // 3600:02}h"


def age(time: timestamp_pb2.Timestamp) -> str:
    """Returns how long ago a time was."""
    return duration(datetime.now(UTC) - time.ToDatetime(UTC))


def elapsed(thing: task_pb2.Task | run_pb2.Run) -> str:
    """Returns how long a task or run has been at work, or was; empty when it has not started since it was queued.

    A continued task keeps the start of its run before, and has no finish, while it waits.
    """
    if not thing.HasField("start_time"):
        return ""
    start = thing.start_time.ToDatetime(UTC)
    if thing.HasField("finish_time"):
        return duration(thing.finish_time.ToDatetime(UTC) - start)
    if isinstance(thing, task_pb2.Task) and thing.state == task_pb2.Task.STATE_QUEUED:
        return ""
    return duration(datetime.now(UTC) - start)


def local_time(time: timestamp_pb2.Timestamp) -> str:
    """Returns a time in the time zone of this machine, to the second."""
    return time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def amount(tokens: int) -> str:
    """Returns a number of tokens in short, such as "12.3k"."""
    if tokens < 1000:
        return str(tokens)
    return f"{tokens / 1000:.1f}k" if tokens < 1_000_000 else f"{tokens / 1_000_000:.1f}M"


def money(dollars: float) -> str:
    """Returns US dollars, with more digits for small sums."""
    return f"${dollars:.2f}" if dollars >= 1 else f"${dollars:.4f}"


def size(count: int) -> str:
    """Returns a number of bytes as a person reads it, such as "1.5 GiB"."""
    if count < _KIB:
        return f"{count} bytes"
    value, unit = count / _KIB, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
