"""Reads what the command wrapper writes."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

from taskgrove_server.agents import lines
from taskgrove_server.agents.agent import Exit, Progress
from taskgrove_server.domain import shortages
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import SessionId
from taskgrove_server.domain.run import Outcome

#: Bytes of the end of the output that a person is shown as the result.
MAX_TAIL = 16_384

#: The same, quoted in a failure's message.
_MAX_QUOTED = 4_096

#: EX_TEMPFAIL of sysexits.h: a program says that trying again may help.
_TEMPORARY = 75


class CommandParser:
    """Keeps the end of the output and what the wrapper says of the program's end."""

    def __init__(self, *, session_id: SessionId, structured: bool) -> None:
        self.progress = Progress()
        self._session_id = session_id
        self._structured = structured
        self._stdout = _Tail()
        self._stderr = _Tail()
        self._structured_output = ""
        self._end: dict[str, Any] = {}

    def feed(self, line: bytes) -> None:
        """Takes one line."""
        for record in lines.parse(line):
            self._take(record)

    def _take(self, record: dict[str, Any]) -> None:
        if record.get("type") == "exit":
            self._end = record
            self.progress.done = True
            self.progress.answered = self.progress.answered or "error" not in record
        elif record.get("type") == "output":
            self.progress.answered = True
            text = lines.text(record.get("text"))
            if record.get("stream") == "stderr":
                self._stderr.add(text)
                return
            self._stdout.add(text)
            if self._structured and text.lstrip().startswith("{"):
                text = lines.clean(text.strip())
                self._structured_output = text if lines.parse_object(text) is not None else self._structured_output

    def finish(self, exit: Exit) -> Outcome:  # noqa: A002 - the field's word
        """Returns how the run ended."""
        code = self._code(exit)
        # The command holds no conversation that a retry could go on with: all kinds are final for which it is to blame.
        stopped_for = exit.stopped_for
        if stopped_for and stopped_for.kind is not FailureKind.MACHINE:
            stopped_for = dataclasses.replace(stopped_for, final=True)
        failure = None if exit.cancelled else stopped_for or self._judge(code, exit.stderr)
        wants_output = self._structured and not failure and not exit.cancelled
        return Outcome(
            failure=failure,
            cancelled=exit.cancelled,
            session_id=self._session_id,
            result=self._stdout.text(MAX_TAIL) or None,
            structured_output=self._structured_output if wants_output else None,
            exit_code=-1 if exit.cancelled else code,
            answered=self.progress.answered,
            stderr=exit.stderr,
        )

    def _code(self, end: Exit) -> int | None:
        recorded: object = self._end.get("exit_code")
        return recorded if isinstance(recorded, int) and 0 <= recorded < 256 else end.code

    def _judge(self, code: int | None, stderr: str) -> Failure | None:
        if code is None:
            return Failure(FailureKind.INTERRUPTED, "Nobody saw how the command ended.", final=True)
        if "error" in self._end:
            return self._not_started(lines.text(self._end["error"]), self._end.get("errno"))
        if not self._end:
            return self._failed(FailureKind.CRASHED, f"The command was cut off (exit code {code})", stderr)
        if "signal" in self._end:
            return self._failed(FailureKind.CRASHED, f"The command was killed (exit code {code})", stderr)
        if code == _TEMPORARY:
            return self._failed(FailureKind.OVERLOADED, "The command exited with code 75", stderr, final=False)
        if code:
            return self._failed(FailureKind.AGENT, f"The command exited with code {code}", stderr)
        if self._structured and not self._structured_output:
            message = "The command printed no line that is a JSON object, as its `output_schema` demands."
            return Failure(FailureKind.OUTPUT_MISSING, message, final=True)
        if len(self._structured_output.encode()) > lines.MAX_STRUCTURED_OUTPUT:
            message = f"The structured output is larger than {lines.MAX_STRUCTURED_OUTPUT} bytes."
            return Failure(FailureKind.OUTPUT_MISSING, message, final=True)
        return None

    def _not_started(self, error: str, number: object) -> Failure:
        message = lines.head(f"The command could not be started: {error}", lines.MAX_MESSAGE)
        if shortages.of_errno(number if isinstance(number, int) else None):
            return Failure(FailureKind.MACHINE, message)
        return Failure(FailureKind.AGENT_NOT_FOUND, message, final=True)

    def _failed(self, kind: FailureKind, what: str, stderr: str, *, final: bool = True) -> Failure:
        # Standard error of the wrapper itself, the last resort, is empty unless it could not do its work.
        last = self._stderr.text(_MAX_QUOTED) or self._stdout.text(_MAX_QUOTED) or lines.tail(stderr, _MAX_QUOTED)
        quoted = f":\n\n{lines.fenced(last)}" if last.strip() else "."
        return Failure(kind, what + quoted, final=final)


class _Tail:
    """Keeps the last lines of a stream, at least MAX_TAIL characters of them."""

    def __init__(self) -> None:
        self._lines = deque[str]()
        self._size = 0

    def add(self, line: str) -> None:
        kept = line[-MAX_TAIL:]
        self._lines.append(kept)
        self._size += len(kept) + 1
        while self._size - len(self._lines[0]) - 1 >= MAX_TAIL:
            self._size -= len(self._lines.popleft()) + 1

    def text(self, size: int) -> str:
        """Returns the last `size` bytes."""
        return lines.tail("\n".join(self._lines).strip("\n"), size)
