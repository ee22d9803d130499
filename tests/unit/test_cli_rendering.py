"""What a person reads of an agent's lines and of a task."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskgrove.cli import words
from taskgrove.cli.rendering import claude, command, rows, summary, terminal, unknown
from taskgrove.v1 import failure_pb2, run_pb2, task_pb2

RECORDINGS = Path(__file__).parents[1] / "recordings"


def encode(line: object) -> bytes:
    return json.dumps(line).encode() + b"\n"


def text(rendered: Iterable[rows.Row]) -> str:
    return "\n".join("".join(part for part, _ in row) for row in rendered)


def said(*content: dict[str, Any], identity: str = "msg_1", parent: str | None = None, **usage: int) -> bytes:
    message = {"id": identity, "role": "assistant", "content": list(content), "usage": usage}
    return encode({"type": "assistant", "message": message, "parent_tool_use_id": parent})


def used(name: str, **tool_input: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": tool_input}


def returned(content: object, *, is_error: bool = False) -> bytes:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, "is_error": is_error}
    return encode({"type": "user", "message": {"role": "user", "content": [result]}})


class TestClaude:
    @pytest.mark.parametrize("path", sorted(RECORDINGS.glob("claude_*.ndjson")), ids=lambda path: path.stem)
    def test_every_line_of_a_recorded_run_is_known_and_something_is_shown(self, path: Path) -> None:
        renderer = claude.Renderer()
        shown = [row for line in path.read_bytes().splitlines() for row in renderer.feed(line)]
        assert shown
        assert renderer.unknown == 0

    def test_the_agents_text_is_shown_as_it_is(self) -> None:
        shown = claude.Renderer().feed(said({"type": "text", "text": "It is **done**.\n\n- one\n"}))
        assert shown == [[("It is **done**.\n\n- one", "")]]

    def test_thinking_is_dimmed_and_shortened_to_a_line(self) -> None:
        [[(shown, style)]] = claude.Renderer().feed(said({"type": "thinking", "thinking": "Let me\nsee. " * 100}))
        assert shown.startswith("✻ Let me see. Let me")
        assert len(shown) < 170
        assert "\n" not in shown
        assert "dim" in style

    @pytest.mark.parametrize(
        ("tool", "shown"),
        [
            (used("Bash", command="git status", description="Shows"), "● Bash  git status"),
            (used("Bash", command="cat <<EOF\nlong\nEOF"), "● Bash  cat <<EOF long EOF"),
            (used("Edit", file_path="/a/b.py", old_string="x", new_string="y"), "● Edit  /a/b.py"),
            (used("Grep", pattern="def main", path="src"), "● Grep  def main"),
            (used("Agent", description="Look around", prompt="Look"), "● Agent  Look around"),
            (used("mcp__x__y", number=7), '● mcp__x__y  {"number": 7}'),
            (used("Nothing"), "● Nothing  "),
            (
                used(
                    "TodoWrite", todos=[{"content": "A", "status": "completed"}, {"content": "B", "status": "pending"}]
                ),
                "● TodoWrite  1/2 done; B",
            ),
        ],
    )
    def test_a_tool_call_shows_what_matters_of_its_input(self, tool: dict[str, Any], shown: str) -> None:
        assert text(claude.Renderer().feed(said(tool))) == shown

    def test_a_large_tool_input_is_cut(self) -> None:
        assert len(text(claude.Renderer().feed(said(used("Bash", command="x" * 2_000_000))))) < 140

    def test_a_tool_result_is_indented_and_cut_with_the_rest_counted(self) -> None:
        shown = text(claude.Renderer().feed(returned("one\ntwo\nthree\nfour\nfive\nsix\n")))
        assert shown == "    one\n    two\n    three\n    four\n    … 2 more lines"

    def test_a_failed_tool_is_marked(self) -> None:
        [[(shown, style)]] = claude.Renderer().feed(returned("No such file\nreally", is_error=True))
        assert shown == "  ✗ No such file\n    really"
        assert style == "red"

    def test_parts_of_a_result_that_are_no_text_are_named(self) -> None:
        content = [{"type": "text", "text": "seen"}, {"type": "image", "source": "…"}]
        assert text(claude.Renderer().feed(returned(content))) == "    seen\n    [image]"

    def test_what_a_subagent_does_is_indented_and_is_not_the_result(self) -> None:
        renderer = claude.Renderer()
        assert text(renderer.feed(said({"type": "text", "text": "a\nb"}, parent="toolu_0"))) == "  a\n  b"
        assert not renderer.has_shown("a\nb")

    def test_a_retry_of_the_api_says_why_and_when(self) -> None:
        retry = {
            "type": "system",
            "subtype": "api_retry",
            "attempt": 2,
            "max_retries": 10,
            "retry_delay_ms": 612.5,
            "error_status": None,
            "error": "server_error",
        }
        assert text(claude.Renderer().feed(encode(retry))) == (
            "↻ the model's API said server_error: attempt 2 of 10 in 0.6 s"
        )

    def test_a_failed_result_says_why(self) -> None:
        result = {"type": "result", "subtype": "error_max_turns", "is_error": True, "errors": ["Too many turns"]}
        assert text(claude.Renderer().feed(encode(result))) == "✗ Too many turns"

    def test_an_error_of_the_api_counts_as_failed_although_its_subtype_is_success(self) -> None:
        result = {"type": "result", "subtype": "success", "is_error": True, "result": "API Error: 529"}
        assert text(claude.Renderer().feed(encode(result))) == "✗ API Error: 529"

    def test_the_result_has_been_shown_when_it_is_the_last_text(self) -> None:
        renderer = claude.Renderer()
        renderer.feed(said({"type": "text", "text": "Done.\n"}))
        assert renderer.has_shown("Done.")
        assert not renderer.has_shown('{"n": 7}')

    def test_tokens_of_a_message_in_several_lines_count_once(self) -> None:
        renderer = claude.Renderer()
        renderer.feed(said(identity="a", input_tokens=5, cache_read_input_tokens=95, output_tokens=3))
        renderer.feed(said(identity="a", input_tokens=5, cache_read_input_tokens=95, output_tokens=30))
        renderer.feed(said(identity="b", input_tokens=200, output_tokens=4))
        assert renderer.usage == rows.Usage(input_tokens=300, output_tokens=34)

    @pytest.mark.parametrize(
        "line",
        [
            b"not JSON\n",
            b"\xff\xfe\n",
            b"[1, 2]\n",
            b"null\n",
            b"{}\n",
            b'{"type": "assistant"}\n',
            b'{"type": "assistant", "message": {"content": [1]}}\n',
            b'{"type": "user", "message": {"content": [{"type": "tool_result", "content": [{}]}]}}\n',
            b'{"type": "result"}\n',
            b'{"type": "system", "subtype": "something_new"}\n',
            b'{"type": "something_new"}\n',
            b"[" * 100_000,
        ],
    )
    def test_a_line_of_unknown_shape_is_skipped_and_counted(self, line: bytes) -> None:
        renderer = claude.Renderer()
        assert renderer.feed(line) == []
        assert renderer.unknown == 1


class TestCommand:
    def test_output_is_shown_as_it_is_and_errors_in_red(self) -> None:
        renderer = command.Renderer()
        assert renderer.feed(encode({"type": "output", "stream": "stdout", "text": "ok"})) == [[("ok", "")]]
        assert renderer.feed(encode({"type": "output", "stream": "stderr", "text": "bad"})) == [[("bad", "red")]]

    def test_output_that_is_no_utf8_is_decoded_with_replacement(self) -> None:
        line = encode({"type": "output", "stream": "stdout", "base64": "Y2Fm6Q=="})
        assert text(command.Renderer().feed(line)) == "caf\N{REPLACEMENT CHARACTER}"

    @pytest.mark.parametrize(
        ("end", "shown"),
        [
            ({"exit_code": 0}, "✓ exit code 0"),
            ({"exit_code": 3}, "✗ exit code 3"),
            ({"exit_code": 137, "signal": 9}, "✗ killed by signal 9"),
            ({"exit_code": 127, "error": "No such file: 'x'"}, "✗ could not be started: No such file: 'x'"),
        ],
    )
    def test_the_end_is_told(self, end: dict[str, object], shown: str) -> None:
        assert text(command.Renderer().feed(encode({"type": "exit", **end}))) == shown

    def test_the_result_has_been_shown_once_the_program_printed_something(self) -> None:
        renderer = command.Renderer()
        assert not renderer.has_shown("ok")
        renderer.feed(encode({"type": "output", "stream": "stdout", "text": "ok"}))
        assert renderer.has_shown("ok")

    @pytest.mark.parametrize("line", [b"x\n", b"{}\n", b'{"type": "output"}\n', b'{"type": "exit"}\n', b"7\n"])
    def test_a_line_of_unknown_shape_is_skipped_and_counted(self, line: bytes) -> None:
        renderer = command.Renderer()
        assert renderer.feed(line) == []
        assert renderer.unknown == 1


def test_lines_of_an_unknown_agent_are_shown_short() -> None:
    [[(shown, _)]] = unknown.Renderer().feed(b'{"event": "' + b"x" * 5000 + b'"}\n')
    assert shown.startswith('{"event": "xxx')
    assert len(shown) <= 200


class TestSummary:
    @staticmethod
    def task(**fields: Any) -> task_pb2.Task:
        task = task_pb2.Task(id="k3v5m2qxw7ab", title="Fix it", run_count=1, **fields)
        start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        task.start_time.FromDatetime(start)
        task.finish_time.FromDatetime(start + timedelta(seconds=65))
        return task

    def test_success_shows_time_tokens_cost_and_where_to_find_the_work(self) -> None:
        tree = task_pb2.Worktree(path="/d/1", branch="taskgrove/fix", base_commit="a" * 40, head_commit="b" * 40)
        runs = [
            run_pb2.Run(number=1, input_tokens=1000, cache_read_tokens=500, output_tokens=20, cost_usd=0.01),
            run_pb2.Run(number=2, input_tokens=234, output_tokens=3, cost_usd=0.02),
        ]
        task = self.task(state=task_pb2.Task.STATE_SUCCEEDED, result="All green.", worktree=tree)
        assert text(summary.of_rest(task, runs, repository="/home/me/my project", shown=False)).splitlines() == [
            "",
            "✔ succeeded in 1m 05s  task k3v5m2qxw7ab, 2 runs",
            "All green.",
            "  tokens    1,234 + 500 cached in, 23 out",
            "  cost      $0.0300",
            "  branch    taskgrove/fix",
            "  commit    bbbbbbbbbb",
            "  diff      git -C '/home/me/my project' diff aaaaaaaaaa..taskgrove/fix",
        ]

    def test_a_result_that_was_shown_is_not_repeated(self) -> None:
        task = self.task(state=task_pb2.Task.STATE_SUCCEEDED, result="All green.")
        assert "All green." not in text(summary.of_rest(task, [], repository="", shown=True))

    def test_work_without_changes_has_no_diff(self) -> None:
        tree = task_pb2.Worktree(path="/d/1", branch="taskgrove/fix", base_commit="a" * 40, head_commit="a" * 40)
        task = self.task(state=task_pb2.Task.STATE_SUCCEEDED, worktree=tree)
        shown = text(summary.of_rest(task, [], repository="/r", shown=True))
        assert "the agent changed nothing" in shown
        assert "diff" not in shown

    def test_a_failure_says_its_kind_and_how_to_go_on(self) -> None:
        failure = failure_pb2.Failure(
            kind=failure_pb2.FAILURE_KIND_RATE_LIMITED, message="Limit reached.", retryable=True
        )
        failure.retry_time.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))
        shown = text(
            summary.of_rest(self.task(state=task_pb2.Task.STATE_FAILED, failure=failure), [], repository="", shown=True)
        )
        assert "✘ failed" in shown
        assert "rate limited: Limit reached." in shown
        assert "accepted again at 202" in shown
        assert "taskgrove continue k3v5m2qxw7ab" in shown

    def test_skipped_lines_are_mentioned(self) -> None:
        task = self.task(state=task_pb2.Task.STATE_SUCCEEDED)
        shown = text(summary.of_rest(task, [], repository="", shown=True, unknown=3))
        assert "3 lines of unknown kinds skipped" in shown


def test_states_and_kinds_that_are_newer_than_the_program_have_a_number() -> None:
    task = task_pb2.Task.FromString(task_pb2.Task(state=task_pb2.Task.STATE_QUEUED).SerializeToString())
    assert words.task_state(task.state) == "queued"
    newer = task_pb2.Task.FromString(b"\x38\x63")  # field 7, state, with the value 99
    assert words.task_state(newer.state) == "unknown (99)"


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        (task_pb2.Task(state=task_pb2.Task.STATE_QUEUED), "queued"),
        (task_pb2.Task(state=task_pb2.Task.STATE_QUEUED, slot=2), "preparing"),
        (task_pb2.Task(state=task_pb2.Task.STATE_RUNNING, slot=2), "running"),
        (task_pb2.Task(state=task_pb2.Task.STATE_RUNNING, slot=2, cancel_requested=True), "cancelling"),
        (task_pb2.Task(state=task_pb2.Task.STATE_CANCELLED, cancel_requested=True), "cancelled"),
    ],
)
def test_a_task_is_shown_where_it_stands(task: task_pb2.Task, shown: str) -> None:
    assert words.standing(task) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (59.9, "59s"), (60, "1m 00s"), (3599, "59m 59s"), (3660, "1h 01m"), (90000, "1d 01h")],
)
def test_durations_have_their_two_largest_units(seconds: float, shown: str) -> None:
    assert words.duration(timedelta(seconds=seconds)) == shown


class TestScreen:
    def test_without_a_terminal_there_are_no_control_codes_and_no_line_is_broken(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        screen = terminal.Screen()
        status = screen.status(lambda: "running")
        status.start()
        screen.print([("● ", "cyan"), ("x" * 500, "bold red")], [("\x1b[2J[bold]:smile:[/bold]", "")])
        status.stop()
        assert capfd.readouterr().out == f"● {'x' * 500}\n[bold]:smile:[/bold]\n"

    def test_a_table_for_a_program_is_not_cut_and_has_no_padding_at_the_end(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        terminal.Screen().table(["ID", "TITLE"], [["a", "t" * 300], ["bbb", "\x1b[2Jshort"]], flexible=1)
        assert capfd.readouterr().out == f"ID   TITLE\na    {'t' * 300}\nbbb  short\n"

    def test_on_a_terminal_the_status_line_leaves_no_trace_and_breaks_no_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        ours, theirs = os.openpty()
        with open(theirs, "w", encoding="utf-8") as stdout:  # noqa: PTH123 - a descriptor, not a path
            monkeypatch.setattr("sys.stdout", stdout)
            screen = terminal.Screen()
            status = screen.status(lambda: "working \x1b[2J on it")
            status.start()
            screen.print([("● ", "cyan"), ("a line that stays", "")])
            status.stop()
            screen.print([("the end", "")])
            read = b""
            while b"the end" not in read:
                read += os.read(ours, 65536)
            printed = read.decode()
        os.close(ours)
        assert "\x1b[36m● \x1b[0ma line that stays\r\n" in printed
        assert "working  on it" in printed
        assert "\x1b[2J" not in printed
        # The cursor is shown again, and the line that the status stood on is erased last.
        assert "\x1b[?25h\r\x1b[1A\x1b[2Kthe end" in printed
