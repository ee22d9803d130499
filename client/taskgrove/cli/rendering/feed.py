"""One line for each event of the feed."""

from __future__ import annotations

from taskgrove.cli import words
from taskgrove.cli.rendering import rows
from taskgrove.cli.rendering.rows import Row
from taskgrove.v1 import event_pb2, task_pb2

_Kind = event_pb2.Event.Kind

_WIDEST_KIND = max(map(len, words.event_kinds()))


def of_event(event: event_pb2.Event) -> Row:
    """Returns the line of an event: when, what, which task, and what else there is to know of it."""
    state = words.task_state(event.task_state)
    row: Row = [
        (f"{words.local_time(event.create_time)}  ", "dim"),
        (f"{words.event_kind(event.kind):<{_WIDEST_KIND}}  ", words.STYLES.get(state, "")),
        (f"{event.task_id or event.hold.id}  ", "bold"),
        (rows.one_line(event.task_title or event.hold.reason, 80), ""),
    ]
    if detail := _detail(event, state):
        row.append((f"  {detail}", "dim"))
    return row


def _detail(event: event_pb2.Event, state: str) -> str:
    match event.kind:
        case _Kind.KIND_TASK_STARTED:
            return f"slot {event.slot}"
        case _Kind.KIND_RUN_CREATED:
            return f"slot {event.slot}, run {event.run_number}" + (", a retry" if event.is_retry else "")
        case _Kind.KIND_TASK_UPDATED:
            return state
        case _Kind.KIND_TASK_FINISHED:
            return f"{state}: {words.failure_kind(event.failure_kind)}" if event.failure_kind else state
        case _Kind.KIND_WORKTREE_UPDATED:
            return _worktree(event.worktree)
        case _Kind.KIND_REPOSITORY_CHANGED:
            return rows.one_line(f"run {event.run_number}: {' '.join(event.repository_changes)}", 1000)
        case _:
            return ""


def _worktree(tree: task_pb2.Worktree) -> str:
    parts = [words.worktree_state(tree.state)]
    if tree.HasField("landing"):
        parts.append(f"landed on {tree.landing.target_branch} as {tree.landing.commit[: words.SHORT]}")
    if tree.saved_ref:
        parts.append(f"saved at {tree.saved_ref}")
    return rows.one_line(", ".join(parts), 200)
