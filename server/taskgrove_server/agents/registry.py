"""The agents that there are, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskgrove_server.agents.agent import Agent, LaunchRefused
from taskgrove_server.agents.claude import Claude
from taskgrove_server.agents.command import Command
from taskgrove_server.domain.failures import Failure, FailureKind


class Registry:
    """Finds backends by the name that a config gives."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self._agents = {agent.name: agent for agent in agents}

    @property
    def names(self) -> frozenset[str]:
        """Returns the names of all agents."""
        return frozenset(self._agents)

    @property
    def all(self) -> list[Agent]:
        """Returns all agents, ordered by name."""
        return [self._agents[name] for name in sorted(self._agents)]

    def find(self, name: str) -> Agent:
        """Returns the agent of this name; raises LaunchRefused when there is none."""
        try:
            return self._agents[name]
        except KeyError:
            known = ", ".join(f"`{known}`" for known in sorted(self.names))
            message = f"There is no agent `{name}`: this server has {known}."
            raise LaunchRefused(Failure(FailureKind.INVALID_CONFIG, message)) from None


def shipped(*, claude: str = "claude", pass_environment: Sequence[str] = ()) -> Registry:
    """Returns the agents that come with the server; see Claude for the settings."""
    return Registry([Claude(claude, pass_environment), Command(pass_environment)])
