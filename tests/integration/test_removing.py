"""Directories are removed whatever their depth and whatever rights tools have taken from them; what resists is told."""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import stubborn_trees
from taskgrove_server.domain import errors
from taskgrove_server.runner.leftovers import Leftovers
from taskgrove_server.worktrees import aside, removing

_PROGRAM = "import sys; from taskgrove_server.worktrees import removing; print(removing.remove(sys.argv[1]))"


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A directory with a file, to be removed."""
    home = tmp_path / "home"
    directory = home / "worktree"
    directory.mkdir(parents=True)
    (directory / "file").touch()
    with stubborn_trees.released(home):
        yield directory


def place(top: Path) -> Path:
    """Returns the directory in which things are set aside."""
    return top.parent / ".removed"


def remove_without_rights(directory: Path) -> str:
    """Removes a directory in a process that has no more rights than its user; returns what it prints is left."""
    prefix = stubborn_trees.NOBODY_SPECIAL if os.geteuid() == 0 else ()
    command = [*prefix, sys.executable, "-c", _PROGRAM, str(directory)]
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout.strip()


def test_what_is_read_only_or_shut_is_removed(top: Path, tmp_path: Path) -> None:
    for name in ("read-only", "shut", "shut/inner", "a/read-only", "a/shut"):
        (top / name).mkdir(parents=True)
        (top / name / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (outside / "file").touch()
    (top / "link").symlink_to(outside)
    (top / "a/dangling").symlink_to(tmp_path / "nowhere")
    modes = {"read-only": 0o555, "shut/inner": 0o500, "shut": 0, "a/read-only": 0o500, "a/shut": 0, "": 0o555}
    for name, mode in modes.items():
        (top / name).chmod(mode)
    assert remove_without_rights(top) == "None"
    assert not top.exists()
    assert list(place(top).iterdir()) == []
    assert outside.stat().st_mode & 0o777 == 0o500
    assert (outside / "file").exists()


@pytest.mark.parametrize(("levels", "name"), [(1200, "d"), (5000, "deep"), (300, "n" * 255)])
def test_neither_depth_nor_the_length_of_paths_matters(top: Path, levels: int, name: str) -> None:
    stubborn_trees.nest(top, levels, name)
    assert removing.remove(str(top)) is None
    assert not top.exists()
    assert list(place(top).iterdir()) == []


def test_names_like_those_that_are_given_do_not_collide(top: Path) -> None:
    for number in range(4):
        (top / str(number) / "0" / "1").mkdir(parents=True)
    (top / "4").touch()
    (top / "5").symlink_to(top)
    assert removing.remove(str(top)) is None
    assert list(place(top).iterdir()) == []


def test_a_file_and_a_link_in_its_place_are_removed_and_nothing_behind_them(top: Path) -> None:
    link = top.with_name("link")
    link.symlink_to(top)
    file = top / "file"
    assert removing.remove(str(link)) is None
    assert not link.is_symlink()
    assert file.exists()
    assert removing.remove(str(file)) is None
    assert not file.exists()
    assert removing.remove(str(file)) is None


@pytest.mark.parametrize("kind", ["disk", "bind", "bind of what is beside it", "file"])
@pytest.mark.parametrize("where", ["mounted", "a/b/c/mounted"])
def test_nothing_below_a_mount_is_touched(top: Path, kind: str, where: str) -> None:
    target = top / where
    target.parent.mkdir(parents=True, exist_ok=True)
    source = (top if kind == "bind of what is beside it" else top.parent) / "precious"
    source.mkdir()
    (source / "inner").mkdir()
    (source / "inner" / "file").write_text("precious")
    if kind == "file":
        target.touch()
        command = ["mount", "--bind", str(source / "inner/file"), str(target)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting takes root")
    else:
        stubborn_trees.mount(target, source if kind != "disk" else None)
        if kind == "disk":
            (target / "inner").mkdir()
            (target / "inner/file").write_text("precious")
    kept = os.open(target if kind == "file" else target / "inner/file", os.O_RDONLY)
    leftover = removing.remove(str(top))
    assert not top.exists()
    assert leftover is not None
    assert Path(leftover.path).parent == place(top)
    assert leftover.count == 1
    assert "mounted" in str(leftover)
    assert os.fstat(kept).st_nlink == (0 if kind == "bind of what is beside it" else 1)
    os.close(kept)
    [mounted] = stubborn_trees.mounts(Path(leftover.path))
    assert leftover.reasons[0].startswith(f"{mounted}: ")
    # Nothing moves about any more: the path that a person was told of stays.
    assert removing.clear(leftover.path) == leftover
    subprocess.run(["umount", mounted], check=True)
    assert removing.clear(leftover.path) is None
    assert list(place(top).iterdir()) == []


@pytest.mark.parametrize("flag", ["+i", "+a"])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_is_protected_stays_and_all_else_goes(top: Path, flag: str, what: str) -> None:
    protected = top / "a/b/protected"
    protected.parent.mkdir(parents=True)
    if what == "file":
        protected.touch()
    else:
        (protected / "inner").mkdir(parents=True)
    (top / "a/b/other").touch()
    stubborn_trees.protect(protected, flag)
    leftover = removing.remove(str(top))
    assert leftover is not None
    assert leftover.count == 1
    left = [path for path in Path(leftover.path).rglob("*") if path.name in ("file", "other", "a", "b")]
    assert left == []
    subprocess.run(["chattr", "-R", "-ia", leftover.path], check=True)
    assert removing.clear(leftover.path) is None
    assert not Path(leftover.path).exists()


def test_what_belongs_to_another_user_stays_and_all_else_goes(top: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a directory away takes root")
    for name in ("theirs", "empty", "ours"):
        (top / "a" / name).mkdir(parents=True)
    (top / "a/theirs/file").touch()
    (top / "a/ours/file").touch()
    for name in ("theirs", "empty"):
        os.chown(top / "a" / name, 12345, 12345)
        (top / "a" / name).chmod(0o755)
    said = remove_without_rights(top)
    assert "another user's" in said
    [left] = place(top).iterdir()
    assert {path.name for path in left.rglob("*")} >= {"theirs", "file"}
    assert not {path.name for path in left.rglob("*")} & {"empty", "ours"}
    assert removing.clear(str(left)) is None


def test_what_cannot_be_set_aside_is_not_touched(top: Path) -> None:
    stubborn_trees.mount(top)
    (top / "file").write_text("mine")
    with pytest.raises(errors.RemovalRefused, match=r"nothing of it was touched: .*umount"):
        removing.remove(str(top))
    assert (top / "file").read_text() == "mine"
    assert aside.of(str(top)) == []


def test_what_may_not_be_moved_keeps_its_rights(top: Path) -> None:
    (top / "file").write_text("mine")
    top.chmod(0o500)
    place(top).mkdir()
    place(top).chmod(0o500)
    top.parent.chmod(0o500)
    prefix = stubborn_trees.NOBODY_SPECIAL if os.geteuid() == 0 else ()
    command = [*prefix, sys.executable, "-c", _PROGRAM, str(top)]
    ended = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    top.parent.chmod(0o700)
    assert "RemovalRefused" in ended.stderr
    assert shlex.quote(str(top)) in ended.stderr
    assert top.stat().st_mode & 0o777 == 0o500
    assert (top / "file").read_text() == "mine"


def test_what_somebody_else_removes_is_left_to_them(top: Path) -> None:
    path = aside.put(str(top))
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(removing.Busy):
        removing.clear(path, waits=False)
    Leftovers([top.parent]).remove()
    assert (Path(path) / "file").exists()
    os.close(descriptor)
    Leftovers([top.parent]).remove()
    assert not Path(path).exists()


def test_what_was_set_aside_is_found_by_its_own_name_alone(top: Path) -> None:
    numbered = top.with_name(f"{top.name}-1")
    places: list[str] = []
    for _ in range(11):
        for directory in (top, numbered):
            directory.mkdir(exist_ok=True)
            places.append(aside.put(str(directory)))
    assert aside.of(str(top)) == places[::2]
    assert aside.of(str(numbered)) == places[1::2]
    assert aside.of(str(top.with_name("work"))) == []


def test_the_log_tells_of_what_is_left_once(top: Path, caplog: pytest.LogCaptureFixture) -> None:
    stubborn_trees.mount(top / "mounted")
    leftovers = Leftovers([top.parent, top.parent / "not there"])
    aside.put(str(top))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            leftovers.remove()
        [left] = stubborn_trees.mounts(top.parent)
        subprocess.run(["umount", left], check=True)
        leftovers.remove()
        leftovers.remove()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert left in told[0]
    assert told[1].endswith("is removed")
    assert list(place(top).iterdir()) == []


def test_a_removal_that_is_told_to_stop_is_gone_on_with(top: Path) -> None:
    for number in range(5):
        (top / f"directory{number}" / "inner").mkdir(parents=True)
    path = aside.put(str(top))
    asked = iter([False, False, True, True, True])
    assert removing.clear(path, stopped=lambda: next(asked)) is not None
    assert Path(path).exists()
    assert removing.clear(path) is None
    assert not Path(path).exists()
