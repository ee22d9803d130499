"""The gRPC server: services, health, reflection, options, and the addresses that it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from taskgrove.v1 import (
    event_service_pb2_grpc,
    server_service_pb2_grpc,
    task_list_service_pb2_grpc,
    task_service_pb2_grpc,
    worktree_service_pb2_grpc,
)
from taskgrove_server.api import addresses, descriptions, health_service, interceptors, request_bodies
from taskgrove_server.api.interceptors import StatusInterceptor
from taskgrove_server.api.socket_file import SocketFile
from taskgrove_server.guarding import Troubles
from taskgrove_server.tls import Tls

SERVICES = tuple(service.full_name for file in descriptions.SERVICE_FILES for service in file.services_by_name.values())

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
    *request_bodies.OPTIONS,
    *interceptors.OPTIONS,
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
        self._health = health_service.HealthServicer(SERVICES)
        self._troubles = troubles
        #: The first serves all addresses, each later one a socket whose file was restored. None of them stops before
        #: the end: a call that comes while it does is cancelled.
        self._servers = [self._make()]
        self._sockets: list[SocketFile] = []

    async def start(self, listen: Sequence[str], tls: Tls | None) -> tuple[str, ...]:
        """Serves at all of some addresses, or at none; returns the targets that clients connect to, in their order.

        Raises AddressUnusable. A Unix socket has no use for TLS.
        """
        addresses.require_apart(listen)
        sockets = {address: SocketFile(path) for address in listen if (path := addresses.socket_path(address))}
        # Whatever speaks against an address is found before anything is made.
        for address in listen:
            if address in sockets:
                sockets[address].check()
            else:
                addresses.require_free(address, tls=tls is not None)
        (server,) = self._servers
        # Nobody is answered before all of them are there.
        targets = [self._listen(server, address, sockets.get(address), tls) for address in listen]
        await server.start()
        await self.tell_health()
        for socket in self._sockets:
            socket.warn_of_neighbours()
        return tuple(targets)

    async def restore_sockets(self) -> None:
        """Listens anew where others have taken a socket's file away; calls that go on do so to their end.

        Raises AddressUnusable when it cannot.
        """
        gone = [socket for socket in self._sockets if not socket.is_there()]
        failures = [error for socket in gone if (error := await self._restored(socket))]
        if failures:
            raise failures[0]

    async def _restored(self, socket: SocketFile) -> Exception | None:
        """Listens anew at a socket; returns why it cannot, which keeps no other from being restored."""
        server = self._make()
        try:
            socket.listen(server)
            await server.start()
        except Exception as error:  # noqa: BLE001 - raised once all were tried
            socket.remove()
            await server.stop(None)
            return error
        log.warning("The file of the socket %s was gone; it is there again", socket.target)
        self._servers.append(server)
        return None

    async def drain(self) -> None:
        """Tells health checks that the server is about to stop."""
        await self._health.end()

    async def stop(self, grace: float) -> None:
        """Ends what goes on after `grace` seconds, then everything."""
        for socket in self._sockets:
            socket.remove()
        await asyncio.gather(*(server.stop(grace) for server in self._servers))

    def _listen(self, server: grpc.aio.Server, address: str, socket: SocketFile | None, tls: Tls | None) -> str:
        """Has a server listen at an address; returns the target."""
        if socket is None:
            return _bind(server, address, tls)
        socket.listen(server)
        self._sockets.append(socket)
        return socket.target

    def _make(self) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=[self._interceptor], options=OPTIONS)
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(self._servicers.tasks, server)
        task_list_service_pb2_grpc.add_TaskListServiceServicer_to_server(self._servicers.task_lists, server)
        event_service_pb2_grpc.add_EventServiceServicer_to_server(self._servicers.events, server)
        worktree_service_pb2_grpc.add_WorktreeServiceServicer_to_server(self._servicers.worktrees, server)
        server_service_pb2_grpc.add_ServerServiceServicer_to_server(self._servicers.server, server)
        health_service.add_to(self._health, server)
        _add_reflection(server)
        return server

    async def tell_health(self) -> None:
        """Tells health checks how things are."""
        await self._health.tell(serving=not any(trouble.vital for trouble in self._troubles.current()))


def _bind(server: grpc.aio.Server, address: str, tls: Tls | None) -> str:
    try:
        port = server.add_secure_port(address, tls.credentials()) if tls else server.add_insecure_port(address)
    except RuntimeError as error:
        why = f"{error}; do certificate and key belong together?" if tls else error
        raise addresses.AddressUnusable(f"Cannot serve at {address}: {why}") from error
    return f"{address.rpartition(':')[0]}:{port}"


def _add_reflection(server: Any) -> None:
    """Serves reflection under both of its names; grpcio-reflection has v1alpha only (grpc/grpc#38576)."""
    names = (*SERVICES, health_service.SERVICE, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=descriptions.POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names, pool=descriptions.POOL).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(
        "grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": handler}
    )
    server.add_generic_rpc_handlers((generic,))
