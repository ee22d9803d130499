"""What a program reads: JSON, and an agent's lines untouched."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections.abc import Iterable
from typing import Any

import click
from google.protobuf import json_format, message

from taskgrove.v1 import change_pb2

#: Lines that are printed together, as many as a page of the server's has.
_TOGETHER = 500


def as_dict(resource: message.Message, *, zeros: bool = False) -> dict[str, Any]:
    """Returns a resource in protobuf's JSON form, with the names of the protos.

    Fields without a value are left out; with `zeros`, numbers that are 0, flags that are false and the like stay.
    """
    return json_format.MessageToDict(
        resource, preserving_proto_field_name=True, always_print_fields_with_no_presence=zeros
    )


def file_as_dict(file: change_pb2.ChangedFile) -> dict[str, Any]:
    """Returns a changed file as `as_dict` does with `zeros`, in a fraction of its time: there may be very many."""
    kind = change_pb2.ChangedFile.Kind
    return {
        "path": file.path,
        "raw_path": base64.b64encode(file.raw_path).decode(),
        "old_path": file.old_path,
        "kind": kind.Name(file.kind) if file.kind in kind.values() else file.kind,
        "binary": file.binary,
        "insertions": file.insertions,
        "deletions": file.deletions,
        "old_mode": file.old_mode,
        "mode": file.mode,
    }


def print_json(value: message.Message | dict[str, Any]) -> None:
    """Prints a resource or an object as one line of JSON."""
    click.echo(json.dumps(as_dict(value) if isinstance(value, message.Message) else value))


def print_json_lines(values: Iterable[dict[str, Any]]) -> None:
    """Prints many objects, a line each, some together: each print of its own takes longer than its line."""
    waiting = iter(values)
    while lines := [json.dumps(value) for value in itertools.islice(waiting, _TOGETHER)]:
        click.echo("\n".join(lines))


def print_line(line: bytes) -> None:
    """Writes one line of an agent to standard output at once, byte for byte."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
