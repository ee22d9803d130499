"""The git commands that each look at a task's work needs, one after the other: what git itself would take for it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from support.tasks_gates import PATIENCE
from taskgrove.v1.task_pb2 import Task


class NeededGit:
    """Git in a task's repository and in its worktree, with the questions to which there is no other way."""

    def __init__(self, repository: Path, task: Task) -> None:
        self._repository = repository
        self._worktree = Path(task.worktree.path)
        self._base = task.worktree.base_commit
        self._head = task.worktree.head_commit
        #: The heads of the target and of the work, and what they have in common.
        self._stand = [
            (repository, ("for-each-ref", "refs/heads/main", f"refs/heads/{task.worktree.branch}")),
            (repository, ("merge-base", self._base, self._head)),
        ]
        self._dirty = (self._worktree, ("status", "--porcelain=v2", "-z", "--untracked-files=all"))

    def status(self) -> None:
        """Asks how far work and target are apart, what is not committed, and du how large all is."""
        count = ("rev-list", "--count", "--left-right", f"{self._head}...{self._base}")
        _run([*self._stand, (self._repository, count), self._dirty])
        subprocess.run(["du", "-s", self._worktree], check=True, capture_output=True, timeout=PATIENCE)

    def changed_files(self) -> None:
        """Asks what differs, with the numbers of lines."""
        options = ("-r", "-z", "-M", "--raw", "--numstat")
        _run([*self._stand, self._dirty, (self._repository, ("diff-tree", *options, self._base, self._head))])

    def check(self) -> None:
        """Asks what would land, whether it merges, and what of the checkout stands in the way."""
        place = self._repository
        questions = [
            ("rev-list", self._head, f"^{self._base}"),
            ("merge-tree", "--write-tree", self._base, self._head),
            # Which links to submodules the work moves; from where the work began, and not from the target.
            ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", self._base, self._head),
            ("worktree", "list", "--porcelain", "-z"),
            ("diff-tree", "-r", "-z", "--raw", self._base, self._head),
            ("status", "--porcelain=v1", "-z", "--untracked-files=no"),
            # Which files git was told to take for unchanged.
            ("ls-files", "-v", "-z"),
        ]
        _run([*self._stand, self._dirty, *((place, question) for question in questions)])

    def diff(self, *options: str) -> Callable[[], None]:
        """Returns what prints the work as a diff."""
        return lambda: _run([(self._repository, ("diff", "-M", *options, f"{self._base}...{self._head}"))])


def _run(commands: Sequence[tuple[Path, Sequence[str]]]) -> None:
    for directory, arguments in commands:
        subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, timeout=PATIENCE)
