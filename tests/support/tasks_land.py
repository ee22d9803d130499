"""Tasks with work in a repository, to be reviewed, landed and cleared away."""

from __future__ import annotations

from pathlib import Path

import taskgrove
from support import repositories, tasks_work
from taskgrove.v1.task_pb2 import Task

#: Begins a shell line of an agent that commits: the server's own author is not the agent's.
IDENTITY = (
    "export GIT_AUTHOR_NAME=Agent GIT_AUTHOR_EMAIL=agent@example.org "
    "GIT_COMMITTER_NAME=Agent GIT_COMMITTER_EMAIL=agent@example.org; "
)


class Project:
    """A repository with a list of tasks that run shell lines."""

    def __init__(
        self, client: taskgrove.Client, path: Path, settings: taskgrove.WorktreeSettings | None = None
    ) -> None:
        self.client = client
        self.path = repositories.make_repository(path)
        self.task_list = client.create_task_list("Project", working_dir=self.path, worktree_settings=settings)

    def run(self, command: str, title: str = "Do it") -> Task:
        """Runs a shell line as a task, and returns the task at rest."""
        task = self.client.enqueue(self.task_list.id, title, overrides=tasks_work.shell(IDENTITY + command))
        return tasks_work.rest(self.client, task.id)

    def git(self, *arguments: str) -> str:
        """Runs git in the repository."""
        return repositories.git(self.path, *arguments)

    def commit(self, name: str, content: str) -> str:
        """Commits a file on the branch that is checked out."""
        return repositories.commit(self.path, {name: content}, f"Change {name}")

    def files(self, revision: str = "HEAD") -> list[str]:
        """Returns the names of the files of a commit."""
        return self.git("ls-tree", "-r", "--name-only", revision).splitlines()

    def refs(self, task_id: str) -> list[str]:
        """Returns the refs to which work of a task was saved."""
        return self.git("for-each-ref", "--format=%(refname)", f"refs/taskgrove/saved/{task_id}/").splitlines()
