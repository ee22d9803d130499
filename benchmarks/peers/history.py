"""The lines that a peer has: whole pieces of a log, or what an emitter has written so far."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

_EMITTER = Path(__file__).with_name("emitter.py")

#: Bytes that are read from the emitter's pipe at a time.
_BLOCK = 1 << 20


def read_log(path: Path, size: int) -> Iterator[bytes]:
    """Yields a log in pieces of whole lines, each as long as `size` allows."""
    with path.open("rb") as log:
        rest = b""
        while block := log.read(size - len(rest)):
            end = block.rfind(b"\n") + 1
            yield rest + block[:end]
            rest = block[end:]


class History:
    """Everything that an emitter has written, and a way to wait for more."""

    def __init__(self) -> None:
        #: As they were read, each of whole lines.
        self.pieces: list[bytes] = []
        self.ended = False
        self._growth: asyncio.Future[None] | None = None

    def joined(self, position: int, size: int) -> tuple[bytes, int]:
        """Returns one piece or several as one, up to `size` bytes, and the position behind them."""
        end, length = position + 1, len(self.pieces[position])
        while end < len(self.pieces) and length + len(self.pieces[end]) <= size:
            length += len(self.pieces[end])
            end += 1
        piece = self.pieces[position] if end == position + 1 else b"".join(self.pieces[position:end])
        return piece, end

    async def grown(self) -> None:
        """Waits until there is more, or the end."""
        if self._growth is None:
            self._growth = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._growth)

    def add(self, piece: bytes) -> None:
        """Appends whole lines; nothing at the end."""
        if piece:
            self.pieces.append(piece)
        self.ended = not piece
        if self._growth is not None:
            self._growth.set_result(None)
            self._growth = None


async def take_in(output: asyncio.StreamReader, history: History, block: int) -> None:
    """Adds what comes from a pipe as soon as it is there, until it ends; `block` is in bytes."""
    rest = b""
    while data := await output.read(block):
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if newline:
            history.add(whole + newline)
    history.add(b"")


async def emit(emission: str, history: History) -> None:
    """Runs an emitter, and takes in what it writes to a pipe as soon as it is there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(_EMITTER), emission, stdout=asyncio.subprocess.PIPE, limit=_BLOCK
    )
    assert process.stdout is not None
    try:
        await take_in(process.stdout, history, _BLOCK)
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
