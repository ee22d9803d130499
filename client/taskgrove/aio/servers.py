"""Calls of ServerService."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

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
