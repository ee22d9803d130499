"""ServerService: see server_service.proto for what it promises."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any

from taskgrove.v1 import server_service_pb2 as messages
from taskgrove.v1 import server_service_pb2_grpc
from taskgrove_server.agents.agent import Agent, Installation
from taskgrove_server.agents.registry import Registry
from taskgrove_server.agents.versions import Known, Versions
from taskgrove_server.api import conversions
from taskgrove_server.api.front import Reads, request_key, stored
from taskgrove_server.api.texts import from_time
from taskgrove_server.api.validation import server as valid
from taskgrove_server.domain import clock
from taskgrove_server.domain.hold import HoldId
from taskgrove_server.runner.dispatcher import Dispatcher
from taskgrove_server.runner.programs import GIT
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.roots import AllowedRoots

#: Grows by one with each release that adds something to the protos.
API_REVISION = 1

#: Waiting tasks are counted up to here.
MOST_QUEUED = 10_000

#: Holds that are told of: tasks may be held one by one.
MOST_HOLDS = 1000

#: Seconds for which a caller waits for what programs tell: enough for a look at their files, and for a quick answer.
PATIENCE = 0.3

_LOOKED_FOR = Known(
    Installation(problem="The server is still looking for its program, whose file system may not answer: ask again.")
)


class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """Describes the server."""

    def __init__(
        self,
        store: Store,
        reads: Reads,
        dispatcher: Dispatcher,
        agents: Registry,
        versions: Versions,
        roots: AllowedRoots,
    ) -> None:
        self._store = store
        self._reads = reads
        self._dispatcher = dispatcher
        self._agents = agents
        self._roots = roots
        self._versions = versions
        self._version = importlib.metadata.version("taskgrove")
        self._start_time = clock.now()

    async def GetServerInfo(
        self, request: messages.GetServerInfoRequest, context: Any
    ) -> messages.GetServerInfoResponse:
        """Returns what the server is, what it can do, and how busy it is."""
        queued = await self._reads(self._store.slots.waiting, MOST_QUEUED)
        holds = await self._reads(self._store.holds.all)
        looks = [asyncio.wrap_future(look) for look in self._versions.look()]
        await asyncio.wait(looks, timeout=PATIENCE)
        git = self._versions.of(GIT)
        return messages.GetServerInfoResponse(
            version=self._version,
            api_revision=API_REVISION,
            start_time=from_time(self._start_time),
            agents=[self._describe(agent) for agent in self._agents.all],
            slots=self._dispatcher.slots,
            busy_slots=self._dispatcher.busy,
            queued_tasks=queued,
            git_version=git.version if git else "",
            space_short=self._dispatcher.space_short,
            allowed_roots=self._roots.directories,
            holds=map(conversions.from_hold, holds[:MOST_HOLDS]),
        )

    async def LiftHold(self, request: messages.LiftHoldRequest, context: Any) -> messages.LiftHoldResponse:
        """Ends a hold before its time."""
        valid.lift_hold(request)
        await stored(self._store.holds.lift(HoldId(request.hold_id), request_key("LiftHold", request)))
        return messages.LiftHoldResponse()

    def _describe(self, agent: Agent) -> messages.Agent:
        known = self._versions.of(agent.name) or _LOOKED_FOR
        found = known.installation
        can = agent.capabilities
        return messages.Agent(
            name=agent.name,
            available=found.problem is None,
            version=known.version,
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
