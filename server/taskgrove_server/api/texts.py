"""What all conversions share: texts that can be sent, and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from google.protobuf import timestamp_pb2

#: Halves of surrogate pairs but those that stand for bytes that are no UTF-8, as in names of files.
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def valid(text: str) -> str:
    """Returns a text that can be sent, with U+FFFD for what is no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALVES.sub("\ufffd", text).encode(errors="surrogateescape").decode(errors="replace")
    return text


def cut(text: str, size: int) -> str:
    """Returns the first `size` bytes of a text, less a character that would be cut in two."""
    return text.encode()[:size].decode(errors="ignore") if len(text) * 4 > size else text


def from_time(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    """Returns the wire's time."""
    if time is None:
        return None
    since = time - _EPOCH
    return timestamp_pb2.Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)
