"""A diff on a terminal: coloured as git does it, and unable to control the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskgrove.cli.rendering import safety
from taskgrove.v1 import change_pb2

_RESET = "\x1b[m"
_BOLD = "\x1b[1m"
_GREEN = "\x1b[32m"
_RED = "\x1b[31m"
_CYAN = "\x1b[36m"

_BY_SIGN = {b"+": _GREEN, b"-": _RED}

#: The most signs of a bar in the statistics.
_WIDEST_BAR = 40

_KINDS = {
    change_pb2.ChangedFile.KIND_ADDED: "new",
    change_pb2.ChangedFile.KIND_DELETED: "gone",
    change_pb2.ChangedFile.KIND_TYPE_CHANGED: "type",
}


def render(patch: bytes, *, colour: bool) -> Iterator[bytes]:
    """Yields the lines of one file's patch, made harmless.

    A carriage return is shown, not obeyed: it would let a line pose as several, or overwrite its own sign.
    """
    in_hunk = False
    for line in patch.split(b"\n")[: -1 if patch.endswith(b"\n") else None]:
        in_hunk = in_hunk or line.startswith(b"@@")
        text = safety.visible(line.decode(errors="replace"))
        yield (_coloured(line, text, in_hunk=in_hunk) if colour else f"{text}\n").encode()


def statistics(files: Sequence[change_pb2.ChangedFile], *, colour: bool) -> Iterator[bytes]:
    """Yields a line for each file, with its counts and a bar, and a last one with the totals."""
    names = [name_of(file) for file in files]
    widest = max((len(name) for name in names), default=0)
    largest = max((file.insertions + file.deletions for file in files), default=0)
    digits = len(str(largest))
    for file, name in zip(files, names, strict=True):
        yield f" {name:<{widest}} | {_counts(file, largest, digits, colour=colour)}\n".encode()
    yield _totals(files).encode()


def name_of(file: change_pb2.ChangedFile) -> str:
    """Returns a file's name for a person, with the one before when it was renamed."""
    path = one_line(file.path)
    return f"{one_line(file.old_path)} => {path}" if file.kind == change_pb2.ChangedFile.KIND_RENAMED else path


def one_line(path: str) -> str:
    """Returns a path with everything visible that would not stay on its line: a file may have any name."""
    if path.isprintable():
        # Nearly all are, of which there may be very many.
        return path
    return safety.visible(path.replace("\n", "\u240a").replace("\t", "\u2409"))


def _coloured(line: bytes, text: str, *, in_hunk: bool) -> str:
    if not in_hunk:
        return f"{_BOLD}{text}{_RESET}\n"
    if line.startswith(b"@@"):
        # Only the numbers: what follows is a line of the file.
        head, at, rest = text.partition(" @@")
        return f"{_CYAN}{head}{at}{_RESET}{rest}\n"
    style = _BY_SIGN.get(line[:1])
    return f"{style}{text}{_RESET}\n" if style else f"{text}\n"


def _counts(file: change_pb2.ChangedFile, largest: int, digits: int, *, colour: bool) -> str:
    kind = f" ({_KINDS[file.kind]})" if file.kind in _KINDS else ""
    if file.binary:
        return f"{'Bin':>{digits}}{kind}"
    total = file.insertions + file.deletions
    scale = min(1.0, _WIDEST_BAR / largest) if largest else 1.0
    plus = _scaled(file.insertions, scale)
    minus = _scaled(file.deletions, scale)
    added = f"{_GREEN}{'+' * plus}{_RESET}" if colour and plus else "+" * plus
    removed = f"{_RED}{'-' * minus}{_RESET}" if colour and minus else "-" * minus
    bar = f" {added}{removed}" if plus or minus else ""
    return f"{total:>{digits}}{bar}{kind}"


def _scaled(lines: int, scale: float) -> int:
    """Returns the length of a bar; a change is never shown as none."""
    return max(1, round(lines * scale)) if lines else 0


def _totals(files: Sequence[change_pb2.ChangedFile]) -> str:
    insertions = sum(file.insertions for file in files)
    deletions = sum(file.deletions for file in files)
    parts = [f" {len(files)} file{'' if len(files) == 1 else 's'} changed"]
    if insertions or not deletions:
        parts.append(f"{insertions} insertion{'' if insertions == 1 else 's'}(+)")
    if deletions:
        parts.append(f"{deletions} deletion{'' if deletions == 1 else 's'}(-)")
    return ", ".join(parts) + "\n"
