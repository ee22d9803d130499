"""ServerService: see server_service.proto for what it promises."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

from taskgrove.v1 import server_service_pb2 as messages
from taskgrove.v1 import server_service_pb2_grpc
from taskgrove_server.agents.agent import Agent
from taskgrove_server.agents.registry import Registry
from taskgrove_server.agents.versions import Versions
from taskgrove_server.api.front import Reads
from taskgrove_server.api.offloading import Offloading
from taskgrove_server.api.texts import from_time
from taskgrove_server.domain import clock
from taskgrove_server.runner.dispatcher import Dispatcher
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees import repositories
from taskgrove_server.worktrees.roots import AllowedRoots

#: Grows by one with each release that adds something to the protos.
API_REVISION = 1

#: Waiting tasks are counted up to here.
MOST_QUEUED = 10_000


class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """Describes the server."""

    def __init__(
        self,
        store: Store,
        reads: Reads,
        offloading: Offloading,
        dispatcher: Dispatcher,
        agents: Registry,
        roots: AllowedRoots,
    ) -> None:
        self._store = store
        self._reads = reads
        self._offload = offloading
        self._dispatcher = dispatcher
        self._agents = agents
        self._roots = roots
        self._versions = Versions()
        self._version = importlib.metadata.version("taskgrove")
        self._start_time = clock.now()

    async def GetServerInfo(
        self, request: messages.GetServerInfoRequest, context: Any
    ) -> messages.GetServerInfoResponse:
        """Returns what the server is, what it can do, and how busy it is."""
        queued = await self._reads(self._store.slots.waiting, MOST_QUEUED)
        git_version, agents = await self._offload(self._look)
        return messages.GetServerInfoResponse(
            version=self._version,
            api_revision=API_REVISION,
            start_time=from_time(self._start_time),
            agents=agents,
            slots=self._dispatcher.slots,
            busy_slots=self._dispatcher.busy,
            queued_tasks=queued,
            git_version=git_version,
            space_short=self._dispatcher.space_short,
            allowed_roots=self._roots.directories,
        )

    def _look(self) -> tuple[str, list[messages.Agent]]:
        return repositories.git_version(), [self._describe(agent) for agent in self._agents.all]

    def _describe(self, agent: Agent) -> messages.Agent:
        found = agent.find(os.environ)
        can = agent.capabilities
        return messages.Agent(
            name=agent.name,
            available=found.problem is None,
            version=self._versions.of(found),
            path=found.path or "",
            problem=found.problem or "",
            capabilities=messages.Agent.Capabilities(
                sessions=can.sessions,
                models=can.models,
                structured_output=can.structured_output,
                usage=can.usage,
                interrupts=can.interrupts,
            ),
        )
