"""A part of a task's log, read once; without I/O, for both clients."""

from __future__ import annotations

from collections.abc import Iterator

from taskgrove import errors, requests
from taskgrove.lines import Line, Receiver
from taskgrove.v1.task_service_pb2 import ReadLinesRequest, ReadLinesResponse


class LogPart:
    """Asks for lines, and checks what comes."""

    def __init__(self, task_id: str, *, after_line: int, last_lines: int | None, max_lines: int | None) -> None:
        self.request: ReadLinesRequest = requests.read_lines(task_id, after_line, last_lines, max_lines)
        self._receiver = None if last_lines is not None else Receiver(after_line, self._broken)
        self._ended = False

    def receive(self, message: ReadLinesResponse) -> Iterator[Line]:
        """Yields what a message shows; raises ProtocolError if lines are missing, repeated, or torn."""
        match message.WhichOneof("message"):
            case "lines":
                yield from self._receiving(message.lines.first_line).whole(message.lines)
            case "fragment":
                yield from self._receiving(message.fragment.line).fragment(message.fragment)
            case "end":
                self._ended = True
            case _:  # A message newer than this client.
                pass

    def check(self) -> None:
        """Raises ServerUnavailable when the stream was cut off."""
        if not self._ended:
            raise errors.ServerUnavailable(f"Reading the log of task {self.request.task_id}: the stream was cut off.")

    def _receiving(self, first_line: int) -> Receiver:
        # Of the last lines, only the server knows where they begin.
        if self._receiver is None:
            self._receiver = Receiver(first_line - 1, self._broken)
        return self._receiver

    def _broken(self, what: str) -> errors.ProtocolError:
        return errors.ProtocolError(f"Reading task {self.request.task_id}: the server {what}. Report this as a defect.")
