"""What is copied while others change it, how, and with how much memory."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from support import backups
from support.tasks_gates import until
from taskgrove_server.backups.file_list import Entry
from taskgrove_server.backups.snapshot import Snapshot
from taskgrove_server.backups.tree import TreeCopy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    backups.make_data_directory(tmp_path / "data")
    return tmp_path / "data"


def test_the_copy_is_of_one_moment_and_ends_while_others_write(data: Path, tmp_path: Path) -> None:
    live = data / "taskgrove.db"
    with closing(sqlite3.connect(live)) as database, database:
        for table in ("one", "two"):
            database.execute(f"CREATE TABLE {table} (value INTEGER, filling BLOB)")
            for _ in range(4000):
                database.execute(f"INSERT INTO {table} VALUES (0, randomblob(900))")
    stopped = threading.Event()
    writes = [0]

    def write() -> None:
        with closing(sqlite3.connect(live, timeout=60)) as database:
            while not stopped.is_set():
                with database:
                    database.execute("UPDATE one SET value = value + 1")
                    database.execute("UPDATE two SET value = value + 1")
                writes[0] += 1

    seen: list[int] = []
    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: writes[0] > 1, "a write")
        snapshot = Snapshot.take(live, tmp_path / "copy.db", lambda _d, _w: seen.append(writes[0]), lambda: False)
    finally:
        stopped.set()
        writer.join()
    snapshot.check()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        values = copy.execute("SELECT value FROM one UNION SELECT value FROM two").fetchall()
    assert len(values) == 1
    # In steps, between which others wrote.
    assert len(seen) > 1


def test_logs_that_retention_removes_meanwhile_are_no_lost_ones(data: Path, tmp_path: Path) -> None:
    live = data / "taskgrove.db"
    columns = {"run": ("log_removed", 0), "task": ("removed_lines", 0), "task ": ("has_logs", 1)}
    with closing(sqlite3.connect(live)) as database, database:
        for table, (column, default) in columns.items():
            # They may be there: see the migrations.
            with contextlib.suppress(sqlite3.OperationalError):
                database.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT {default}")
    snapshot = Snapshot.take(live, tmp_path / "copy.db", lambda _done, _whole: None, lambda: False)
    with closing(sqlite3.connect(live)) as database, database:
        (task,) = database.execute("SELECT task_id FROM run WHERE sequence = 1").fetchone()
        database.execute("UPDATE run SET log_removed = 1 WHERE sequence = 1")
        database.execute("UPDATE task SET removed_lines = 3, has_logs = 0 WHERE id = ?", (task,))
    assert len(list(snapshot.run_logs())) == 2
    assert snapshot.follow_removals() == frozenset()
    assert len(list(snapshot.run_logs())) == 1
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        found = copy.execute("SELECT removed_lines, has_logs FROM task WHERE id = ?", (task,)).fetchall()
        others = copy.execute("SELECT removed_lines, has_logs FROM task WHERE id != ?", (task,)).fetchall()
        obsolete = copy.execute("SELECT name FROM obsolete_file ORDER BY name").fetchall()
    assert (found, others) == ([(3, 0)], [(0, 1)])
    # They may have been copied before: the server on what is restored removes them.
    assert obsolete == [(f"{task}_run1.ndjson",), (f"{task}_setup.log",)]


def test_settings_and_a_token_that_lie_elsewhere_are_saved_as_they_are(data: Path, tmp_path: Path) -> None:
    for name, content in {"taskgroved.toml": "slots = 2\n", "token": "t" * 40}.items():
        (tmp_path / name).write_text(content)
        (data / name).unlink(missing_ok=True)
        (data / name).symlink_to(tmp_path / name)
    (data / "gone.toml").symlink_to(tmp_path / "gone")
    backups.back_up(data, tmp_path / "backup", "--with-token")
    backups.restore(tmp_path / "backup", tmp_path / "restored")
    for place in (tmp_path / "backup", tmp_path / "restored"):
        for name in ("taskgroved.toml", "token"):
            assert not (place / name).is_symlink()
            assert (place / name).read_text() == (tmp_path / name).read_text()
        assert not os.path.lexists(place / "gone.toml")


def test_a_directory_of_a_task_that_is_a_link_is_told_and_left_out(data: Path, tmp_path: Path) -> None:
    sandbox, other = sorted((data / "sandboxes").iterdir())
    sandbox.rename(tmp_path / "elsewhere")
    sandbox.symlink_to(tmp_path / "elsewhere")
    saved = backups.save(data, tmp_path / "backup")
    assert saved.left_out.named == [f"sandboxes/{sandbox.name} (it is a link)"]
    assert backups.names(tmp_path / "backup" / "sandboxes") == [other.name]


def test_no_link_is_followed_and_no_pipe_waited_for(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    (source / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (source / "link").symlink_to(outside)
    (source / "file").symlink_to(outside / "secret")
    os.mkfifo(source / "inner" / "pipe")
    (source / "inner" / "shut").mkdir(mode=0)
    (source / "inner" / "set").touch(mode=0o4755)
    entries: list[Entry] = []
    (tmp_path / "copy" / "sandboxes").mkdir(mode=0o700, parents=True)
    tree = TreeCopy(tmp_path / "copy", entries.append, lambda _size: None)
    tree.copy(source, "sandboxes/task")
    found = {entry.path.removeprefix("sandboxes/task"): entry.kind for entry in entries}
    if tree.left_out.count:
        assert tree.left_out.named == ["sandboxes/task/inner/shut (it cannot be read)"]
    else:
        # To root nothing is shut.
        assert found.pop("/inner/shut") == "directory"
    assert found == {"": "directory", "/file": "link", "/link": "link", "/inner": "directory", "/inner/set": "file"}
    copies = [path for path in (tmp_path / "copy" / "sandboxes").rglob("*") if not path.is_symlink()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in copies} == {0o600, 0o700}


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    for number in range(50):
        (source / str(number)).mkdir(parents=True)
        (source / str(number) / "file").touch()
    stopped = threading.Event()

    def swap() -> None:
        while not stopped.is_set():
            for number in range(50):
                (source / str(number)).rename(tmp_path / "away")
                (source / str(number)).symlink_to(outside)
                (source / str(number)).unlink()
                (tmp_path / "away").rename(source / str(number))

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(20):
            root = tmp_path / f"copy-{number}"
            TreeCopy(root, lambda _entry: None, lambda _size: None).copy(source, "sandboxes/task")
            assert not list(root.rglob("secret")) or all(p.parent.is_symlink() for p in root.rglob("secret"))
    finally:
        stopped.set()
        swapper.join()


def test_holes_stay_holes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (task, _) = backups.make_data_directory(data)
    hole = data / "sandboxes" / task / "hole"
    hole.touch()
    os.truncate(hole, 64 << 20)
    backups.save(data, tmp_path / "backup")
    backups.put_back(tmp_path / "backup", tmp_path / "restored")
    for root in (tmp_path / "backup", tmp_path / "restored"):
        state = (root / "sandboxes" / task / "hole").stat()
        assert (state.st_size, state.st_blocks) == (64 << 20, 0)


#: Runs the command, and says how much memory it took at most, in KiB.
MEASURED = """
import pathlib, sys
from taskgrove_server import __main__
try:
    __main__.main()
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def test_memory_does_not_grow_with_what_is_saved(tmp_path: Path) -> None:
    def peak(*arguments: str | Path) -> int:
        command = [sys.executable, "-c", MEASURED, *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
        return int(ended.stderr.split()[-1])

    taken: dict[str, list[int]] = {"backup": [], "restore": []}
    for size, tasks in (("small", 1), ("large", 60)):
        data, backup, restored = (tmp_path / f"{size}-{name}" for name in ("data", "backup", "restored"))
        (first, *_) = backups.make_data_directory(data, tasks)
        if size == "large":
            log = data / "logs" / f"{first}_run1.ndjson"
            log.write_bytes(log.read_bytes() + b"x" * (100 << 20))
            for number in range(1000):
                (data / "sandboxes" / first / f"file-{number:0200}").touch()
        taken["backup"].append(peak("backup", backup, "--data-dir", data))
        taken["restore"].append(peak("restore", backup, "--data-dir", restored))
    for small, large in taken.values():
        assert large - small < 16 << 10, taken


def test_a_person_at_a_terminal_sees_how_far_it_is(data: Path, tmp_path: Path) -> None:
    terminal, theirs = os.openpty()
    command = [sys.executable, "-m", "taskgrove_server", "backup", str(tmp_path / "backup"), "--data-dir", str(data)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    # At its end the terminal says that nobody is there.
    with contextlib.suppress(OSError):
        while block := os.read(terminal, 4096):
            seen += block
    os.close(terminal)
    stdout, _ = process.communicate(timeout=backups.PATIENCE)
    assert stdout.startswith(b"Saved 2 tasks")
    shown = [line.split(b":")[0] for line in seen.split(b"\r\x1b[K")]
    assert {b"Copying the database", b"Copying files", b"Checking the database", b"Writing to the disk"} <= set(shown)
    # Nothing of it stays.
    assert shown[-1] == b""
