"""The gRPC server: services, health, reflection, options, and the address that it serves."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from taskgrove.v1 import (
    event_service_pb2,
    event_service_pb2_grpc,
    server_service_pb2,
    server_service_pb2_grpc,
    task_list_service_pb2,
    task_list_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
    worktree_service_pb2,
    worktree_service_pb2_grpc,
)
from taskgrove_server.api import addresses
from taskgrove_server.api.interceptors import StatusInterceptor
from taskgrove_server.api.socket_file import SocketFile
from taskgrove_server.guarding import Troubles
from taskgrove_server.tls import Tls

SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    task_list_service_pb2.DESCRIPTOR.services_by_name["TaskListService"].full_name,
    event_service_pb2.DESCRIPTOR.services_by_name["EventService"].full_name,
    worktree_service_pb2.DESCRIPTOR.services_by_name["WorktreeService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
)

OPTIONS = (
    # With the default of 1, a second server would bind the same port and get a share of the connections.
    ("grpc.so_reuseport", 0),
    # What the clients' keepalive needs; they ping every 30 seconds. The default calls that an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Without it an unanswered ping is noticed after 60 seconds, whatever the line above says (grpcio 1.80).
    ("grpc.http2.ping_timeout_ms", 20_000),
    # The largest request that the protos allow has less than 1 MiB; the default is 4.
    ("grpc.max_receive_message_length", 2 << 20),
    # A token and what proxies and tracers add; more is refused before anything looks at it.
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    # No connection takes more than half of the places that there are for watchers by default.
    ("grpc.max_concurrent_streams", 2048),
    # With the default of 1000, calls that arrive together are cancelled, as when all watchers come back at once.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # The default of 30 seconds cancels calls of such a crowd that have not waited for a tenth of that (grpcio 1.80).
    ("grpc.server_max_unrequested_time_in_server", 3600),
)


log = logging.getLogger(__name__)


class _Leaving(logging.Filter):
    """Drops the error, with its trace, that gRPC logs for each client that leaves while a message is on its way."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, grpc.aio.InternalError)


_LEAVING = _Leaving()


@dataclass(frozen=True, slots=True)
class Servicers:
    """What answers the calls of each service."""

    tasks: task_service_pb2_grpc.TaskServiceServicer
    task_lists: task_list_service_pb2_grpc.TaskListServiceServicer
    events: event_service_pb2_grpc.EventServiceServicer
    worktrees: worktree_service_pb2_grpc.WorktreeServiceServicer
    server: server_service_pb2_grpc.ServerServiceServicer


class Server:
    """A grpc.aio server of all services. Made, started and stopped on one event loop."""

    def __init__(self, interceptor: StatusInterceptor, servicers: Servicers, troubles: Troubles) -> None:
        logging.getLogger("grpc._cython.cygrpc").addFilter(_LEAVING)
        self._interceptor = interceptor
        self._servicers = servicers
        self._health = health.aio.HealthServicer()
        self._troubles = troubles
        self._server = self._make()
        #: Those that went before. Whoever is connected to one stays so: a call that comes while it stops is cancelled.
        self._earlier: list[grpc.aio.Server] = []
        self._socket: SocketFile | None = None

    async def start(self, address: str, tls: Tls | None) -> str:
        """Serves at an address; returns the target that clients connect to. Raises AddressUnusable.

        A Unix socket has no use for TLS.
        """
        path = address.removeprefix("unix:")
        if path != address:
            self._socket = SocketFile(path)
            await self._listen(self._server, self._socket)
            target = address
        else:
            target = self._bind(address, tls)
            await self._server.start()
        await self.tell_health()
        return target

    async def restore_socket(self) -> None:
        """Listens anew when others have taken the socket's file away; calls that go on do so to their end.

        Raises AddressUnusable when it cannot.
        """
        if self._socket is None or self._socket.is_there():
            return
        server = self._make()
        try:
            await self._listen(server, self._socket)
        except BaseException:
            await server.stop(None)
            raise
        log.warning("The file of the socket was gone; it is there again")
        self._earlier.append(self._server)
        self._server = server

    async def drain(self) -> None:
        """Tells health checks that the server is about to stop."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Ends what goes on after `grace` seconds, then everything."""
        if self._socket is not None:
            self._socket.remove()
        await asyncio.gather(*(server.stop(grace) for server in (self._server, *self._earlier)))

    async def _listen(self, server: grpc.aio.Server, socket: SocketFile) -> None:
        socket.prepare()
        try:
            server.add_insecure_port(socket.address)
            await server.start()
            # Another server may have come meanwhile.
            socket.prepare()
            socket.place()
        except (RuntimeError, OSError) as error:
            raise addresses.AddressUnusable(f"Cannot serve at {socket.target}: {error}") from error

    def _make(self) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=[self._interceptor], options=OPTIONS)
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(self._servicers.tasks, server)
        task_list_service_pb2_grpc.add_TaskListServiceServicer_to_server(self._servicers.task_lists, server)
        event_service_pb2_grpc.add_EventServiceServicer_to_server(self._servicers.events, server)
        worktree_service_pb2_grpc.add_WorktreeServiceServicer_to_server(self._servicers.worktrees, server)
        server_service_pb2_grpc.add_ServerServiceServicer_to_server(self._servicers.server, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        _add_reflection(server)
        return server

    async def tell_health(self) -> None:
        """Tells health checks how things are."""
        vital = any(trouble.vital for trouble in self._troubles.current())
        state = health_pb2.HealthCheckResponse.NOT_SERVING if vital else health_pb2.HealthCheckResponse.SERVING
        for name in ("", *SERVICES):
            await self._health.set(name, state)

    def _bind(self, address: str, tls: Tls | None) -> str:
        addresses.require_free(address, tls=tls is not None)
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.credentials())
        except RuntimeError as error:
            why = f"{error}; do certificate and key belong together?" if tls else error
            raise addresses.AddressUnusable(f"Cannot serve at {address}: {why}") from error
        return f"{address.rpartition(':')[0]}:{port}"


def _add_reflection(server: Any) -> None:
    """Serves reflection under both of its names; grpcio-reflection has v1alpha only (grpc/grpc#38576)."""
    names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(
        "grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": handler}
    )
    server.add_generic_rpc_handlers((generic,))
