"""The disk is asked whether it tells names apart that differ by case alone, not the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgrove_server.worktrees import letter_case


@pytest.mark.parametrize("name", ["trees", "TREES", "trees/that are/not there", "trees/1/2"])
def test_a_disk_is_believed_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    place = tmp_path / "trees"
    place.mkdir()
    (tmp_path / "file").touch()
    told_apart = not (tmp_path / "FILE").exists()
    before = sorted(tmp_path.rglob("*"))
    assert letter_case.is_told_apart(tmp_path / name) == told_apart
    assert sorted(tmp_path.rglob("*")) == before


def test_a_sibling_of_the_same_letters_is_another_directory(tmp_path: Path) -> None:
    (tmp_path / "trees").mkdir()
    try:
        (tmp_path / "TREES").mkdir()
    except FileExistsError:
        pytest.skip("this disk does not tell them apart")
    assert letter_case.is_told_apart(tmp_path / "trees")
