"""Checks how much disk the server takes, and says what makes it less where it is much."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from taskgrove.cli import words
from taskgrove.cli.doctor import findings
from taskgrove.cli.doctor.findings import Finding
from taskgrove.v1.server_service_pb2 import DiskUsage

_CHECK = "server's disk usage"

#: Bytes of one kind, or refs, from which on a person may want to know what to do.
MUCH = 10 << 30
MUCH_LEFT = 1 << 30
MANY_REFS = 10_000

#: For each kind: its field, what it is called, how much is much, and what makes it less.
_KINDS = (
    (
        "log_bytes",
        "logs",
        MUCH,
        "Set the server's log_retention or task_retention, or delete old tasks: taskgrove rm --before 30d --dry-run",
    ),
    ("worktree_bytes", "worktrees", MUCH, "Clear away old ones with: taskgrove prune --rested-for 30d --dry-run"),
    (
        "sandbox_bytes",
        "sandboxes",
        MUCH,
        "Delete old tasks with: taskgrove rm --before 30d --discard-worktree --dry-run",
    ),
    (
        "database_bytes",
        "database",
        MUCH,
        "Set the server's task_retention, or delete old tasks: taskgrove rm --before 30d --dry-run",
    ),
    ("leftover_bytes", "leftovers", MUCH_LEFT, "The server's log tells what resists its removal."),
)


def examine(usage: DiskUsage) -> Iterator[Finding]:
    """Yields what the server takes, and then what of it is much."""
    told = [
        f"{name} {words.size(getattr(usage, field))}" if usage.HasField(field) else f"{name} unknown"
        for field, name, _, _ in _KINDS
    ]
    when = usage.measure_time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    refs = f"; {usage.saved_refs} refs to saved work, {usage.kept_refs} to kept commits"
    yield findings.ok(_CHECK, f"{', '.join(told)}{refs}, as of {when}")
    for field, name, much, advice in _KINDS:
        if (size := getattr(usage, field)) >= much:
            yield findings.warning(_CHECK, f"The server's {name} take {words.size(size)}", advice)
    if usage.saved_refs + usage.kept_refs >= MANY_REFS:
        yield findings.warning(
            _CHECK,
            f"{usage.saved_refs + usage.kept_refs} refs keep work that was removed",
            "List them, the oldest first, and delete what nobody wants back: "
            "git for-each-ref --sort=committerdate refs/taskgrove/saved refs/taskgrove/kept; git update-ref -d REF",
        )
