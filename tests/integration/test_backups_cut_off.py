"""Backups and restores that are cut off: nothing is left that looks like one that is whole."""

from __future__ import annotations

import functools
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import backups, disks, stubborn_trees
from support.tasks_gates import until
from taskgrove_server.backups.refusals import (
    NotSaved,
    SourceUnusable,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    backups.make_data_directory(tmp_path / "data")
    return tmp_path / "data"


def test_a_full_disk_leaves_nothing(data: Path, tmp_path: Path) -> None:
    log = backups.log_of(data)
    log.write_bytes(log.read_bytes() + os.urandom(6 << 20))
    with disks.mounted(tmp_path / "disk", "4m") as disk:
        with pytest.raises(NotSaved, match="nothing is left of it: No space left on device"):
            backups.save(data, disk / "backup")
        assert list(disk.iterdir()) == []
        backups.save(data, tmp_path / "backup")
        with pytest.raises(NotSaved, match="nothing is left of that: No space left on device"):
            backups.put_back(tmp_path / "backup", disk / "restored")
        assert list(disk.iterdir()) == []
    with disks.mounted(tmp_path / "tiny", "64k") as disk:
        # Here it is the database that has no room.
        with pytest.raises((NotSaved, SourceUnusable), match=r"full|No space"):
            backups.save(data, disk / "backup")
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_clears_away(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    # So long a log that the signal comes in time; it takes no room.
    os.truncate(backups.log_of(data), 64 << 30)
    process = backups.begin("backup", tmp_path / "backup", "--data-dir", data)
    until((tmp_path / "backup.partial" / "logs").exists, "the copy of logs")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=backups.PATIENCE)
    assert (process.returncode, stdout) == (128 + number, "")
    assert stderr == "taskgroved: Interrupted; nothing is left of what was begun.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_restore_that_fails_leaves_nothing_of_directories_that_nobody_may_write_to(
    data: Path, tmp_path: Path
) -> None:
    sandbox = next((data / "sandboxes").iterdir())
    (sandbox / "shut" / "inner").mkdir(parents=True)
    (sandbox / "shut" / "inner" / "file").touch()
    for directory in (sandbox / "shut" / "inner", sandbox / "shut"):
        directory.chmod(0o500)
    backups.save(data, tmp_path / "backup")
    # The last file that is copied.
    database = tmp_path / "backup" / "taskgrove.db"
    content = bytearray(database.read_bytes())
    database.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    restore = ("-m", "taskgrove_server", "restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "restored"))
    ended = subprocess.run(
        [*as_user(), sys.executable, *restore], capture_output=True, text=True, timeout=backups.PATIENCE, check=False
    )
    assert (ended.returncode, "was changed since" in ended.stderr) == (1, True), ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data"]
    database.write_bytes(content)
    backups.put_back(tmp_path / "backup", tmp_path / "restored")
    restored = tmp_path / "restored" / "sandboxes" / sandbox.name / "shut"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (restored, restored / "inner")] == [0o500, 0o500]
    assert (restored / "inner" / "file").exists()


def as_user() -> tuple[str, ...]:
    """Returns what runs a command without root's rights on all files."""
    return stubborn_trees.NOBODY_SPECIAL if os.geteuid() == 0 else ()


def begun(process: subprocess.Popen[str], target: Path) -> bool:
    return process.poll() is not None or any(target.parent.glob(f"{target.name}*"))


@pytest.mark.parametrize("deed", ["backup", "restore"])
def test_killed_at_any_moment_and_made_again(deed: str, data: Path, tmp_path: Path) -> None:
    place, restored = tmp_path / "backup", tmp_path / "restored"
    target, root = (place, data) if deed == "backup" else (restored, restored)
    if deed == "restore":
        backups.save(data, place)
    chance = random.Random(4)
    for _ in range(4):
        if target.exists():
            # It had ended.
            break
        process = backups.begin(deed, place, "--data-dir", root)
        until(functools.partial(begun, process, target), "its begin")
        time.sleep(chance.random() / 50)
        process.kill()
        process.communicate(timeout=backups.PATIENCE)
    if not target.exists():
        assert backups.run(deed, place, "--data-dir", root).status == 0
    assert not target.with_name(f"{target.name}.partial").exists()
    if deed == "backup":
        backups.put_back(place, restored)
    log = backups.log_of(data)
    assert (restored / "logs" / log.name).read_bytes() == log.read_bytes()
