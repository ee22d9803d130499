"""What callers name on the machine's file systems: whether they may, and whether it is of use for tasks."""

from __future__ import annotations

from taskgrove.v1 import run_config_pb2
from taskgrove_server.api.inquiries import Inquiries
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.worktrees import repositories, roots
from taskgrove_server.worktrees.roots import AllowedRoots


class Directories:
    """Looks at directories and repositories off the event loop.

    Every method may raise TooManyCalls, and RepositoryFailed for a file system that does not answer.
    """

    def __init__(self, inquiries: Inquiries, allowed: AllowedRoots, branch_prefix: str) -> None:
        self._ask = inquiries
        self._allowed = allowed
        #: Of lists that name none of their own.
        self._branch_prefix = branch_prefix

    async def canonical(self, path: str) -> str:
        """Returns a path without symbolic links."""
        return await self._ask(path, roots.canonical, path)

    async def repository(self, path: str) -> str:
        """Returns the canonical path of a repository; raises what the roots and repositories.inspect do."""
        return await self._ask(path, self._usable, path)

    async def check_agent_path(self, config: run_config_pb2.RunConfig) -> None:
        """Raises PathNotAllowed for an absolute path outside the roots; a relative one starts in the repository."""
        if config.agent_path.startswith("/"):
            await self._ask(config.agent_path, self._allowed.check, config.agent_path)

    async def check_branches(self, repository: str, base_branch: str, branch_prefix: str) -> None:
        """Raises BranchNotFound and BranchPrefixTaken for what tasks cannot start from, or name their branches by."""
        if base_branch:
            await self._ask(repository, repositories.check_base, repository, base_branch)
        await self._ask(repository, repositories.check_prefix, repository, branch_prefix or self._branch_prefix)

    async def check_subdirectory(self, subdirectory: str, task_list: TaskList, working_dir: str) -> None:
        """Raises an error unless a task of the list that starts now has the directory."""
        base_branch = task_list.worktree_settings.base_branch
        await self._ask(working_dir, repositories.check_subdirectory, working_dir, base_branch, subdirectory)

    def _usable(self, path: str) -> str:
        self._allowed.check(path)
        return repositories.inspect(path)
