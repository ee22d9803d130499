"""The bodies of requests: from bytes to messages, within limits.

A server of gRPC's unpacks a compressed message before it looks at how large that has become: a kilobyte can take a
megabyte of memory, and gRPC's own limit is no help (grpcio 1.80). So gRPC is told to leave messages packed, and they
are unpacked here, up to the limit. What is larger than gRPC's own limit is refused by it, without a reason.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import DecodeError

from taskgrove_server.domain import errors

#: Bytes of a request that are taken; the largest that the protos allow has less than half of it.
LARGEST = 2 << 20

#: gRPC's options: what a little more takes is told why it is refused.
OPTIONS = (
    ("grpc.max_receive_message_length", 8 * LARGEST),
    ("grpc.per_message_decompression", 0),
)

#: How gzip and zlib begin, and what zlib calls them. The first is no message: there is no field of the type 7.
_PACKED = ((b"\x1f\x8b", 16 + zlib.MAX_WBITS), (b"\x78", zlib.MAX_WBITS))


def reading(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Returns a deserializer that returns what is wrong with a request: gRPC would answer UNKNOWN to what it raises."""

    def read(data: bytes) -> Any:
        try:
            plain = _unpacked(data)
            if len(plain) > LARGEST:
                raise errors.RequestTooLarge("message", LARGEST)
            return deserialize(plain)
        except DecodeError:
            return errors.InvalidRequest(
                ("request", "is not a message of this method's type; its strings have to be UTF-8")
            )
        except errors.RequestTooLarge as error:
            return error

    return read


def accepted(request: Any) -> Any:
    """Returns a request; raises what is wrong with it."""
    if isinstance(request, errors.TaskgroveError):
        raise request
    return request


async def each_accepted(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yields the requests of a stream; raises what is wrong with one."""
    async for request in requests:
        yield accepted(request)


def _unpacked(data: bytes) -> bytes:
    for start, window in _PACKED:
        if data.startswith(start):
            return _inflated(data, window)
    return data


def _inflated(data: bytes, window: int) -> bytes:
    """Returns what was packed, or its beginning if it is too large; what is not packed after all, as it is."""
    inflating = zlib.decompressobj(window)
    try:
        plain = inflating.decompress(data, LARGEST + 1)
    except zlib.error:
        return data
    return plain if inflating.eof or len(plain) > LARGEST else data
