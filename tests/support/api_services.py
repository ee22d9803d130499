"""All services that the stubs know, found in them, so that no test forgets a new one."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor

import taskgrove.v1

_MODULES = sorted(name for _, name, _ in pkgutil.iter_modules(taskgrove.v1.__path__) if name.endswith("_service_pb2"))

FILES: tuple[FileDescriptor, ...] = tuple(
    importlib.import_module(f"taskgrove.v1.{module}").DESCRIPTOR for module in _MODULES
)

SERVICES: tuple[ServiceDescriptor, ...] = tuple(service for file in FILES for service in file.services_by_name.values())

#: Every RPC by its name, which no two of them share.
METHODS: dict[str, MethodDescriptor] = {method.name: method for service in SERVICES for method in service.methods}


def stubs(channel: Any) -> tuple[Any, ...]:
    """Returns a stub of each service."""
    return tuple(
        getattr(importlib.import_module(f"taskgrove.v1.{module}_grpc"), f"{service.name}Stub")(channel)
        for module, file in zip(_MODULES, FILES, strict=True)
        for service in file.services_by_name.values()
    )
