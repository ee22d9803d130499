"""What all conversions share: texts that are cut, and times."""

from __future__ import annotations

from datetime import datetime

from google.protobuf import timestamp_pb2


def cut(text: str, size: int) -> str:
    """Returns the first `size` bytes of a text, less a character that would be cut in two."""
    return text.encode()[:size].decode(errors="ignore") if len(text) * 4 > size else text


def from_time(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    """Returns the wire's time."""
    if time is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(time)
    return message
