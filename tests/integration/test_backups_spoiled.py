"""Backups that were cut, changed, or made by a newer version: each is refused, and nothing is changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import backups
from support.stubborn_trees import NOBODY_SPECIAL
from taskgrove_server.backups import file_list, manifest
from taskgrove_server.backups.refusals import (
    BackupDamaged,
    BackupNewer,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    backups.make_data_directory(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    backups.save(data, tmp_path / "backup")
    return tmp_path / "backup"


def edit(backup: Path, **values: Any) -> None:
    path = backup / manifest.NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def relist(backup: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Changes the list of files, and has the manifest agree to it."""
    path = backup / file_list.NAME
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    change(entries)
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    edit(backup, list_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def write(backup: Path, mode: str, text: str) -> None:
    with backups.log_of(backup).open(mode) as log:
        log.write(text)


def make_link(backup: Path, path: Path | None = None) -> None:
    path = path or backups.log_of(backup)
    content = path.read_bytes()
    path.unlink()
    # As long as the file was, and to one that is the same.
    target = backup / ("x" * min(len(content), 200))
    target.write_bytes(content)
    path.symlink_to(f"{'./' * 99}{target}"[-len(content) :] if len(content) < 200 else target)


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What is done to a backup, and what is said of it then."""

    spoil: Callable[[Path], object]
    error: type[Exception]
    match: str


SPOILED = {
    "no manifest": Spoiled(lambda b: (b / "manifest.json").unlink(), BackupDamaged, "is no backup of Taskgrove"),
    "a manifest that is a link": Spoiled(
        lambda b: make_link(b, b / "manifest.json"), BackupDamaged, "is no backup of Taskgrove"
    ),
    "an empty manifest": Spoiled(lambda b: (b / "manifest.json").write_text(""), BackupDamaged, "is damaged"),
    "garbage": Spoiled(lambda b: (b / "manifest.json").write_bytes(os.urandom(999)), BackupDamaged, "is damaged"),
    "deep garbage": Spoiled(lambda b: (b / "manifest.json").write_text("[" * 99999), BackupDamaged, "is damaged"),
    "no object": Spoiled(lambda b: (b / "manifest.json").write_text("[]"), BackupDamaged, "something else"),
    "another's manifest": Spoiled(
        lambda b: (b / "manifest.json").write_text('{"format": "x"}'), BackupDamaged, "something else"
    ),
    "one that was not finished": Spoiled(lambda b: edit(b, complete=False), BackupDamaged, "was not finished"),
    "a newer form": Spoiled(lambda b: edit(b, format_version=2), BackupNewer, "made by a newer version of Taskgrove"),
    "a newer schema": Spoiled(
        lambda b: edit(b, schema=["0001_initial", "9999_later"]), BackupNewer, "its database has 9999_later"
    ),
    "a count that is none": Spoiled(lambda b: edit(b, tasks="many"), BackupDamaged, "is damaged"),
    "a negative count": Spoiled(lambda b: edit(b, tasks=-1), BackupDamaged, "is damaged"),
    "a schema that is none": Spoiled(lambda b: edit(b, schema=[1]), BackupDamaged, "is damaged"),
    "a form that is none": Spoiled(lambda b: edit(b, format_version="1"), BackupDamaged, "is damaged"),
    "no list": Spoiled(lambda b: (b / "files.ndjson").unlink(), BackupDamaged, "cannot be read"),
    "a list that was cut": Spoiled(lambda b: os.truncate(b / "files.ndjson", 100), BackupDamaged, "was changed or cut"),
    "a missing log": Spoiled(lambda b: backups.log_of(b).unlink(), BackupDamaged, "is missing in the backup"),
    "a missing database": Spoiled(lambda b: (b / "taskgrove.db").unlink(), BackupDamaged, "is missing in the backup"),
    "a log that was cut": Spoiled(lambda b: os.truncate(backups.log_of(b), 5), BackupDamaged, "bytes instead of"),
    "a log that has grown": Spoiled(
        lambda b: backups.log_of(b).write_bytes(backups.log_of(b).read_bytes() + b"x"),
        BackupDamaged,
        "bytes instead of",
    ),
    "a changed log": Spoiled(lambda b: write(b, "r+", "["), BackupDamaged, "was changed since"),
    "a log that is a link": Spoiled(make_link, BackupDamaged, "was changed since"),
    "a path that leads out": Spoiled(
        lambda b: relist(b, lambda entries: entries[0].update(path="logs/../../out")),
        BackupDamaged,
        "what belongs in no backup",
    ),
    "an absolute path": Spoiled(
        lambda b: relist(b, lambda entries: entries[0].update(path="/tmp/out")), BackupDamaged, "belongs in no backup"
    ),
    "a path behind a link": Spoiled(
        lambda b: relist(
            b,
            lambda entries: entries.insert(
                0, {"path": "logs", "kind": "link", "mode": 0, "size": 0, "sha256": "", "target": "/tmp"}
            ),
        ),
        BackupDamaged,
        "behind a symbolic link",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_backup_that_was_spoiled_is_refused(name: str, backup: Path, tmp_path: Path) -> None:
    spoiled = SPOILED[name]
    spoiled.spoil(backup)
    with pytest.raises(spoiled.error, match=spoiled.match):
        backups.put_back(backup, tmp_path / "restored")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data"]


def test_nothing_is_left_of_directories_that_may_not_be_written_to(data: Path, tmp_path: Path) -> None:
    sandbox = next((data / "sandboxes").iterdir())
    # As Go keeps the modules that it has downloaded.
    shut = sandbox / "module"
    shut.mkdir()
    (shut / "file").touch(0o444)
    shut.chmod(0o555)
    backup, spoiled = tmp_path / "backup", tmp_path / "spoiled"
    backups.save(data, backup)
    shutil.copytree(backup, spoiled)
    with (spoiled / "taskgrove.db").open("r+b") as database:
        database.write(b"?")
    restored = tmp_path / "restored"
    ended = backups.run("restore", spoiled, "--data-dir", restored, behind=NOBODY_SPECIAL)
    assert (ended.status, "was changed since" in ended.stderr) == (1, True), ended
    assert backups.names(tmp_path) == ["backup", "data", "spoiled"]
    ended = backups.run("restore", backup, "--data-dir", restored, behind=NOBODY_SPECIAL)
    assert (ended.status, ended.stderr) == (0, "")
    assert stat.S_IMODE((restored / "sandboxes" / sandbox.name / "module").stat().st_mode) == 0o555


def test_what_is_no_directory_is_no_backup(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(BackupDamaged, match="is no backup of Taskgrove"):
            backups.put_back(path, tmp_path / "restored")


@pytest.mark.parametrize("behind", [{"path": "link/in/one"}, {"path": "link", "kind": "directory", "mode": 0o777}])
def test_nothing_is_made_or_changed_where_a_link_of_the_backup_leads(
    behind: dict[str, Any], backup: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    link = {"path": "link", "kind": "link", "target": str(outside)}
    relist(backup, lambda entries: entries.extend([link, {**entries[0], **behind}]))
    if "kind" not in behind:
        (backup / "link" / "in").mkdir(parents=True)
        (backup / "link" / "in" / "one").write_bytes(backups.log_of(backup).read_bytes())
    with pytest.raises(BackupDamaged, match="symbolic link of its own"):
        backups.put_back(backup, tmp_path / "restored")
    assert list(outside.iterdir()) == []
    assert outside.stat().st_mode & 0o777 == 0o700
