"""The tables. Times are integers: microseconds since 1970 in UTC.

A row's `sequence` is its place in the order of creation, by which lists are paged; its `id` is what the world
knows it by. The schema itself is made by the migrations: a change here needs one there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import peewee

from taskgrove_server.store import data_paths


class Table(peewee.Model):
    """What all tables share."""

    class Meta:
        legacy_table_names = False


class TaskList(Table):
    """A project."""

    sequence = peewee.AutoField()
    id = peewee.TextField(unique=True)
    title = peewee.TextField()
    working_dir = peewee.TextField(null=True, index=True)
    defaults = peewee.TextField()
    worktree_settings = peewee.TextField(default="{}")
    create_time = peewee.BigIntegerField()
    update_time = peewee.BigIntegerField()


class Task(Table):
    """A task. `queue_order` decides who is next: the smallest of those that wait."""

    sequence = peewee.AutoField()
    id = peewee.TextField(unique=True)
    task_list_id = peewee.TextField()
    title = peewee.TextField()
    description = peewee.TextField()
    subtasks = peewee.TextField()
    overrides = peewee.TextField()
    subdirectory = peewee.TextField(default="")
    state = peewee.TextField()
    queue_order = peewee.BigIntegerField(index=True)
    slot = peewee.IntegerField(null=True)
    cancel_requested = peewee.BooleanField(default=False)
    settling = peewee.BooleanField(default=False)
    next_prompt = peewee.TextField(null=True)
    restart = peewee.BooleanField(default=False)
    result = peewee.TextField(null=True)
    failure = peewee.TextField(null=True)
    directory = peewee.TextField(null=True)
    run_count = peewee.IntegerField(default=0)
    last_line = peewee.BigIntegerField(default=0)
    #: How many lines retention has removed, and whether there may be logs that it has not.
    removed_lines = peewee.BigIntegerField(default=0)
    has_logs = peewee.BooleanField(default=True)
    #: How often a hold has put it back, and when it last did.
    hold_count = peewee.IntegerField(default=0)
    hold_time = peewee.BigIntegerField(null=True)
    create_time = peewee.BigIntegerField()
    update_time = peewee.BigIntegerField()
    start_time = peewee.BigIntegerField(null=True)
    finish_time = peewee.BigIntegerField(null=True)


class Worktree(Table):
    """The checkout of a task."""

    task_id = peewee.TextField(primary_key=True)
    path = peewee.TextField()
    branch = peewee.TextField()
    base_commit = peewee.TextField()
    head_commit = peewee.TextField(null=True)
    state = peewee.TextField(default="present")
    saved_ref = peewee.TextField(null=True)
    landing = peewee.TextField(null=True)
    setup_log_path = peewee.TextField(null=True)
    copied_files = peewee.TextField(default="[]")
    common_dir = peewee.TextField(null=True)
    #: What a call does to it at this moment, as JSON; see store.worktrees.
    operation = peewee.TextField(null=True)


class Run(Table):
    """One execution of an agent."""

    sequence = peewee.AutoField()
    id = peewee.TextField(unique=True)
    task_id = peewee.TextField()
    number = peewee.IntegerField()
    state = peewee.TextField()
    is_retry = peewee.BooleanField()
    prompt = peewee.TextField()
    agent = peewee.TextField()
    model = peewee.TextField(null=True)
    session_id = peewee.TextField(null=True)
    resumes = peewee.BooleanField()
    config = peewee.TextField(null=True)
    log_path = peewee.TextField()
    first_line = peewee.BigIntegerField()
    line_count = peewee.BigIntegerField(default=0)
    log_size = peewee.BigIntegerField(default=0)
    log_lost = peewee.BooleanField(default=False)
    log_removed = peewee.BooleanField(default=False)
    result = peewee.TextField(null=True)
    structured_output = peewee.TextField(null=True)
    failure = peewee.TextField(null=True)
    exit_code = peewee.IntegerField(null=True)
    turns = peewee.IntegerField(null=True)
    input_tokens = peewee.BigIntegerField(null=True)
    output_tokens = peewee.BigIntegerField(null=True)
    cache_read_tokens = peewee.BigIntegerField(null=True)
    cache_write_tokens = peewee.BigIntegerField(null=True)
    cost_usd = peewee.DoubleField(null=True)
    session_cost_usd = peewee.DoubleField(null=True)
    permission_denials = peewee.TextField(default="[]")
    stderr = peewee.TextField(default="")
    repository_changes = peewee.TextField(default="[]")
    answered = peewee.BooleanField(default=True)
    start_time = peewee.BigIntegerField()
    finish_time = peewee.BigIntegerField(null=True)


class ObsoleteFile(Table):
    """A file in the directory of logs that nothing leads to any more, and that is to be removed."""

    name = peewee.TextField(primary_key=True)


class Request(Table):
    """A request id that was used, and what for."""

    id = peewee.TextField(primary_key=True)
    method = peewee.TextField()
    fingerprint = peewee.TextField()
    #: The task or the list that the call was about; empty when there was none.
    subject_id = peewee.TextField()
    #: The response, encoded, where a repeat cannot be told the same from what else is stored.
    answer = peewee.BlobField(null=True)
    create_time = peewee.BigIntegerField()


class Event(Table):
    """One thing that happened to a task. `detail` is JSON: what its kind sets of domain.event.Event."""

    sequence = peewee.AutoField()
    kind = peewee.TextField()
    task_id = peewee.TextField()
    task_list_id = peewee.TextField()
    create_time = peewee.BigIntegerField()
    detail = peewee.TextField()


class Hold(Table):
    """What holds tasks back."""

    id = peewee.TextField(primary_key=True)
    kind = peewee.TextField()
    subject = peewee.TextField()
    reason = peewee.TextField()
    failure_kind = peewee.TextField()
    attempts = peewee.IntegerField()
    ends = peewee.BigIntegerField(null=True)
    create_time = peewee.BigIntegerField()
    failed_time = peewee.BigIntegerField()
    next_try_time = peewee.BigIntegerField()


ALL: tuple[type[Table], ...] = (TaskList, Task, Worktree, Run, ObsoleteFile, Request, Event, Hold)


def bind(database: peewee.Database, root: Path) -> None:
    """Makes the tables those of `database` in the data directory `root`. A process works with one at a time."""
    database.bind(ALL)
    data_paths.bind(root)


def run(statement: str, *parameters: Any) -> sqlite3.Cursor:
    """Runs a statement that is written out, for what is done at every call.

    Peewee takes ten times as long to write one as SQLite to run it, and again to make objects of rows.
    """
    cursor: sqlite3.Cursor = connection().execute(statement, parameters)
    return cursor


def add(table: str, columns: Mapping[str, Any]) -> None:
    """Adds a row to a table, as `run` does. Values are as they are stored: see data_paths for those that are paths."""
    marks = ", ".join("?" * len(columns))
    run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", *columns.values())  # noqa: S608 - names of ours alone


def change(table: str, columns: Mapping[str, Any], condition: str, *parameters: Any) -> bool:
    """Changes columns of the rows that meet a condition, as `add` does; tells whether there are any."""
    settings = ", ".join(f"{name} = ?" for name in columns)
    statement = f"UPDATE {table} SET {settings} WHERE {condition}"  # noqa: S608 - names of ours alone
    return run(statement, *columns.values(), *parameters).rowcount > 0


def moment() -> contextlib.AbstractContextManager[object]:
    """Has all that the calling thread reads within it be of one moment."""
    transaction: contextlib.AbstractContextManager[object] = _database().atomic()
    return transaction


def connection() -> sqlite3.Connection:
    """Returns the calling thread's connection, opened where it is not."""
    found: Callable[[], sqlite3.Connection] = _database().connection
    return found()


def _database() -> peewee.SqliteDatabase:
    database: peewee.SqliteDatabase = Task._meta.database  # noqa: SLF001 - Peewee has no other name for it
    return database
