"""ServerService: see server_service.proto for what it promises."""

from __future__ import annotations

import asyncio
import importlib.metadata
from dataclasses import dataclass
from typing import Any, Protocol

from taskgrove.v1 import server_service_pb2 as messages
from taskgrove.v1 import server_service_pb2_grpc
from taskgrove_server.agents.agent import Agent, Installation
from taskgrove_server.agents.registry import Registry
from taskgrove_server.agents.versions import Known, Versions
from taskgrove_server.api import conversions, texts
from taskgrove_server.api.front import Reads, request_key, stored
from taskgrove_server.api.texts import from_time
from taskgrove_server.api.validation import server as valid
from taskgrove_server.domain import clock
from taskgrove_server.domain.hold import Hold, HoldId
from taskgrove_server.guarding import Trouble, Troubles
from taskgrove_server.runner.disk_usage import DiskUsage, DiskUsages
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

#: What is in trouble while the store cannot be read.
READING = "store-reader"

_LOOKED_FOR = Known(
    Installation(problem="The server is still looking for its program, whose file system may not answer: ask again.")
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What tells how the server is: what it has trouble with, and how much disk it takes."""

    troubles: Troubles
    disk_usages: DiskUsages


class Home(Protocol):
    """Which data directory the server has."""

    @property
    def path(self) -> str:
        """Returns its path, without symbolic links."""
        ...

    @property
    def id(self) -> str:
        """Returns its id, which no copy of it has."""
        ...

    @property
    def copied_from(self) -> str | None:
        """Returns the path of the directory that it was made from, None unless it began as a copy."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where the server is at home, and where it may go."""

    roots: AllowedRoots
    home: Home


class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """Describes the server."""

    def __init__(
        self,
        reads: Reads,
        dispatcher: Dispatcher,
        agents: Registry,
        versions: Versions,
        site: Site,
        condition: Condition,
    ) -> None:
        self._reads = reads
        self._dispatcher = dispatcher
        self._agents = agents
        self._site = site
        self._troubles = condition.troubles
        self._disk_usages = condition.disk_usages
        self._versions = versions
        self._version = importlib.metadata.version("taskgrove")
        self._start_time = clock.now()
        #: Where the server serves, as clients take it; set once it does.
        self.addresses: tuple[str, ...] = ()
        #: As they were when they could last be read.
        self._queued = 0
        self._holds: list[Hold] = []

    async def GetServerInfo(
        self, request: messages.GetServerInfoRequest, context: Any
    ) -> messages.GetServerInfoResponse:
        """Returns what the server is, what it can do, and how busy it is."""
        await self._look_at_the_queue()
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
            queued_tasks=self._queued,
            git_version=git.version if git else "",
            space_short=self._dispatcher.space_short,
            allowed_roots=self._site.roots.directories,
            holds=map(conversions.from_hold, self._holds[:MOST_HOLDS]),
            troubles=[_trouble(trouble) for trouble in self._troubles.current()],
            data_directory=messages.DataDirectory(
                path=texts.valid(self._site.home.path),
                id=self._site.home.id,
                copied_from=texts.valid(self._site.home.copied_from or ""),
            ),
            disk_usage=_disk_usage(self._disk_usages.current),
            addresses=map(texts.valid, self.addresses),
        )

    async def LiftHold(self, request: messages.LiftHoldRequest, context: Any) -> messages.LiftHoldResponse:
        """Ends a hold before its time."""
        valid.lift_hold(request)
        await stored(self._reads.store.holds.lift(HoldId(request.hold_id), request_key("LiftHold", request)))
        return messages.LiftHoldResponse()

    async def _look_at_the_queue(self) -> None:
        """Counts the tasks that wait, and looks at what is held.

        A server that cannot has to be able to tell what its trouble is.
        """
        try:
            self._queued, self._holds = await self._reads(_queue, self._reads.store)
        except Exception as error:  # noqa: BLE001 - what was found last is told
            self._troubles.note(READING, error)
        else:
            self._troubles.clear(READING)

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


def _disk_usage(usage: DiskUsage | None) -> messages.DiskUsage | None:
    if usage is None:
        return None
    return messages.DiskUsage(**usage.measured, measure_time=from_time(usage.measure_time))


def _queue(store: Store) -> tuple[int, list[Hold]]:
    return store.slots.waiting(MOST_QUEUED), store.holds.all()


def _trouble(trouble: Trouble) -> messages.Trouble:
    return messages.Trouble(
        name=trouble.name,
        message=texts.valid(trouble.message),
        count=trouble.count,
        begin_time=from_time(trouble.begin_time),
    )
