"""Decodes the google.rpc.Status that a refused call carries in its trailing metadata.

The messages are declared here, under names and in a descriptor pool of their own, so that the client needs no
googleapis-common-protos and cannot collide with it. Only field numbers and types reach the wire; they are those
of google/rpc/status.proto, google/rpc/error_details.proto, any.proto and duration.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

#: The trailing metadata key in which gRPC carries the status, for all languages.
METADATA_KEY = "grpc-status-details-bin"

#: The ErrorInfo domain of this service; reasons of another domain (a proxy's, say) mean something else.
DOMAIN = "taskgrove.dev"

_PACKAGE = "taskgrove.status"
_Field = descriptor_pb2.FieldDescriptorProto


def _declare(name: str, *fields: tuple[str, int, str]) -> descriptor_pb2.DescriptorProto:
    """Builds a message of (name, number, type) fields; "*" before a type repeats it, a capital names a message."""
    declared = descriptor_pb2.DescriptorProto(name=name)
    for field_name, number, kind in fields:
        base = kind.removeprefix("*")
        added = declared.field.add(name=field_name, number=number)
        added.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
        if base[0].isupper():
            added.type = _Field.TYPE_MESSAGE
            added.type_name = f".{_PACKAGE}.{base}"
        else:
            added.type = _Field.Type.Value(f"TYPE_{base.upper()}")
    return declared


_FILE = descriptor_pb2.FileDescriptorProto(
    name="taskgrove/status.proto",
    package=_PACKAGE,
    syntax="proto3",
    message_type=[
        _declare("Status", ("code", 1, "int32"), ("message", 2, "string"), ("details", 3, "*Any")),
        _declare("Any", ("type_url", 1, "string"), ("value", 2, "bytes")),
        _declare("ErrorInfo", ("reason", 1, "string"), ("domain", 2, "string"), ("metadata", 3, "*Entry")),
        # A map travels as repeated entries.
        _declare("Entry", ("key", 1, "string"), ("value", 2, "string")),
        _declare("BadRequest", ("field_violations", 1, "*FieldViolation")),
        _declare("FieldViolation", ("field", 1, "string"), ("description", 2, "string")),
        _declare("RetryInfo", ("retry_delay", 1, "Duration")),
        _declare("Duration", ("seconds", 1, "int64"), ("nanos", 2, "int32")),
    ],
)
_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_FILE.SerializeToString())


@dataclass(frozen=True, slots=True)
class Details:
    """What a refused call says beyond its code and message; empty where it says nothing."""

    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    violations: tuple[tuple[str, str], ...] = ()
    #: Seconds after which the call may be made again.
    retry_delay: float | None = None


def decode(trailing_metadata: Iterable[tuple[str, str | bytes]]) -> Details:
    """Reads the details from trailing metadata. What is absent, unknown or malformed is left out."""
    encoded = next((value for key, value in trailing_metadata if key == METADATA_KEY), None)
    if not isinstance(encoded, bytes):
        return Details()
    try:
        return _read(_parse("Status", encoded))
    except message.DecodeError:
        return Details()


def _parse(name: str, encoded: bytes) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")).FromString(encoded)


def _read(status: Any) -> Details:
    reason: str | None = None
    metadata: dict[str, str] = {}
    violations: list[tuple[str, str]] = []
    retry_delay: float | None = None
    for packed in status.details:
        match packed.type_url.rpartition("/")[2]:
            case "google.rpc.ErrorInfo":
                info = _parse("ErrorInfo", packed.value)
                if info.domain == DOMAIN:
                    reason = info.reason
                    metadata = {entry.key: entry.value for entry in info.metadata}
            case "google.rpc.BadRequest":
                found = _parse("BadRequest", packed.value).field_violations
                violations += [(violation.field, violation.description) for violation in found]
            case "google.rpc.RetryInfo":
                delay = _parse("RetryInfo", packed.value).retry_delay
                retry_delay = max(0.0, delay.seconds + delay.nanos / 1e9)
            case _:
                pass
    return Details(reason, metadata, tuple(violations), retry_delay)
