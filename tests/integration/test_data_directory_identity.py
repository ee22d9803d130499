"""Which data directory a directory is, by its note and by what leads elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgrove_server import identity
from taskgrove_server.identity import Arrival, Identity, IdentityRefused
from taskgrove_server.ownership import DataDirectory, DataDirectoryUnusable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory that was started once."""
    made = tmp_path / "data"
    with DataDirectory(made) as data:
        (made / "taskgrove.db").touch()
        assert data.identity.arrival is None
    return made


def started(root: Path) -> Identity:
    """Returns the identity that a server finds, and leaves it as one does that has done what follows."""
    with DataDirectory(root) as data:
        found = data.identity
        data.settle()
        assert data.identity.arrival is None
    return found


def noted(root: Path) -> Identity:
    found = Identity.read(root)
    assert found is not None
    return found


def copied(root: Path, to: Path) -> Path:
    shutil.copytree(root, to)
    return to


def test_it_stays_the_same_from_start_to_start(root: Path) -> None:
    before = noted(root)
    assert started(root) == started(root) == before
    assert before.path == str(root.resolve())
    assert before.suffix == ""


def test_a_renamed_one_has_moved(root: Path, tmp_path: Path) -> None:
    before = noted(root)
    found = started(root.rename(tmp_path / "renamed"))
    assert (found.id, found.arrival, found.moved_from) == (before.id, Arrival.MOVED, before.path)
    assert found.mark == before.mark
    assert started(tmp_path / "renamed").arrival is None


def test_a_copy_gets_an_id_of_its_own_and_the_original_keeps_its(root: Path, tmp_path: Path) -> None:
    before = noted(root)
    copy = copied(root, tmp_path / "copy")
    found = started(copy)
    assert (found.arrival, found.copied_from) == (Arrival.COPIED, before.path)
    assert found.id != before.id
    assert found.suffix
    assert started(root) == before
    assert started(copy).id == found.id
    assert started(copy.rename(tmp_path / "renamed")).suffix == found.suffix


def test_a_copy_of_a_copy_is_one_of_that(root: Path, tmp_path: Path) -> None:
    first = copied(root, tmp_path / "first")
    unstarted = copied(first, tmp_path / "unstarted")
    assert started(first).copied_from == str(root.resolve())
    second = copied(first, tmp_path / "second")
    assert started(unstarted).copied_from == str(root.resolve())
    assert started(second).copied_from == str(first.resolve())
    assert len({noted(one).id for one in (root, first, unstarted, second)}) == 4


def test_what_a_copy_has_to_do_first_is_still_to_be_done_when_its_server_was_killed(root: Path, tmp_path: Path) -> None:
    copy = copied(root, tmp_path / "copy")
    with DataDirectory(copy) as data:
        found = data.identity
    with DataDirectory(copy.rename(tmp_path / "renamed")) as data:
        assert (data.identity.id, data.identity.arrival) == (found.id, Arrival.COPIED)


@pytest.mark.parametrize("again", [False, True])
def test_one_that_was_carried_over_has_moved(root: Path, tmp_path: Path, *, again: bool) -> None:
    before = noted(root)
    other = copied(root, tmp_path / "other")
    shutil.rmtree(root)
    if again:
        # Somebody has begun anew there.
        started(root)
    found = started(other)
    assert (found.id, found.arrival, found.moved_from) == (before.id, Arrival.MOVED, before.path)


def test_one_that_was_restored_in_its_place_has_moved(root: Path, tmp_path: Path) -> None:
    before = noted(root)
    backup = copied(root, tmp_path / "backup")
    root.rename(tmp_path / "broken")
    shutil.copytree(backup, root)
    found = started(root)
    assert (found.id, found.arrival) == (before.id, Arrival.MOVED)
    assert found.mark != before.mark


def test_one_that_was_put_together_from_a_backup_has_moved_whatever_its_number_is(root: Path) -> None:
    before = noted(root)
    identity.displace(root)
    found = started(root)
    assert (found.id, found.arrival, found.mark) == (before.id, Arrival.MOVED, before.mark)


def test_a_copy_by_hard_links_is_refused_until_its_database_is_its_own(root: Path, tmp_path: Path) -> None:
    before = noted(root)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, copy_function=os.link)
    for _ in range(2):
        with pytest.raises(IdentityRefused, match=r"its 'taskgrove\.db' has hard links"):
            DataDirectory(copy).__enter__()
    (copy / "taskgrove.db").unlink()
    shutil.copy(root / "taskgrove.db", copy)
    assert started(copy).copied_from == str(root)
    assert started(root) == noted(root) == before


@pytest.mark.parametrize("part", ["taskgrove.db", "runs", "worktrees", "logs", "sandboxes"])
def test_a_copy_that_has_a_part_in_common_with_its_original_is_refused(root: Path, tmp_path: Path, part: str) -> None:
    shared = root.with_name(f"shared-{part}")
    (root / part).rename(shared)
    (root / part).symlink_to(shared)
    assert started(root).arrival is None
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, symlinks=True)
    with pytest.raises(IdentityRefused, match=f"'{part}' is a link"), DataDirectory(copy):
        pass
    assert noted(copy) == noted(root)
    (copy / part).unlink()
    assert started(copy).copied_from == str(root)
    assert started(root.rename(tmp_path / "renamed")).arrival is Arrival.MOVED


