"""No file can be opened for a while: what cannot be read for that is not taken for gone."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from support import repositories
from taskgrove_server.processes import sweeping
from taskgrove_server.worktrees import commands, git_dirs, registration, shut_directories, unfinished
from taskgrove_server.worktrees.nested import walking
from taskgrove_server.worktrees.shared import config, files


@contextlib.contextmanager
def no_file() -> Generator[None]:
    """Lets this process open nothing."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


LOOKS: dict[str, Callable[[Path], object]] = {
    "config": lambda repository: config.read(f"{repository}/.git"),
    "hooks": lambda repository: files.read(f"{repository}/.git"),
    "git directory": lambda repository: git_dirs.read(f"{repository}-linked"),
    "rebase": lambda repository: unfinished.operation(f"{repository}/.git"),
    "index": lambda repository: registration.is_sound(f"{repository}-linked", f"{repository}/.git"),
    "nested": lambda repository: list(walking.walk(str(repository))),
    "shut": lambda repository: shut_directories.open_all(str(repository)),
    "processes": lambda _: sweeping.find("no-such-run"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_cannot_be_read_for_want_of_files_is_not_taken_for_gone(repository: Path, look: str) -> None:
    repositories.git(repository, "worktree", "add", "--quiet", "-b", "linked", f"{repository}-linked")
    (repository / ".git/sequencer").mkdir()
    (repository / ".git/sequencer/todo").write_text("pick 1\n")
    before = LOOKS[look](repository)
    with no_file(), pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        LOOKS[look](repository)
    assert LOOKS[look](repository) == before


def test_a_config_is_not_taken_for_nonsense_because_git_cannot_be_started(repository: Path) -> None:
    content = config.read(f"{repository}/.git")[config.CONFIG]
    git = commands.Git(timeout=10)
    assert config.is_sound(git, config.CONFIG, content)
    with no_file(), pytest.raises(commands.GitFailed, match="could not be started"):
        config.is_sound(git, config.CONFIG, content)
