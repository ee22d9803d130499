"""Pages by key: a token says after which row the next page begins, and for which filters it was made."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from google.protobuf.message import Message

from taskgrove_server.domain import errors

DEFAULT_SIZE = 50
LARGEST_SIZE = 500

#: Bytes near which a page ends: a default client takes 4 MiB in one message.
PAGE_BYTES = 1 << 20

_POSITION = struct.Struct(">q")
_DIGEST = 12

T = TypeVar("T")
M = TypeVar("M", bound=Message)


def size(page_size: int) -> int:
    """Returns how many rows a page may have."""
    return min(page_size, LARGEST_SIZE) or DEFAULT_SIZE


def position(request: Any) -> int | None:
    """Returns after which row the page begins, None for the first page; raises InvalidPageToken."""
    token = request.page_token
    if not token:
        return None
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise errors.InvalidPageToken from error
    packed, digest = raw[: _POSITION.size], raw[_POSITION.size :]
    if len(packed) != _POSITION.size or digest != _digest(request, packed):
        raise errors.InvalidPageToken
    (value,) = _POSITION.unpack(packed)
    return int(value)


def cut(request: Any, rows: Iterable[tuple[int, T]], convert: Callable[[T], M]) -> tuple[list[M], str]:
    """Returns a page and the token of the next one.

    `rows` holds (position, thing) pairs, one more than the page's size where there are more.
    """
    page: list[M] = []
    used, last = 0, 0
    for at, row in rows:
        message = convert(row)
        used += message.ByteSize()
        if len(page) == size(request.page_size) or (page and used > PAGE_BYTES):
            return page, _token(request, last)
        page.append(message)
        last = at
    return page, ""


def _token(request: Any, at: int) -> str:
    packed = _POSITION.pack(at)
    return base64.urlsafe_b64encode(packed + _digest(request, packed)).decode()


def _digest(request: Any, packed: bytes) -> bytes:
    """Binds a token to the request's type and filters, and tells a made-up one. It keeps no secret."""
    filters = type(request)()
    filters.CopyFrom(request)
    filters.page_size, filters.page_token = 0, ""
    name = type(request).__name__.encode()
    return hashlib.sha256(name + packed + filters.SerializeToString(deterministic=True)).digest()[:_DIGEST]
