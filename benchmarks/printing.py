"""How fast an agent can print: through its supervisor into its log, beside straight into a file."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.report import Report, Target
from benchmarks.sampling import median
from support import process_room
from support.process_room import Room, end_of

MB = 1_000_000

#: What the supervisor should reach of what is written straight into a file.
SHARE = 0.5

COLUMNS = ("what is printed", "ours MB/s", "file MB/s", "ratio")

#: What is printed, and the shell command that prints without end.
CASES = (
    ("lines of 100 bytes", f"yes {'x' * 99}"),
    ("blocks of 64 KiB", "dd if=/dev/zero bs=64k status=none"),
)


def run(*, quick: bool) -> Report:
    """Prints much, in turns through a supervisor and into a file."""
    report = Report("printing", "From an agent into its log", COLUMNS)
    size, turns = (10 * MB, 1) if quick else (500 * MB, 5)
    with tempfile.TemporaryDirectory(prefix="tgb-") as scratch, process_room.room(Path(scratch)) as room:
        for what, endless in CASES:
            command = f"{endless} | head -c {size}"
            ours: list[float] = []
            bare: list[float] = []
            for _ in range(turns):
                bare.append(size / MB / _into_file(Path(scratch) / "file", command))
                ours.append(size / MB / _into_log(room, command, size))
            ratio = median([own / direct for own, direct in zip(ours, bare, strict=True)])
            report.samples |= {f"{what}: ours": ours, f"{what}: file": bare}
            report.rows.append((what, median(ours), median(bare), ratio))
            report.targets.append(Target(f"{what}, as a ratio to a file", ratio, SHARE, at_least=True))
    report.notes += [
        f"{size // MB} MB each, {turns} times in turns; ours with the start of a supervisor and the end of the run.",
        "Nothing is synced: both write to the memory of the system, and it to the disk when it likes.",
    ]
    return report


def _into_file(path: Path, command: str) -> float:
    """Returns the seconds that a command takes to print into a file."""
    before = time.perf_counter()
    with path.open("wb") as file:
        subprocess.run(["sh", "-c", command], stdout=file, check=True)
    seconds = time.perf_counter() - before
    path.unlink()
    return seconds


def _into_log(room: Room, command: str, size: int) -> float:
    """Returns the seconds that a run of the command takes from its start till its end is told."""
    spec = room.spec("sh", "-c", command)
    log = Path(spec.log_path)
    before = time.perf_counter()
    end_of(room.start(spec))
    seconds = time.perf_counter() - before
    if log.stat().st_size != size:
        raise RuntimeError(f"{log} has {log.stat().st_size} bytes, not {size}")
    log.unlink()
    return seconds
