"""Damages the way from a worktree to its repository, in every way that was seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from support import repositories


def admin(worktree: Path) -> Path:
    """Returns what git keeps of a worktree in its repository."""
    return Path(repositories.git(worktree, "rev-parse", "--absolute-git-dir"))


def _common(worktree: Path) -> Path:
    return admin(worktree).parents[1]


def _moved_while_pruned(worktree: Path, *, locked: bool) -> None:
    common = _common(worktree)
    if not locked:
        repositories.git(common, "worktree", "unlock", str(worktree))
    away = worktree.rename(worktree.with_name("away"))
    repositories.git(common, "worktree", "prune", "--expire=now")
    away.rename(worktree)


def _git_file(worktree: Path, text: str | None) -> None:
    (worktree / ".git").unlink()
    if text is not None:
        (worktree / ".git").write_text(text)


def _forgotten(worktree: Path) -> None:
    common = _common(worktree)
    repositories.git(common, "worktree", "unlock", str(worktree))
    (worktree / ".git").unlink()
    repositories.git(common, "worktree", "prune", "--expire=now")
    assert repositories.worktree_paths(common) == []


def _directory_for_git_file(worktree: Path) -> None:
    (worktree / ".git").unlink()
    (worktree / ".git" / "objects").mkdir(parents=True)


def _pipe_for_git_file(worktree: Path) -> None:
    (worktree / ".git").unlink()
    os.mkfifo(worktree / ".git")


def _link_for_git_file(worktree: Path) -> None:
    (worktree / ".git").unlink()
    (worktree / ".git").symlink_to("nowhere")


def _link_to_the_repository(worktree: Path) -> None:
    common = _common(worktree)
    (worktree / ".git").unlink()
    (worktree / ".git").symlink_to(common)


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def _registered_elsewhere_alone(worktree: Path) -> None:
    _write(admin(worktree) / "gitdir", "/elsewhere/.git\n")
    (worktree / ".git").unlink()


def _without_head_and_index(worktree: Path) -> None:
    own = admin(worktree)
    (own / "HEAD").unlink()
    (own / "index").unlink()


def _write(file: Path, text: str) -> None:
    file.write_text(text)


#: What each does to a worktree, in which there are files that are not committed.
DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "moved away, pruned, moved back": lambda worktree: _moved_while_pruned(worktree, locked=True),
    "moved away, unlocked, pruned, moved back": lambda worktree: _moved_while_pruned(worktree, locked=False),
    "without its .git": lambda worktree: _git_file(worktree, None),
    "without its .git, unlocked and pruned": _forgotten,
    "an empty .git": lambda worktree: _git_file(worktree, ""),
    "a .git with garbage": lambda worktree: _git_file(worktree, "\0\1\2 garbage"),
    "a .git that leads nowhere": lambda worktree: _git_file(worktree, "gitdir: /nowhere/worktrees/x\n"),
    "a .git that leads to the repository": lambda worktree: _git_file(worktree, f"gitdir: {_common(worktree)}\n"),
    "a link to the repository for a .git": _link_to_the_repository,
    "a directory for a .git": _directory_for_git_file,
    "a pipe for a .git": _pipe_for_git_file,
    "a broken link for a .git": _link_for_git_file,
    "without its registration": lambda worktree: shutil.rmtree(admin(worktree)),
    "registered elsewhere": lambda worktree: _write(admin(worktree) / "gitdir", "/elsewhere/.git\n"),
    "registered with garbage": lambda worktree: _write(admin(worktree) / "gitdir", "\0\0"),
    "registered nowhere": lambda worktree: (admin(worktree) / "gitdir").unlink(),
    "registered elsewhere, without its .git": _registered_elsewhere_alone,
    "without the way to the repository": lambda worktree: (admin(worktree) / "commondir").unlink(),
    "without HEAD": lambda worktree: (admin(worktree) / "HEAD").unlink(),
    "an empty HEAD": lambda worktree: _write(admin(worktree) / "HEAD", ""),
    "a HEAD with garbage": lambda worktree: _write(admin(worktree) / "HEAD", "garbage\n"),
    "without an index": lambda worktree: (admin(worktree) / "index").unlink(),
    "an empty index": lambda worktree: _write(admin(worktree) / "index", ""),
    "an index with garbage": lambda worktree: _write(admin(worktree) / "index", "garbage"),
    "an index that was cut": lambda worktree: _truncated(admin(worktree) / "index"),
    "without HEAD and index": _without_head_and_index,
}
