"""Untracked files are copied into worktrees."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from taskgrove_server.worktrees import copying


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A checkout and a worktree."""
    checkout, worktree = tmp_path / "checkout", tmp_path / "worktree"
    checkout.mkdir()
    worktree.mkdir()
    return checkout, worktree


def write(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)


@pytest.mark.parametrize(
    ("pattern", "copied"),
    [
        (".env", {".env"}),
        ("*", {".env", "a.local", "conf/b.local", "conf/deep/c.local"}),
        ("*.local", {"a.local"}),
        ("conf/*.local", {"conf/b.local"}),
        ("**/*.local", {"a.local", "conf/b.local", "conf/deep/c.local"}),
        ("conf", {"conf/b.local", "conf/deep/c.local"}),
        ("conf/**", {"conf/b.local", "conf/deep/c.local"}),
        ("nothing/*", set[str]()),
    ],
)
def test_patterns_match_as_they_say(places: tuple[Path, Path], pattern: str, copied: set[str]) -> None:
    checkout, worktree = places
    write(checkout, ".env", "a.local", "conf/b.local", "conf/deep/c.local", ".git/config", "conf/.git/x.local")
    assert set(copying.copy_in(str(checkout), str(worktree), [pattern])) == copied
    assert {str(path.relative_to(worktree)) for path in worktree.rglob("*") if path.is_file()} == copied


def test_what_is_there_is_not_replaced_and_not_counted(places: tuple[Path, Path]) -> None:
    checkout, worktree = places
    write(checkout, "a", "b")
    (worktree / "a").write_text("its own")
    assert copying.copy_in(str(checkout), str(worktree), ["a", "b", "*"]) == ("b",)
    assert (worktree / "a").read_text() == "its own"


def test_copying_ends_when_it_is_told_to(places: tuple[Path, Path]) -> None:
    checkout, worktree = places
    write(checkout, *(f"many/{number}" for number in range(100)))
    calls = itertools.count(1)

    def proceed() -> None:
        if next(calls) > 10:
            raise TimeoutError("Told to end.")

    with pytest.raises(TimeoutError, match="Told to end"):
        copying.copy_in(str(checkout), str(worktree), ["many"], proceed)
    assert 0 < len(list(worktree.rglob("*"))) < 20
