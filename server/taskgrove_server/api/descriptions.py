"""What reflection describes: the services, with all that their calls carry, details of errors among it."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from taskgrove.v1 import (
    error_reason_pb2,
    event_service_pb2,
    server_service_pb2,
    task_list_service_pb2,
    task_service_pb2,
    worktree_service_pb2,
)

#: The files of the services, in the order in which they are listed.
SERVICE_FILES: tuple[FileDescriptor, ...] = (
    task_service_pb2.DESCRIPTOR,
    task_list_service_pb2.DESCRIPTOR,
    event_service_pb2.DESCRIPTOR,
    worktree_service_pb2.DESCRIPTOR,
    server_service_pb2.DESCRIPTOR,
)

#: What travels in the trailing metadata of a refused call, which no service names.
_DETAILS: tuple[FileDescriptor, ...] = (
    error_reason_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
)

_Field = descriptor_pb2.FieldDescriptorProto


class _Pool:
    """A pool that finds methods by their names as well: reflection is asked for them, and Python's does not (7.36)."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802 - protobuf's name
        """Returns the file of whatever has a name; raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: Any) -> None:
        if file.name not in added:
            added.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            pool.AddSerializedFile(file.serialized_pb)

    for file in (*SERVICE_FILES, *_DETAILS, reflection_pb2.DESCRIPTOR):
        add(file)
    pool.AddSerializedFile(_health().SerializeToString())
    return _Pool(pool)


def _health() -> descriptor_pb2.FileDescriptorProto:
    """Returns the file of the health service with the method List, as its proto has it since 2025."""
    file = descriptor_pb2.FileDescriptorProto.FromString(health_pb2.DESCRIPTOR.serialized_pb)
    (service,) = file.service
    if any(method.name == "List" for method in service.method):
        return file
    file.message_type.add(name="HealthListRequest")
    response = file.message_type.add(name="HealthListResponse")
    entry = f".{file.package}.HealthListResponse.StatusesEntry"
    response.field.append(_field("statuses", 1, entry, label=_Field.LABEL_REPEATED))
    statuses = response.nested_type.add(name="StatusesEntry")
    statuses.options.map_entry = True
    statuses.field.append(_Field(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING))
    statuses.field.append(_field("value", 2, f".{file.package}.HealthCheckResponse"))
    service.method.add(
        name="List",
        input_type=f".{file.package}.HealthListRequest",
        output_type=f".{file.package}.HealthListResponse",
    )
    return file


def _field(
    name: str, number: int, kind: str, label: Any = _Field.LABEL_OPTIONAL
) -> descriptor_pb2.FieldDescriptorProto:
    return _Field(name=name, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=kind)


#: All of it. Not the pool that Python's messages are in: there the health service lacks a method.
POOL: Any = _pool()
