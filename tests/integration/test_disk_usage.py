"""What the server takes of the disk is measured apart from all else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support import repositories, tasks_gates
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import WorktreeSettings
from taskgrove_server.runner import disk_measures, disk_usage, disk_walk
from taskgrove_server.runner.disk_usage import DiskUsages
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.worktrees import Worktrees

MIB = 1 << 20


def never() -> bool:
    return False


def test_files_count_with_what_they_take_and_once(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "deep/er").mkdir(parents=True)
    (top / "deep/er/file").write_bytes(os.urandom(MIB))
    (top / "deep/link").hardlink_to(top / "deep/er/file")
    (top / "deep/symbolic").symlink_to(tmp_path)
    with (top / "holes").open("wb") as file:
        file.truncate(100 * MIB)
    (top / ".removed").mkdir()
    (top / ".removed/left").write_bytes(os.urandom(3 * MIB))
    (tmp_path / "beside").write_bytes(os.urandom(5 * MIB))
    assert MIB <= disk_walk.size(str(top), never, without=".removed") < 1.2 * MIB
    assert 4 * MIB <= disk_walk.size(str(top), never) < 4.2 * MIB
    assert disk_walk.size(str(tmp_path / "nowhere"), never) == 0


def test_a_walk_ends_soon_once_it_is_told_to(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / str(number)).touch()
    with pytest.raises(disk_walk.Stopped):
        disk_walk.size(str(tmp_path), lambda: True)


def measuring(name: str, value: int) -> disk_usage.Measure:
    return lambda _: {name: value}


def broken(_: Callable[[], bool]) -> Mapping[str, int]:
    raise OSError("The disk is gone")


def test_one_that_fails_or_does_not_answer_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    asked: list[int] = []

    def silent(_: Callable[[], bool]) -> Mapping[str, int]:
        asked.append(1)
        answers.wait(tasks_gates.PATIENCE)
        return {"worktree_bytes": 3}

    usages = DiskUsages((silent, measuring("log_bytes", 1), broken, measuring("saved_refs", 2)))
    try:
        usages.measure(never)
        assert usages.current is None
        # As after minutes without an answer.
        monkeypatch.setattr(disk_usage, "PATIENCE", 0.0)

        def told() -> Mapping[str, int] | None:
            usages.measure(never)
            return usages.current.measured if usages.current else None

        known = tasks_gates.until(lambda: (found := told()) and len(found) == 2 and found, "what is known")
        assert known == {"log_bytes": 1, "saved_refs": 2}
        # It is not asked once more while it does not answer, and is told of again when it does.
        monkeypatch.setattr(disk_usage, "INTERVAL", 0.0)
        usages.measure(never)
        assert asked == [1]
        answers.set()

        def all_is_told() -> bool:
            usages.measure(never)
            return usages.current is not None and usages.current.measured.get("worktree_bytes") == 3

        tasks_gates.until(all_is_told, "what is measured once it answers")
    finally:
        answers.set()


def test_refs_are_counted_over_all_repositories_and_once_in_each(tmp_path: Path) -> None:
    repository = repositories.make_repository(tmp_path / "one")
    other = repositories.make_repository(tmp_path / "two")
    repositories.git(repository, "worktree", "add", "-q", str(tmp_path / "checkout"))
    for number in range(3):
        repositories.git(repository, "update-ref", f"refs/taskgrove/saved/x/{number}", "HEAD")
    repositories.git(other, "update-ref", "refs/taskgrove/saved/y/1", "HEAD")
    repositories.git(other, "update-ref", "refs/taskgrove/kept/1", "HEAD")
    store = Store(tmp_path / "taskgrove.db", lambda _: None)
    try:
        now = clock.now()
        for directory in (repository, other, tmp_path / "checkout", repository, tmp_path / "gone", None):
            working_dir = None if directory is None else str(directory)
            task_list = TaskList(
                ids.new_task_list_id(),
                "A list",
                working_dir,
                RunConfig(),
                now,
                now,
                worktree_settings=WorktreeSettings(),
            )
            store.task_lists.create(task_list).result()
        count = disk_measures.References(store, Worktrees(tmp_path / "worktrees", Author()))
        assert count(never) == {"saved_refs": 4, "kept_refs": 1}
        assert count(never) == {"saved_refs": 4, "kept_refs": 1}
    finally:
        store.close()