def remove_note(root: Path) -> None:
    (root / "identity.json").unlink()


def damage_note(root: Path) -> None:
    (root / "identity.json").write_text("{")


def shut(root: Path) -> None:
    (root / "identity.json").unlink()
    (root / "identity.json").mkdir()


@pytest.mark.parametrize("spoil", [remove_note, damage_note, shut])
def test_what_may_be_the_original_counts_as_it(root: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    copy = copied(root, tmp_path / "copy")
    spoil(root)
    assert started(copy).copied_from == str(root.resolve())


def test_a_place_with_nothing_of_it_is_none(root: Path, tmp_path: Path) -> None:
    other = copied(root, tmp_path / "other")
    shutil.rmtree(root)
    root.write_text("a file")
    assert started(other).arrival is Arrival.MOVED


def test_a_link_and_another_name_of_the_directory_above_are_the_same(root: Path, tmp_path: Path) -> None:
    before = noted(root)
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "above").symlink_to(tmp_path)
    assert started(tmp_path / "link") == started(tmp_path / "above" / "data") == before


def test_a_restart_of_the_machine_changes_nothing_else(root: Path) -> None:
    before = noted(root)
    note = json.loads((root / "identity.json").read_text())
    (root / "identity.json").write_text(json.dumps({**note, "boot_id": "earlier", "device": note["device"] + 1}))
    assert started(root) == before


def test_what_a_later_version_notes_as_well_is_passed_over(root: Path) -> None:
    before = noted(root)
    note = json.loads((root / "identity.json").read_text())
    (root / "identity.json").write_text(json.dumps({**note, "future": [1]}))
    assert started(root) == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "7",
        '"x"',
        "{}",
        '{"id": 7}',
        '{"id": "x", "path": "/", "device": 1, "inode": 2}',
        json.dumps({"id": str(uuid.UUID(int=7)), "path": None, "device": 1, "inode": 2, "boot_id": ""}),
        "[" * 100_000,
    ],
)
def test_a_damaged_note_is_refused_and_kept(root: Path, content: str) -> None:
    (root / "identity.json").write_text(content)
    with pytest.raises(IdentityRefused, match="is damaged"), DataDirectory(root):
        pass
    assert (root / "identity.json").read_text() == content
    remove_note(root)
    # The lock was let go.
    assert started(root).arrival is None


@pytest.mark.parametrize("is_empty", [False, True])
def test_one_that_has_lost_its_database_is_refused_and_kept(root: Path, *, is_empty: bool) -> None:
    (root / "logs" / "k3v5m2qxw7ab_run1.ndjson").touch()
    database = root / "taskgrove.db"
    if not is_empty:
        database.unlink()
    Path(f"{database}-wal").write_bytes(b"what was committed last")
    before = noted(root)
    for _ in range(2):
        with pytest.raises(DataDirectoryUnusable, match="is missing or empty, while there are logs in"):
            DataDirectory(root).__enter__()
    assert Path(f"{database}-wal").read_bytes() == b"what was committed last"
    database.write_bytes(b"brought back")
    assert started(root) == before


def test_one_that_cannot_be_noted_is_refused(root: Path, tmp_path: Path) -> None:
    copy = copied(root, tmp_path / "copy")
    (copy / "identity.json.new").mkdir()
    with pytest.raises(DataDirectoryUnusable, match="cannot be used"), DataDirectory(copy):
        pass
    assert noted(copy) == noted(root)


def test_the_same_is_not_refused_when_its_machine_cannot_be_noted(root: Path) -> None:
    note = json.loads((root / "identity.json").read_text())
    (root / "identity.json").write_text(json.dumps({**note, "boot_id": "earlier"}))
    (root / "identity.json.new").mkdir()
    assert started(root).id == note["id"]


def test_a_note_is_for_its_owner_alone(root: Path) -> None:
    assert (root / "identity.json").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in root.glob("identity*")] == ["identity.json"]


def test_a_worktree_that_is_registered_in_another_place_with_the_same_id_tells_of_it(
    root: Path, tmp_path: Path
) -> None:
    """Two directories that were restored from the same backup: the second one is a copy of the first."""
    backup = copied(root, tmp_path / "backup")
    shutil.rmtree(root)
    own = tmp_path / "repository" / ".git" / "worktrees" / "k3v9m2qxw7ab"
    worktree = backup / "worktrees" / "k3v9m2qxw7ab"
    worktree.mkdir()
    (worktree / ".git").write_text(f"gitdir: {own}\n")
    first, second = copied(backup, tmp_path / "first"), copied(backup, tmp_path / "second")
    own.mkdir(parents=True)
    (own / "gitdir").write_text(f"{first}/worktrees/k3v9m2qxw7ab/.git\n")
    assert started(first).arrival is Arrival.MOVED
    assert started(second).copied_from == str(first)


def test_establish_needs_no_more_than_the_directory(tmp_path: Path) -> None:
    found = identity.establish(tmp_path)
    assert Identity.read(tmp_path) == found
