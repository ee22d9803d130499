"""Where backups are made and restored to, and what is refused before anything is written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support import backups, disks
from taskgrove_server.backups.progress import Progress
from taskgrove_server.backups.refusals import (
    SourceUnusable,
    TargetUnusable,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    backups.make_data_directory(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    backups.save(data, tmp_path / "backup")
    return tmp_path / "backup"


def test_what_is_restored_is_what_was_saved(data: Path, backup: Path, tmp_path: Path) -> None:
    restored = backups.put_back(backup, tmp_path / "restored")
    assert (restored.manifest.tasks, restored.interrupted, restored.queued) == (2, 0, 0)
    before, after = backups.contents(data), backups.contents(tmp_path / "restored")
    assert before.pop("taskgrove.db")
    assert after.pop("taskgrove.db")
    for name in ("token", "taskgrove.db-shm", "taskgrove.db-wal"):
        before.pop(name, None)
    assert after == before
    assert not (tmp_path / "restored.partial").exists()
    assert not (tmp_path / "backup.partial").exists()


def test_there_is_something_at_the_place(data: Path, backup: Path, tmp_path: Path) -> None:
    before = backups.contents(backup)
    with pytest.raises(TargetUnusable, match=f"There is something at {backup} already"):
        backups.save(data, backup)
    assert backups.contents(backup) == before
    with pytest.raises(TargetUnusable, match=f"There is something at {data} already"):
        backups.put_back(backup, data)
    (tmp_path / "file").touch()
    with pytest.raises(TargetUnusable, match="There is something at"):
        backups.save(data, tmp_path / "file")
    with pytest.raises(TargetUnusable, match="There is something at / already"):
        backups.save(data, Path("/"))
    with pytest.raises(TargetUnusable, match="There is something at / already"):
        backups.put_back(backup, Path("/"))


def test_an_empty_directory_is_a_place_and_so_is_a_link_to_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    saved = backups.save(data, tmp_path / "link")
    assert saved.place == tmp_path / "empty"
    assert backups.put_back(tmp_path / "link", tmp_path / "restored").manifest.tasks == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_nobody_is_there_to_be_told(data: Path, tmp_path: Path, closed: str) -> None:
    command = f'exec "$0" -m taskgrove_server backup "$1" --data-dir "$2" {closed}'
    ended = subprocess.run(["sh", "-c", command, sys.executable, tmp_path / "backup", data], check=False)
    assert ended.returncode == 0
    assert backups.put_back(tmp_path / "backup", tmp_path / "restored").manifest.tasks == 2


def test_there_is_no_directory_to_put_it_into(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable, match=r"There is no directory .*missing to put the backup into"):
        backups.save(data, tmp_path / "missing" / "backup")


def test_it_would_lie_in_the_data_directory(data: Path) -> None:
    with pytest.raises(TargetUnusable, match="lies in the data directory, and would be lost with it"):
        backups.save(data, data / "backup")


def test_there_is_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match=r"There is no data directory of Taskgrove at .*nowhere: name it with"):
        backups.save(tmp_path / "nowhere", tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_disk_is_mounted_at_the_place(data: Path, tmp_path: Path) -> None:
    with disks.mounted(tmp_path / "disk", "8m"):
        with pytest.raises(TargetUnusable, match=r"A disk is mounted at .*disk: name a directory on it"):
            backups.save(data, tmp_path / "disk")
        backups.save(data, tmp_path / "disk" / "backup")


def test_something_else_is_where_it_would_come_to_be(data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "backup.partial"
    mine.mkdir()
    (mine / "letter").write_text("Dear")
    with pytest.raises(TargetUnusable, match=r"backup.partial is in the way, and nothing that was begun here"):
        backups.save(data, tmp_path / "backup")
    assert (mine / "letter").read_text() == "Dear"


class Another(Progress):
    """Begins a second backup to the same place while the first is made."""

    def __init__(self, data: Path, place: Path) -> None:
        super().__init__()
        self._data, self._place = data, place
        self.refusals: list[str] = []

    def say(self, doing: str) -> None:
        with pytest.raises(TargetUnusable) as refused:
            backups.save(self._data, self._place)
        self.refusals.append(str(refused.value))


def test_another_is_made_at_the_same_place(data: Path, tmp_path: Path) -> None:
    another = Another(data, tmp_path / "backup")
    backups.save(data, tmp_path / "backup", another)
    assert another.refusals
    assert {"Another command is at work in" in refusal for refusal in another.refusals} == {True}
    assert backups.put_back(tmp_path / "backup", tmp_path / "restored").manifest.tasks == 2


def test_the_database_is_of_a_newer_version_or_damaged(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "taskgrove.db")) as database, database:
        database.execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_later', '2030-01-01')")
    with pytest.raises(SourceUnusable, match=r"made by a newer version of Taskgrove .it has 9999_later."):
        backups.save(data, tmp_path / "backup")
    with (data / "taskgrove.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 30000)
    with pytest.raises(SourceUnusable, match="database"):
        backups.save(data, tmp_path / "backup")
    (data / "taskgrove.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(SourceUnusable, match="not a database"):
        backups.save(data, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
