"""A diff, put together from what its stream carries; without I/O, for both clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskgrove import errors
from taskgrove.v1.change_pb2 import ChangedFile
from taskgrove.v1.worktree_service_pb2 import DiffWorktreeResponse

#: What is compared: base and head commit, whether there is more than what is committed, and the totals.
Summary = DiffWorktreeResponse.Summary


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file and its patch, in bytes as `git diff` prints it; `truncated` tells that it was cut."""

    file: ChangedFile
    patch: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Diff:
    """A whole diff. It is held in memory: bound it by `max_patch_bytes` and `paths`, or iterate over its files."""

    summary: Summary
    files: list[FileDiff]

    @property
    def text(self) -> str:
        """The unified diff; bytes that are no UTF-8 are replaced."""
        return b"".join(file.patch for file in self.files).decode(errors="replace")


class DiffParts:
    """Takes the messages of a diff; yields the summary, and each file once its patch is complete."""

    def __init__(self) -> None:
        self._file: ChangedFile | None = None
        self._patch = bytearray()
        self._truncated = False
        self._ended = False

    def receive(self, message: DiffWorktreeResponse) -> Iterator[Summary | FileDiff]:
        """Yields what a message completes."""
        match message.WhichOneof("message"):
            case "summary":
                yield message.summary
            case "file":
                yield from self._complete()
                self._file = message.file
            case "patch":
                self._patch += message.patch.data
                self._truncated = self._truncated or message.patch.truncated
            case "end":
                yield from self._complete()
                self._ended = True
            case _:  # A message newer than this client.
                pass

    def check(self) -> None:
        """Raises ServerUnavailable when the stream was cut off."""
        if not self._ended:
            raise errors.ServerUnavailable("Reading a diff: the stream was cut off.")

    def _complete(self) -> Iterator[FileDiff]:
        if self._file is not None:
            yield FileDiff(self._file, bytes(self._patch), self._truncated)
        self._file, self._truncated = None, False
        self._patch.clear()


def whole(parts: list[Summary | FileDiff]) -> Diff:
    """Returns the diff of all its parts."""
    summaries = [part for part in parts if isinstance(part, Summary)]
    if len(summaries) != 1:
        raise errors.ProtocolError("A diff came without its summary. Report this as a defect.")
    return Diff(summaries[0], [part for part in parts if isinstance(part, FileDiff)])
