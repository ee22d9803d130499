"""Says states, times, amounts and kinds as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf import timestamp_pb2

from taskgrove.v1 import failure_pb2, run_pb2, task_pb2

#: States in which nothing more happens until somebody asks.
RESTING = frozenset({task_pb2.Task.STATE_SUCCEEDED, task_pb2.Task.STATE_FAILED, task_pb2.Task.STATE_CANCELLED})

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


def run_state(state: run_pb2.Run.State) -> str:
    """Returns the word for a run's state."""
    return _word(run_pb2.Run.State.items(), state, "STATE_")


def failure_kind(kind: failure_pb2.FailureKind) -> str:
    """Returns the words for a kind of failure, such as "rate limited"."""
    return _word(failure_pb2.FailureKind.items(), kind, "FAILURE_KIND_").replace("_", " ")


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
