"""What a task has changed, file by file, compared with what git says of it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import taskgrove
from support import repositories, tasks_work
from support.client_programs import Program
from support.server import RunningServer

#: One change of each kind. The new file's patch needs several messages, and one file's bytes are no UTF-8.
CHANGES = """
seq -f 'a line of text, number %g' 1 8000 > added.txt
git mv renamed.txt moved.txt
rm deleted.txt
printf 'Gr\\366\\337e\\n' >> latin.txt
echo changed >> 'with space.txt'
"""

FILES = {
    "deleted.txt": "one\ntwo\n",
    "latin.txt": "first\n",
    "renamed.txt": "".join(f"{number}\n" for number in range(50)),
    "with space.txt": "old\n",
}


def test_diff(program: Program, server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    repository = repositories.make_repository(tmp_path / "changed", FILES)
    task = tasks_work.run(client, CHANGES, repository)
    base, head = task.worktree.base_commit, task.worktree.head_commit
    patch = diff(repository, base, head)
    assert len(patch) > 131_072
    assert program.run("diff", server, task_id=task.id) == {
        "base_commit": base,
        "head_commit": head,
        "files": [
            {"path": "added.txt", "kind": "KIND_ADDED", "insertions": 8000, "deletions": 0},
            {"path": "deleted.txt", "kind": "KIND_DELETED", "insertions": 0, "deletions": 2},
            {"path": "latin.txt", "kind": "KIND_MODIFIED", "insertions": 1, "deletions": 0},
            {"path": "moved.txt", "kind": "KIND_RENAMED", "insertions": 0, "deletions": 0},
            {"path": "with space.txt", "kind": "KIND_MODIFIED", "insertions": 1, "deletions": 0},
        ],
        "bytes": len(patch),
        "sha256": hashlib.sha256(patch).hexdigest(),
        "ended": True,
    }


def diff(repository: Path, base: str, head: str) -> bytes:
    """Returns what git prints, as bytes."""
    command = ["git", "-C", str(repository), "diff", "--no-color", "--no-ext-diff", "--find-renames", f"{base}..{head}"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
