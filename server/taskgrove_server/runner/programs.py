"""The programs that the server starts and tells of: the agents', and git."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from taskgrove_server.agents.agent import Agent, Installation
from taskgrove_server.agents.registry import Registry
from taskgrove_server.agents.versions import Versions
from taskgrove_server.guarding import Troubles
from taskgrove_server.processes import sweeping
from taskgrove_server.worktrees import repositories

#: The name under which git is looked at, which no agent has.
GIT = "git"


def versions(agents: Registry, troubles: Troubles) -> Versions:
    """Returns what tells the versions of all."""
    programs: dict[str, Callable[[], Installation]] = {
        agent.name: functools.partial(_find, agent) for agent in agents.all
    }
    return Versions({**programs, GIT: _find_git}, sweeping.sweep_marked, troubles)


def _find(agent: Agent) -> Installation:
    return agent.find(os.environ)


def _find_git() -> Installation:
    path = repositories.git_program()
    if path is None:
        return Installation(problem="git is not on the server's PATH.")
    return Installation(path=path, version_argv=(path, "version"), environment=os.environ)
