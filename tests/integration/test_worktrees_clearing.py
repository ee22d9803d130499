"""What an agent has shut is saved as well, before it is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support import repositories, stubborn_trees
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.worktrees import Worktrees

_PROGRAM = """
import sys
from pathlib import Path
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import clearing, work
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.worktrees import Worktrees

root, repository, *parts = sys.argv[1:]
git = Worktrees(Path(root), Author()).git
subject = work.look(git, repository, "a-task", Worktree(*parts))
print(clearing.discard(git, subject, dry_run=False, note=lambda ref: print("noted", ref)).leftover_path)
"""


def test_shut_directories_are_saved(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "worktrees"
    made = Worktrees(root, Author()).create(str(repository), TaskId("a-task"), "Do it")
    shut = Path(made.path, "new/shut/inner")
    shut.mkdir(parents=True)
    (shut / "file").write_text("mine\n")
    shut.chmod(0o300)
    shut.parent.chmod(0)
    prefix = stubborn_trees.NOBODY_SPECIAL if os.geteuid() == 0 else ()
    command = [*prefix, sys.executable, "-c", _PROGRAM]
    arguments = (str(root), str(repository), made.path, made.branch, made.base_commit)
    said = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout
    assert said.splitlines() == ["noted refs/taskgrove/saved/a-task/1", "None"]
    assert repositories.git(repository, "show", "refs/taskgrove/saved/a-task/1:new/shut/inner/file") == "mine"
    assert not Path(made.path).exists()
