"""A full disk neither hangs a run nor hides how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import disks, process_room
from support.process_room import end_of
from taskgrove_server.processes import sweeping


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mounts a disk of 256 KiB."""
    with disks.mounted(tmp_path / "disk", "256k") as disk:
        yield disk


@pytest.mark.parametrize("complaints", [0, 200_000])
def test_how_a_run_ended_is_recorded_though_the_disk_is_full(small_disk: Path, complaints: int) -> None:
    script = f"sleep 1000 & head -c {complaints} /dev/zero >&2; cat /dev/zero >fill 2>/dev/null; exit 3"
    with process_room.room(small_disk) as room:
        handle = room.start(room.spec("sh", "-c", script))
        end = end_of(handle)
        assert (small_disk / "fill").stat().st_size > 50_000
        assert (end.exit_code, end.supervised, end.swept) == (3, True, 1)
        assert end.disk_full
        assert not sweeping.find(handle.run_id)
