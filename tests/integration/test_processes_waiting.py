"""A process waits while the disk of its log has no room for what it prints."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import disks, process_room
from support.process_room import Room, end_of
from taskgrove_server.processes.spec import Rung
from taskgrove_server.processes.supervised import Supervised

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mounts a disk of 8 MiB."""
    with disks.mounted(tmp_path / "disk", "8m") as disk:
        yield disk


def free(disk: Path) -> int:
    room = os.statvfs(disk)
    return room.f_bavail * room.f_frsize


def prints(size: int, then: str = "") -> tuple[str, ...]:
    """Returns a program that prints so many bytes, in lines of 1000, then does something."""
    return ("sh", "-c", f"yes {'x' * 999} | head -c {size}; {then}")


def printed(size: int) -> bytes:
    return (b"x" * 999 + b"\n") * (size // 1000)


def wait_for_pause(room: Room, handle: Supervised, *, at_least: int = 1) -> None:
    """Returns when a process has printed something, and its log grows no more."""
    path = room.path / f"{handle.run_id}.ndjson"
    seen = -1

    def rests() -> bool:
        nonlocal seen
        before, seen = seen, path.stat().st_size if path.exists() else 0
        time.sleep(0.05)
        return seen == before and seen >= at_least

    process_room.until(rests, "the log grows no more")


def test_a_process_waits_while_the_disk_has_no_room_and_is_not_silent(small_disk: Path) -> None:
    with process_room.room(small_disk) as room:
        handle = room.start(spec := room.spec(*prints(20_000_000, "exit 3")))
        wait_for_pause(room, handle, at_least=MIB)
        assert free(small_disk) == 0
        since, before = time.monotonic(), process_room.times_of(handle)[0]

        def waits_uncounted() -> bool:
            waited = time.monotonic() - since
            age, silence = process_room.times_of(handle)
            # It is told four times a second, but on a busy machine later.
            return waited > 2 and max(silence, age - before) < waited / 2

        process_room.until(waits_uncounted, "the time that it waits does not count")
        assert not handle.ended()
        disks.resize(small_disk, "32m")
        end = end_of(handle)
        assert (end.exit_code, end.disk_full, end.log_limit) == (3, False, None)
        assert room.log(spec.run_id) == printed(20_000_000)


def test_a_process_waits_before_the_floor_is_reached(small_disk: Path) -> None:
    floor = 4 * MIB
    with process_room.room(small_disk) as room:
        handle = room.start(spec := room.spec(*prints(20_000_000), least_free=floor))
        wait_for_pause(room, handle, at_least=MIB)
        # The larger the log, the earlier.
        assert free(small_disk) >= floor + len(room.log(spec.run_id)) // 8 - (64 << 10)
        disks.resize(small_disk, "32m")
        assert end_of(handle).exit_code == 0
        assert room.log(spec.run_id) == printed(20_000_000)


def test_processes_that_share_a_disk_wait_before_the_floor_is_reached(small_disk: Path) -> None:
    floor = 3 * MIB
    with process_room.room(small_disk) as room:
        program = ("sh", "-c", f"echo ready; read -r _; yes {'x' * 999} | head -c 5000000")
        handles = [room.start(room.spec(*program, keep_stdin_open=True, least_free=floor)) for _ in range(8)]
        for handle in handles:
            room.wait_for(handle.run_id, b"ready\n")
        for handle in handles:
            handle.close_stdin()
        for handle in handles:
            wait_for_pause(room, handle, at_least=64 << 10)
        # Several may see the same last 64 KiB, and each writes its first without a look.
        assert free(small_disk) >= floor - 8 * (128 << 10)
        assert not any(handle.ended() for handle in handles)
        disks.resize(small_disk, "64m")
        assert [end_of(handle).exit_code for handle in handles] == [0] * 8
        assert {room.log(handle.run_id) for handle in handles} == {b"ready\n" + printed(5_000_000)}


def test_the_few_lines_of_a_run_are_told_though_there_is_less_than_the_floor(small_disk: Path) -> None:
    with process_room.room(small_disk) as room:
        end = end_of(room.start(spec := room.spec(*prints(60_000), least_free=100 * MIB)))
        assert (end.exit_code, end.disk_full) == (0, False)
        assert room.log(spec.run_id) == printed(60_000)


def test_the_last_words_of_a_process_that_has_ended_wait_for_no_floor(small_disk: Path) -> None:
    with process_room.room(small_disk) as room:
        # The first 64 KiB go without asking, and the rest is in the pipe when it ends.
        end = end_of(room.start(spec := room.spec(*prints(120_000, "exit 3"), least_free=100 * MIB)))
        assert (end.exit_code, end.disk_full) == (3, False)
        assert room.log(spec.run_id) == printed(120_000)


def test_what_a_process_printed_before_it_ended_waits_for_room(small_disk: Path) -> None:
    with process_room.room(small_disk) as room:
        spec = room.spec("sh", "-c", "echo ready; read -r _; head -c 50000 /dev/zero; touch gone", keep_stdin_open=True)
        handle = room.start(spec)
        room.wait_for(spec.run_id, b"ready")
        with disks.full(small_disk):
            handle.close_stdin()
            process_room.until((room.path / "gone").exists, "the process has printed all")
            assert not handle.ended(0.5)
        assert end_of(handle).exit_code == 0
        assert room.log(spec.run_id) == b"ready\n" + bytes(50_000)


def test_the_last_line_before_the_limit_waits_for_room_though_it_has_no_end(small_disk: Path) -> None:
    with process_room.room(small_disk) as room:
        # So near to its limit, a log gets whole lines only, until no more can come.
        spec = room.spec(
            *prints(MIB - 20_000, "read -r _; head -c 10000 /dev/zero; touch gone"),
            log_limit=MIB,
            keep_stdin_open=True,
        )
        handle = room.start(spec)
        process_room.until(lambda: len(room.log(spec.run_id)) >= MIB - 21_000, "the limit is near")
        with disks.full(small_disk):
            handle.close_stdin()
            process_room.until((room.path / "gone").exists, "the process has printed all")
            assert not handle.ended(0.5)
        end = end_of(handle)
        assert (end.exit_code, end.log_limit, end.supervised) == (0, None, True)
        assert room.log(spec.run_id).endswith(b"x" + bytes(10_000))
        assert len(room.log(spec.run_id)) == MIB - 10_000


@pytest.mark.parametrize("ends", [False, True])
def test_a_stop_ends_a_process_that_waits_for_room(small_disk: Path, *, ends: bool) -> None:
    then = "head -c 50000 /dev/zero; touch gone" if ends else "head -c 9000000 /dev/zero; touch gone; sleep 1000"
    with process_room.room(small_disk) as room:
        spec = room.spec(
            "sh", "-c", f"echo ready; read -r _; {then}", keep_stdin_open=True, ladder=(Rung("SIGTERM", 60),)
        )
        handle = room.start(spec)
        room.wait_for(spec.run_id, b"ready")
        with disks.full(small_disk):
            handle.close_stdin()
            if ends:
                process_room.until((room.path / "gone").exists, "the process has printed all")
            assert not handle.ended(0.5)
            handle.stop()
            end = end_of(handle)
        assert (end.exit_code, end.disk_full, end.supervised) == (0 if ends else 143, True, True)
        assert room.log(spec.run_id).startswith(b"ready\n")
