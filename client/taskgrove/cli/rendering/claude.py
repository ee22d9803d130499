"""Renders the lines of Claude Code (`--output-format stream-json`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from taskgrove.cli.rendering import rows
from taskgrove.cli.rendering.rows import Row

#: The part of a tool's input that tells a person what it does, by tool; the first of these keys otherwise.
_ESSENTIAL_KEYS = (
    "command",
    "file_path",
    "notebook_path",
    "pattern",
    "url",
    "query",
    "description",
    "path",
    "skill",
    "prompt",
)

#: Kinds of lines that say nothing to a person, or whose content arrives in another line as well.
_SILENT = frozenset(
    {
        "stream_event",
        "command_lifecycle",
        "control_request",
        "control_response",
        "control_cancel_request",
        "keep_alive",
        "tool_progress",
    }
)
_SILENT_SYSTEM = frozenset(
    {
        "init",
        "hook_started",
        "hook_progress",
        "hook_response",
        "status",
        "thinking_tokens",
        "session_state_changed",
        "task_started",
        "task_progress",
        "task_updated",
        "task_notification",
        "background_tasks_changed",
        "files_persisted",
    }
)


class Renderer:
    """Renders the lines of one run; an instance serves one run."""

    def __init__(self) -> None:
        self.usage = rows.Usage()
        self.unknown = 0
        self._last_text = ""
        # Several lines carry parts of the same message, each with the usage so far, so only the last counts.
        self._message_usage: dict[str, tuple[int, int]] = {}

    def feed(self, line: bytes) -> list[Row]:
        """Returns the rows of one line; none for a line that has no shape known here."""
        try:
            return list(self._rows(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # Not JSON, or a known kind in an unknown shape: versions of the CLI differ.
            self.unknown += 1
            return []

    def has_shown(self, result: str) -> bool:
        """Tells whether the agent's last text was the result."""
        return result.strip() == self._last_text

    def _rows(self, line: dict[str, Any]) -> Iterator[Row]:
        indent = "  " if line.get("parent_tool_use_id") else ""
        match line["type"]:
            case "assistant":
                self._count(line["message"])
                for part in line["message"]["content"]:
                    yield from self._said(part, indent)
            case "user":
                content = line["message"]["content"]
                # A prompt that is echoed is a string.
                if isinstance(content, list):
                    for part in cast("list[dict[str, Any]]", content):
                        if part["type"] == "tool_result":
                            yield _tool_result(part, indent)
            case "system":
                yield from self._noticed(line)
            case "rate_limit_event":
                if line["rate_limit_info"]["status"] == "rejected":
                    yield [("⚠ the provider's usage limit is reached", "yellow")]
            case "result":
                yield self._ended(line)
            case kind if kind in _SILENT:
                pass
            case _:
                self.unknown += 1

    def _said(self, part: dict[str, Any], indent: str) -> Iterator[Row]:
        match part["type"]:
            case "text":
                if text := part["text"].strip():
                    if not indent:
                        self._last_text = text
                    yield [(_indented(text, indent), "")]
            case "thinking":
                if thought := rows.one_line(part["thinking"], 160):
                    yield [(f"{indent}✻ {thought}", "dim italic")]
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                yield [
                    (f"{indent}● ", "cyan"),
                    (rows.one_line(part["name"], 80), "bold"),
                    (f"  {_essence(part['input'])}", ""),
                ]
            case _:
                pass

    def _noticed(self, line: dict[str, Any]) -> Iterator[Row]:
        match line["subtype"]:
            case "api_retry":
                delay = float(line["retry_delay_ms"]) / 1000
                why = line.get("error_status") or line.get("error") or "no answer"
                attempt = f"attempt {line['attempt']} of {line['max_retries']}"
                yield [(f"↻ the model's API said {why}: {attempt} in {delay:.1f} s", "yellow")]
            case "model_fallback":
                yield [("⚠ the model was unavailable: going on with the fallback model", "yellow")]
            case "permission_denied":
                yield [(f"⚠ not permitted: {rows.one_line(str(line.get('tool_name', 'a tool')), 120)}", "yellow")]
            case "compact_boundary":
                yield [("⋯ the conversation was compacted", "dim")]
            case kind if kind in _SILENT_SYSTEM:
                pass
            case _:
                self.unknown += 1

    def _ended(self, line: dict[str, Any]) -> Row:
        self.usage.cost_usd = float(line.get("total_cost_usd") or 0)
        if line["subtype"] == "success" and not line["is_error"]:
            seconds = float(line.get("duration_ms") or 0) / 1000
            turns = int(line.get("num_turns") or 0)
            return [(f"✓ done after {turns} turn{'' if turns == 1 else 's'}, {seconds:.1f} s", "dim green")]
        why = line.get("result") or "; ".join(line.get("errors") or []) or line["subtype"]
        # The CLI reports an error of the API as a text of the agent first.
        shown = "failed" if self.has_shown(str(why)) else rows.block(str(why), indent="", lines=10)
        return [(f"✗ {shown}", "red")]

    def _count(self, message: dict[str, Any]) -> None:
        usage: dict[str, Any] = message.get("usage") or {}
        read = sum(
            int(usage.get(key) or 0)
            for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        )
        identity = str(message.get("id"))
        before = self._message_usage.get(identity, (0, 0))
        self._message_usage[identity] = now = (read, int(usage.get("output_tokens") or 0))
        self.usage.input_tokens += now[0] - before[0]
        self.usage.output_tokens += now[1] - before[1]


def _essence(tool_input: dict[str, Any]) -> str:
    """Returns the part of a tool's input that a person wants to see, short."""
    todos: Any = tool_input.get("todos")
    if isinstance(todos, list):
        todos = cast("list[dict[str, Any]]", todos)
        open_ = [str(one["content"]) for one in todos if one["status"] != "completed"]
        return rows.one_line(f"{len(todos) - len(open_)}/{len(todos)} done; {', '.join(open_)}", 120)
    for key in _ESSENTIAL_KEYS:
        if isinstance(value := tool_input.get(key), str) and value:
            return rows.one_line(value, 120)
    return rows.one_line(json.dumps(tool_input, ensure_ascii=False), 120) if tool_input else ""


def _tool_result(part: dict[str, Any], indent: str) -> Row:
    content: Any = part.get("content") or ""
    if isinstance(content, list):
        content = cast("list[dict[str, Any]]", content)
        content = "\n".join(one["text"] if one["type"] == "text" else f"[{one['type']}]" for one in content)
    margin = f"{indent}    "
    if part.get("is_error"):
        text = rows.block(content, indent=margin, lines=6).removeprefix(margin)
        return [(f"{indent}  ✗ {text or 'failed'}", "red")]
    return [(rows.block(content, indent=margin, lines=4) or f"{margin}(no output)", "dim")]


def _indented(text: str, indent: str) -> str:
    return "\n".join(f"{indent}{one}" for one in text.splitlines()) if indent else text
