"""Pages by key: a token says after which row the next page begins, and for which filters it was made."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from taskgrove_server.domain import errors

DEFAULT_SIZE = 50
LARGEST_SIZE = 500

#: Bytes near which a page ends: a default client takes 4 MiB in one message.
PAGE_BYTES = 1 << 20

_DIGEST = 12

#: After which row a page begins: whole numbers that fit 64 bits, and short texts.
Position = tuple[int | str, ...]

T = TypeVar("T")
M = TypeVar("M", bound=Message)


def size(page_size: int) -> int:
    """Returns how many rows a page may have."""
    return min(page_size, LARGEST_SIZE) or DEFAULT_SIZE


def position(request: Any, *shape: type[int | str]) -> Any:
    """Returns after which row the page begins, None for the first page; raises InvalidPageToken.

    `shape` holds the types of the position's parts. The token keeps no secret: whoever makes one up gets a page
    that begins elsewhere, so a text in it is no better than one in the request.
    """
    token = request.page_token
    if not token:
        return None
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise errors.InvalidPageToken from error
    digest, packed = raw[:_DIGEST], raw[_DIGEST:]
    if digest != _digest(request, packed):
        raise errors.InvalidPageToken
    return _unpack(packed, shape)


def cut(request: Any, rows: Iterable[tuple[Position, T]], convert: Callable[[T], M]) -> tuple[list[M], str]:
    """Returns a page and the token of the next one.

    `rows` holds (position, thing) pairs, one more than the page's size where there are more.
    """
    return cut_encoded(request, ((at, convert(row)) for at, row in rows), lambda message: message.ByteSize())


def cut_encoded(request: Any, rows: Iterable[tuple[Position, T]], measure: Callable[[T], int]) -> tuple[list[T], str]:
    """As `cut`, for things that are sent as they are, of which `measure` returns how many bytes that takes."""
    page: list[T] = []
    most = size(request.page_size)
    used = 0
    last: Position = ()
    for at, row in rows:
        used += measure(row)
        if len(page) == most or (page and used > PAGE_BYTES):
            return page, _token(request, last)
        page.append(row)
        last = at
    return page, ""


def _token(request: Any, at: Position) -> str:
    packed = json.dumps(at, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(request, packed) + packed).decode()


def _unpack(packed: bytes, shape: tuple[type, ...]) -> Position:
    try:
        parts: Any = json.loads(packed)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidPageToken from error
    if not isinstance(parts, list) or tuple(map(type, cast("list[object]", parts))) != shape:
        raise errors.InvalidPageToken
    at: Position = tuple(cast("list[int | str]", parts))
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in at):
        raise errors.InvalidPageToken
    return at


def _digest(request: Any, packed: bytes) -> bytes:
    """Binds a token to the request's type and filters, and tells a made-up one. It keeps no secret."""
    filters = type(request)()
    filters.CopyFrom(request)
    filters.page_size, filters.page_token = 0, ""
    name = type(request).__name__.encode()
    return hashlib.sha256(name + packed + filters.SerializeToString(deterministic=True)).digest()[:_DIGEST]
