"""Rules for fields. The limits are those that the protos' comments state."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self

from google.protobuf import duration_pb2, timestamp_pb2

from taskgrove.v1 import run_config_pb2, task_pb2
from taskgrove_server.domain import errors, ids
from taskgrove_server.domain.config import NO_SETTINGS

# Sizes are in bytes of UTF-8, times in seconds.
LONG_TEXT = 131072
SCHEMA = 65536
COMMAND = 65536
SUBTASKS = 100
LISTS = 100
ALLOWED_TOOLS = 100
ARGUMENTS = 1000
PATH = 4096
SHORTEST_SPAN = 1
LONGEST_SPANS = {"run_timeout": 7 * 86400, "stall_timeout": 7 * 86400, "linger": 3600}
SMALLEST_LOG = 1 << 20
LARGEST_LOG = 1 << 40
SHORTEST_HEARTBEAT = 1
LONGEST_HEARTBEAT = 300
EARLIEST = -62135596800
LATEST = 253402300799
PERMISSION_MODES = frozenset({"default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"})
SETTING_SOURCES = frozenset({"user", "project", "local", NO_SETTINGS})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_OR_LINE_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINE_BREAK_OR_TAB = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_ETAG = re.compile(r"[0-9a-f]{1,16}\Z")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")


class Checks:
    """Collects what is wrong with a request, field by field."""

    def __init__(self) -> None:
        self._violations: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._violations:
            raise errors.InvalidRequest(*self._violations)

    def wrong(self, field: str, what: str) -> None:
        """Notes a violation."""
        self._violations.append((field, what))

    def id(self, field: str, value: str) -> None:
        """Wants the id of a task or a list."""
        if len(value) != ids.LENGTH or not ids.ALPHABET.issuperset(value):
            self.wrong(field, f"must be an id: {ids.LENGTH} characters of a-z and 2-7")

    def task_list_ids(self, values: Sequence[str]) -> None:
        """Wants the ids of several lists, or none."""
        if len(values) > LISTS:
            self.wrong("task_list_ids", f"must have at most {LISTS} entries")
        for index, value in enumerate(values[:LISTS]):
            self.id(f"task_list_ids[{index}]", value)

    def request_id(self, value: str) -> None:
        """Wants a request id, or none."""
        if value and not _REQUEST_ID.match(value):
            self.wrong("request_id", "must be 1 to 64 characters of a-z, A-Z, 0-9, '-', '_', '.' and ':'")

    def title(self, field: str, value: str, longest: int) -> None:
        """Wants one line."""
        if not value.strip():
            self.wrong(field, "must not be empty")
        elif len(value) > longest:
            self.wrong(field, f"must have at most {longest} characters, has {len(value)}")
        elif _CONTROL_OR_LINE_BREAK.search(value):
            self.wrong(field, "must be one line without control characters")

    def text(self, field: str, value: str) -> None:
        """Wants text of any number of lines."""
        size = len(value.encode())
        if size > LONG_TEXT:
            self.wrong(field, f"must have at most {LONG_TEXT} bytes, has {size}")
        elif _CONTROL_BUT_LINE_BREAK_OR_TAB.search(value):
            self.wrong(field, "must not have control characters besides line ends and tab")

    def page_size(self, value: int) -> None:
        """Wants a page size."""
        self.not_negative("page_size", value)

    def not_negative(self, field: str, value: int) -> None:
        """Wants a whole number from 0."""
        if value < 0:
            self.wrong(field, "must not be negative")

    def etag(self, value: str) -> None:
        """Wants an etag, or none."""
        if value and not _ETAG.match(value):
            self.wrong("etag", "must be an etag as the server sent it")

    def known(self, field: str, values: Iterable[int], enum: Any) -> None:
        """Wants values of an enum, without the first, which stands for none."""
        if any(value == 0 or value not in enum.values() for value in values):
            self.wrong(field, f"must have values of {enum.DESCRIPTOR.name} that the server knows, and not 0")

    def time(self, field: str, value: timestamp_pb2.Timestamp) -> None:
        """Wants a time between the years 1 and 9999."""
        if not EARLIEST <= value.seconds <= LATEST or not 0 <= value.nanos < 10**9:
            self.wrong(field, "must be a time between the years 1 and 9999")

    def heartbeat(self, message: Any) -> None:
        """Wants a heartbeat interval, or none."""
        if message.HasField("heartbeat_interval"):
            self.duration("heartbeat_interval", message.heartbeat_interval, SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT)

    def duration(self, field: str, value: duration_pb2.Duration, least: int, most: int) -> None:
        """Wants a duration between two numbers of seconds."""
        nanoseconds = value.seconds * 10**9 + value.nanos
        if abs(value.nanos) >= 10**9 or not least * 10**9 <= nanoseconds <= most * 10**9:
            self.wrong(field, f"must be between {least} and {most} seconds")

    def config(self, field: str, message: run_config_pb2.RunConfig, agents: Collection[str]) -> None:
        """Wants a config whose fields are each right or unset."""
        if message.agent and message.agent not in agents:
            self.wrong(f"{field}.agent", f"must be one of: {', '.join(sorted(agents))}")
        if message.model:
            self.title(f"{field}.model", message.model, 200)
        self.text(f"{field}.system_prompt", message.system_prompt)
        if message.agent_path:
            self.path(f"{field}.agent_path", message.agent_path, absolute=False)
        if message.output_schema:
            self._schema(f"{field}.output_schema", message.output_schema)
        if message.permission_mode and message.permission_mode not in PERMISSION_MODES:
            self.wrong(f"{field}.permission_mode", f"must be one of: {', '.join(sorted(PERMISSION_MODES))}")
        if len(message.allowed_tools) > ALLOWED_TOOLS:
            self.wrong(f"{field}.allowed_tools", f"must have at most {ALLOWED_TOOLS} entries")
        for index, tool in enumerate(message.allowed_tools[:ALLOWED_TOOLS]):
            self.title(f"{field}.allowed_tools[{index}]", tool, 500)
        self._setting_sources(f"{field}.setting_sources", message.setting_sources)
        if message.HasField("max_turns") and message.max_turns < 1:
            self.wrong(f"{field}.max_turns", "must be at least 1")
        for name, longest in LONGEST_SPANS.items():
            if message.HasField(name):
                self.duration(f"{field}.{name}", getattr(message, name), SHORTEST_SPAN, longest)
        if message.HasField("log_limit") and not SMALLEST_LOG <= message.log_limit <= LARGEST_LOG:
            self.wrong(f"{field}.log_limit", f"must be between {SMALLEST_LOG} and {LARGEST_LOG} bytes")
        if message.HasField("command"):
            self.command(f"{field}.command", message.command)

    def _setting_sources(self, field: str, values: Sequence[str]) -> None:
        if any(value not in SETTING_SOURCES for value in values) or len(set(values)) < len(values):
            self.wrong(field, f"must have each of {', '.join(sorted(SETTING_SOURCES))} at most once")
        elif NO_SETTINGS in values and len(values) > 1:
            self.wrong(field, f"must have {NO_SETTINGS!r} alone or not at all")

    def path(self, field: str, value: str, *, absolute: bool) -> None:
        """Wants a path; a relative one must not climb."""
        if len(value.encode()) > PATH or _CONTROL.search(value):
            self.wrong(field, f"must be a path of at most {PATH} bytes without control characters")
        elif absolute and not value.startswith("/"):
            self.wrong(field, "must be an absolute path")
        elif not value.startswith("/") and ".." in value.split("/"):
            self.wrong(field, "must not contain '..'")

    def subtasks(self, messages: Collection[task_pb2.Subtask], field: str = "subtasks") -> None:
        """Wants subtasks."""
        if len(messages) > SUBTASKS:
            self.wrong(field, f"must have at most {SUBTASKS} entries")
            return
        for index, message in enumerate(messages):
            self.title(f"{field}[{index}].title", message.title, 500)

    def _schema(self, field: str, value: str) -> None:
        if len(value.encode()) > SCHEMA:
            self.wrong(field, f"must have at most {SCHEMA} bytes")
            return
        try:
            schema = json.loads(value)
        except (ValueError, RecursionError) as error:
            self.wrong(field, f"must be JSON: {error}")
            return
        if not isinstance(schema, dict):
            self.wrong(field, "must be a JSON object")

    def command(self, field: str, message: run_config_pb2.Command) -> None:
        """Wants a program, or a line of shell."""
        form = message.WhichOneof("form")
        if form is None:
            self.wrong(field, "must have 'argv' or 'shell'")
        elif form == "shell":
            if not message.shell.strip():
                self.wrong(f"{field}.shell", "must not be empty")
            self._program_text(f"{field}.shell", message.shell)
        else:
            values = message.argv.values
            if not values or not values[0]:
                self.wrong(f"{field}.argv", "must begin with a program")
            if len(values) > ARGUMENTS:
                self.wrong(f"{field}.argv", f"must have at most {ARGUMENTS} values")
            self._program_text(f"{field}.argv", "".join(values))

    def _program_text(self, field: str, value: str) -> None:
        if len(value.encode()) > COMMAND:
            self.wrong(field, f"must have at most {COMMAND} bytes")
        elif "\0" in value:
            self.wrong(field, "must not have NUL characters")
