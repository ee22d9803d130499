"""GitPython, imported without running git.

It asks git for its version twice when it is imported, and waits for the answer as long as git pleases: a server with a
git that hangs would not start (GitPython 3.1, `git.refresh`).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

#: A program that there is not, and that nobody minds.
_INSTEAD = {"GIT_PYTHON_GIT_EXECUTABLE": "/nonexistent/git", "GIT_PYTHON_REFRESH": "quiet"}


@contextmanager
def _without_git() -> Generator[None]:
    before = {name: os.environ.get(name) for name in _INSTEAD}
    os.environ.update(_INSTEAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _without_git():
    from git import Git, GitCommandNotFound

__all__ = ["Git", "GitCommandNotFound"]
