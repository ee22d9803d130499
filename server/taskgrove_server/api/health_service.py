"""The standard health service, with List, which grpcio-health-checking does not have (1.80)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from taskgrove_server.api import descriptions
from taskgrove_server.domain import errors

SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_LIST: MethodDescriptor = descriptions.POOL.FindMethodByName(f"{SERVICE}.List")
_ListRequest: Any = message_factory.GetMessageClass(_LIST.input_type)
_ListResponse: Any = message_factory.GetMessageClass(_LIST.output_type)

_Response = health_pb2.HealthCheckResponse


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells load balancers and service managers whether services serve; "" stands for the whole server."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._names = ("", *services)
        self._status: Any = _Response.NOT_SERVING
        self._ends = False
        self._changed = asyncio.Condition()

    async def tell(self, *, serving: bool) -> None:
        """Has everybody told how the services are, all of which live and fall together."""
        status = _Response.SERVING if serving and not self._ends else _Response.NOT_SERVING
        if status != self._status:
            async with self._changed:
                self._status = status
                self._changed.notify_all()

    async def end(self) -> None:
        """Has everybody told that the services are about to stop, whatever is told from now on."""
        self._ends = True
        await self.tell(serving=False)

    async def Check(self, request: Any, context: Any) -> Any:
        """Tells how a service is."""
        if request.service not in self._names:
            raise errors.ServiceUnknown(request.service)
        return _Response(status=self._status)

    async def List(self, request: Any, context: Any) -> Any:
        """Tells how all services are."""
        response = _ListResponse()
        for name in self._names:
            response.statuses[name].status = self._status
        return response

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Tells how a service is, and each time that this changes; of one that there is not, that it is not known."""
        told = None
        while True:
            async with self._changed:
                while (status := self._of(request.service)) == told:
                    await self._changed.wait()
            told = status
            yield _Response(status=told)

    def _of(self, service: str) -> Any:
        return self._status if service in self._names else _Response.SERVICE_UNKNOWN


def add_to(servicer: HealthServicer, server: grpc.aio.Server) -> None:
    """Has a server answer the service."""
    listing = grpc.unary_unary_rpc_method_handler(
        servicer.List,
        request_deserializer=_ListRequest.FromString,
        response_serializer=_ListResponse.SerializeToString,
    )
    # First, for a later version of the package may bring its own.
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"List": listing}),))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
