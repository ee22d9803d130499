"""The gRPC server: services, health, reflection, options, and the address that it serves."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
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
from taskgrove_server.api.interceptors import StatusInterceptor

SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    task_list_service_pb2.DESCRIPTOR.services_by_name["TaskListService"].full_name,
    event_service_pb2.DESCRIPTOR.services_by_name["EventService"].full_name,
    worktree_service_pb2.DESCRIPTOR.services_by_name["WorktreeService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
)

#: Bytes of the longest path that a Unix socket may have.
LONGEST_SOCKET_PATH = 107

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
    # With the default of 1000, calls that arrive together are cancelled, as when all watchers come back at once.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # The default of 30 seconds cancels calls of such a crowd that have not waited for a tenth of that (grpcio 1.80).
    ("grpc.server_max_unrequested_time_in_server", 3600),
)


class AddressUnusable(Exception):
    """The server cannot serve at the address; the message says why."""


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

    def __init__(self, interceptor: StatusInterceptor, servicers: Servicers) -> None:
        self._server = grpc.aio.server(interceptors=[interceptor], options=OPTIONS)
        self._health = health.aio.HealthServicer()
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(servicers.tasks, self._server)
        task_list_service_pb2_grpc.add_TaskListServiceServicer_to_server(servicers.task_lists, self._server)
        event_service_pb2_grpc.add_EventServiceServicer_to_server(servicers.events, self._server)
        worktree_service_pb2_grpc.add_WorktreeServiceServicer_to_server(servicers.worktrees, self._server)
        server_service_pb2_grpc.add_ServerServiceServicer_to_server(servicers.server, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        _add_reflection(self._server)

    async def start(self, address: str) -> str:
        """Serves at an address; returns the target that clients connect to. Raises AddressUnusable."""
        target = self._bind(address)
        await self._server.start()
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return target

    async def drain(self) -> None:
        """Tells health checks that the server is about to stop."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Ends what goes on after `grace` seconds, then everything."""
        await self._server.stop(grace)

    def _bind(self, address: str) -> str:
        path = address.removeprefix("unix:")
        on_socket = path != address
        if on_socket:
            _prepare_socket(path)
        else:
            _require_free_loopback(address)
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise AddressUnusable(f"Cannot serve at {address}: {error}") from error
        if on_socket:
            Path(path).chmod(0o600)
            return address
        return f"{address.rpartition(':')[0]}:{port}"


def _prepare_socket(path: str) -> None:
    if not path.startswith("/"):
        raise AddressUnusable(f"unix:{path}: the socket's path must be absolute.")
    if len(path.encode()) > LONGEST_SOCKET_PATH:
        raise AddressUnusable(
            f"The socket path {path} has more than {LONGEST_SOCKET_PATH} bytes, which the system does not take: "
            "choose a shorter one with --listen unix:PATH."
        )
    directory = Path(path).parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_mode & 0o077:
            raise AddressUnusable(
                f"The directory {directory} of the socket is open to other users, and whoever reaches the socket "
                f"can start programs: run 'chmod 700 {directory}', or choose another one."
            )
        _remove_stale_socket(path)
    except OSError as error:
        raise AddressUnusable(f"Cannot serve at unix:{path}: {error}") from error


def _remove_stale_socket(path: str) -> None:
    """Removes a socket that a killed server left. gRPC would take the place of one that is served, too."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if not Path(path).is_socket():
                raise AddressUnusable(f"{path} is not a socket: choose another path with --listen unix:PATH.") from None
            Path(path).unlink()
        else:
            raise AddressUnusable(f"Another server serves at unix:{path}: choose another path with --listen unix:PATH.")


def _require_free_loopback(address: str) -> None:
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    # Of a larger port gRPC takes the lower 16 bits.
    if not colon or not port.isdecimal() or int(port) > 65535 or bracketed != (":" in bare):
        raise AddressUnusable(
            f"{address!r} is no address: use 'unix:PATH' or 'HOST:PORT', such as 127.0.0.1:7431 or [::1]:7431."
        )
    try:
        loopback = bare == "localhost" or ipaddress.ip_address(bare).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise AddressUnusable(
            f"{address}: TCP is served on loopback addresses only (127.0.0.1, [::1], localhost), because there is "
            "no TLS yet. Reach it from other machines through an SSH tunnel."
        )
    # gRPC does not say why it cannot bind.
    try:
        for family, kind, _, _, place in socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(place)
    except OSError as error:
        raise AddressUnusable(f"Cannot serve at {address}: {error.strerror or error}.") from error


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
