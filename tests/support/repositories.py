"""Makes real git repositories, the same on every machine whatever its git config says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

#: What a repository has in it when a test does not care.
FILES: Mapping[str, str] = {"README.md": "# A project\n", "src/main.py": "print('hello')\n"}

_SETTINGS = (
    "user.name=Grace Tester",
    "user.email=grace@example.org",
    "init.defaultBranch=main",
    "commit.gpgSign=false",
    "core.hooksPath=/dev/null",
    "core.safecrlf=false",
    "diff.orderFile=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
)


def git(path: Path | str, *arguments: str) -> str:
    """Runs git in a directory as a person would and returns what it prints, without white space at the ends."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    completed = subprocess.run(
        ["git", *(part for setting in _SETTINGS for part in ("-c", setting)), *arguments],
        cwd=path,
        env={**own, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if completed.returncode:
        raise AssertionError(f"git {' '.join(arguments)}: {completed.returncode}: {completed.stderr}")
    return completed.stdout.strip()


def make_repository(path: Path, files: Mapping[str, str] = FILES) -> Path:
    """Makes a repository with one commit of some files on `main`, and returns its canonical path."""
    make_empty_repository(path)
    commit(path, files, "First")
    return path.resolve()


def make_empty_repository(path: Path) -> Path:
    """Makes a repository without a commit."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet")
    return path.resolve()


def make_bare_repository(path: Path) -> Path:
    """Makes a bare repository with one commit on `main`."""
    source = make_repository(path.with_name(f"{path.name}.source"))
    git(source.parent, "clone", "--quiet", "--bare", str(source), str(path))
    return path.resolve()


def make_detached_repository(path: Path) -> Path:
    """Makes a repository whose HEAD is detached at its only commit."""
    make_repository(path)
    git(path, "checkout", "--quiet", "--detach")
    return path.resolve()


def make_clone(path: Path) -> Path:
    """Makes a clone, whose `main` follows the `origin/main` of a repository beside it."""
    origin = make_bare_repository(path.with_name(f"{path.name}.git"))
    git(origin.parent, "clone", "--quiet", str(origin), str(path))
    return path.resolve()


def commit(path: Path | str, files: Mapping[str, str], message: str) -> str:
    """Writes files, commits everything, and returns the commit's id."""
    for name, text in files.items():
        file = Path(path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", message)
    return head(path)


def head(path: Path | str, revision: str = "HEAD") -> str:
    """Returns the full id of a revision's commit."""
    return git(path, "rev-parse", "--verify", f"{revision}^{{commit}}")


def branches(path: Path | str) -> list[str]:
    """Returns the names of all local branches, sorted."""
    return git(path, "for-each-ref", "--format=%(refname:short)", "refs/heads/").splitlines()


def worktree_paths(path: Path | str) -> list[str]:
    """Returns the paths of the linked worktrees that git knows of, sorted."""
    lines = git(path, "worktree", "list", "--porcelain").splitlines()
    paths = [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")]
    return sorted(paths[1:])  # the first is the main one


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Gives the code under test an empty home directory and no git config of this machine."""
    home.mkdir(exist_ok=True)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
