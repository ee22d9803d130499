"""Holds requests to the limits that the protos' comments state. Bad input changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Self

from google.protobuf import duration_pb2

from taskgrove.v1 import run_config_pb2, task_list_service_pb2, task_pb2, task_service_pb2
from taskgrove_server.domain import errors, ids

# Sizes are in bytes of UTF-8, times in seconds.
LONG_TEXT = 131072
SCHEMA = 65536
COMMAND = 65536
SUBTASKS = 100
ALLOWED_TOOLS = 100
ARGUMENTS = 1000
PATH = 4096
SHORTEST_SPAN = 1
LONGEST_SPANS = {"run_timeout": 7 * 86400, "stall_timeout": 7 * 86400, "linger": 3600}
SHORTEST_HEARTBEAT = 1
LONGEST_HEARTBEAT = 300
PERMISSION_MODES = frozenset({"default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_OR_LINE_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINE_BREAK_OR_TAB = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

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
        if value < 0:
            self.wrong("page_size", "must not be negative")

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
        if message.HasField("max_turns") and message.max_turns < 1:
            self.wrong(f"{field}.max_turns", "must be at least 1")
        for name, longest in LONGEST_SPANS.items():
            if message.HasField(name):
                self.duration(f"{field}.{name}", getattr(message, name), SHORTEST_SPAN, longest)
        if message.HasField("command"):
            self._command(f"{field}.command", message.command)

    def path(self, field: str, value: str, *, absolute: bool) -> None:
        """Wants a path; a relative one must not climb."""
        if len(value.encode()) > PATH or _CONTROL.search(value):
            self.wrong(field, f"must be a path of at most {PATH} bytes without control characters")
        elif absolute and not value.startswith("/"):
            self.wrong(field, "must be an absolute path")
        elif not value.startswith("/") and ".." in value.split("/"):
            self.wrong(field, "must not contain '..'")

    def subtasks(self, messages: Collection[task_pb2.Subtask]) -> None:
        """Wants subtasks."""
        if len(messages) > SUBTASKS:
            self.wrong("subtasks", f"must have at most {SUBTASKS} entries")
            return
        for index, message in enumerate(messages):
            self.title(f"subtasks[{index}].title", message.title, 500)

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

    def _command(self, field: str, message: run_config_pb2.Command) -> None:
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


def enqueue(request: task_service_pb2.EnqueueRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_list_id", request.task_list_id)
        checks.title("title", request.title, 500)
        checks.text("description", request.description)
        checks.subtasks(request.subtasks)
        checks.config("overrides", request.overrides, agents)
        checks.request_id(request.request_id)


def continue_(request: task_service_pb2.ContinueRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        if not request.prompt.strip():
            checks.wrong("prompt", "must not be empty")
        checks.text("prompt", request.prompt)
        checks.request_id(request.request_id)


def cancel(request: task_service_pb2.CancelRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.request_id(request.request_id)


def watch(request: task_service_pb2.WatchTaskRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        if request.after_line < 0:
            checks.wrong("after_line", "must not be negative")
        if request.HasField("heartbeat_interval"):
            checks.duration("heartbeat_interval", request.heartbeat_interval, SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT)


def list_tasks(request: task_service_pb2.ListTasksRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.page_size(request.page_size)
        if request.task_list_id:
            checks.id("task_list_id", request.task_list_id)
        known = set(task_pb2.Task.State.values()) - {task_pb2.Task.STATE_UNSPECIFIED}
        if not known.issuperset(request.states):
            checks.wrong("states", "must be states other than STATE_UNSPECIFIED")


def list_runs(request: task_service_pb2.ListRunsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.page_size(request.page_size)


def create_task_list(request: task_list_service_pb2.CreateTaskListRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.title("title", request.title, 200)
        if request.working_dir:
            checks.path("working_dir", request.working_dir, absolute=True)
        checks.config("defaults", request.defaults, agents)
        checks.request_id(request.request_id)


def list_task_lists(request: task_list_service_pb2.ListTaskListsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.page_size(request.page_size)
        if request.working_dir:
            checks.path("working_dir", request.working_dir, absolute=True)


def update_task_list(request: task_list_service_pb2.UpdateTaskListRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_list_id", request.task_list_id)
        if request.HasField("title"):
            checks.title("title", request.title, 200)
        checks.config("defaults", request.defaults, agents)
        if not request.HasField("title") and not request.HasField("defaults"):
            checks.wrong("title", "is unset, and so is 'defaults': there is nothing to change")
