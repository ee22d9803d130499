"""One line of the server's log for each call that changes something: who made it, what it was about, how it ended.

Calls that only read, and those that are no message, are not told of. Nothing that people have written, such as a title
or a prompt, is in a line, and nothing that a caller sends breaks it or makes it long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

log = logging.getLogger(__name__)

#: Characters of what a caller has sent that are told.
LONGEST = 64

#: Tells of a call: its request, what it was answered if it was, its context, and the outcome.
Teller = Callable[[Any, Any, Any, str], None]

_READS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


def teller(method: MethodDescriptor | None) -> Teller:
    """Returns what tells of the calls of a method, None of one that is not known."""
    if method is None or method.GetOptions().idempotency_level == _READS:
        return _say_nothing
    name, fields = method.name, _told_fields(method)

    def tell(request: Any, answer: Any, context: Any, outcome: str) -> None:
        # What is no message asks for no change.
        if isinstance(request, Message) and log.isEnabledFor(logging.INFO):
            words = [*_caller(context), *_about(request, fields), *_made(answer)]
            log.info("%s %s outcome=%s", name, " ".join(words), outcome)

    return tell


def word(text: str) -> str:
    """Returns what a caller has sent as one word of a line, without anything that could pass for another line."""
    escaped = text[:LONGEST].encode("unicode_escape").decode("ascii").replace(" ", "\\x20")
    return escaped if len(text) <= LONGEST else f"{escaped}..."


def _say_nothing(_request: Any, _answer: Any, _context: Any, _outcome: str) -> None:
    pass


def _told_fields(method: MethodDescriptor) -> tuple[str, ...]:
    """Returns the fields of a request that say what it is about, and whether it only asks what would be done."""
    texts = [field.name for field in method.input_type.fields if field.type == FieldDescriptor.TYPE_STRING]
    ids = [name for name in texts if name.endswith("_id")]
    return (*ids, *(("dry_run",) if "dry_run" in method.input_type.fields_by_name else ()))


def _caller(context: Any) -> Iterator[str]:
    yield f"peer={context.peer()}"
    # Whoever has brought a certificate that the server trusts.
    for name in context.auth_context().get("x509_common_name", ()):
        yield f"client={word(name.decode(errors='replace'))}"


def _about(request: Message, fields: tuple[str, ...]) -> Iterator[str]:
    for field in fields:
        if value := getattr(request, field):
            yield f"{field}={word(str(value))}"


def _made(answer: Any) -> Iterator[str]:
    """Yields what an answer names that was made, or changed, and that the request could not name."""
    if isinstance(answer, Message):
        for field, value in answer.ListFields():
            if field.name in ("task", "task_list"):
                yield f"{field.name}={value.id}"
