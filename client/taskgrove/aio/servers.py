"""Calls of ServerService."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from taskgrove import requests
from taskgrove.aio.connected import Connected
from taskgrove.v1.server_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from taskgrove.v1.server_service_pb2_grpc import ServerServiceStub

if TYPE_CHECKING:
    # The stub that an asyncio channel makes has a type of its own, which only type checkers know.
    from taskgrove.v1.server_service_pb2_grpc import ServerServiceAsyncStub


class ServerCalls(Connected):
    """What a client can ask of the server itself."""

    @functools.cached_property
    def _server(self) -> ServerServiceAsyncStub:
        self._check_open()  # gRPC crashes when a stub is made for a closed channel.
        return ServerServiceStub(self._channel)

    async def get_server_info(self) -> GetServerInfoResponse:
        """Returns what the server is, which agents it has and what they can do, and how busy it is."""
        return await self._call(self._server.GetServerInfo, GetServerInfoRequest())

    async def lift_hold(self, hold_id: str, *, request_id: str | None = None) -> None:
        """Lifts a hold of `get_server_info` before its time: what it holds back is tried at once."""
        await self._call(self._server.LiftHold, requests.lift_hold(hold_id, request_id))
