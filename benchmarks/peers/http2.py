"""Just enough of HTTP/2 (RFC 9113) to receive one gRPC stream on a connection as cheaply as Python can."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: What flow control lets a peer send before anything is read; the largest there is, and the default.
WIDEST_WINDOW = (1 << 31) - 1
DEFAULT_WINDOW = (1 << 16) - 1

DATA = 0
HEADERS = 1
RST_STREAM = 3
SETTINGS = 4
PING = 6
GOAWAY = 7
_WINDOW_UPDATE = 8

_ACK = 1
_END_STREAM = 1
_END_HEADERS = 4

_HEAD = struct.Struct(">BHBBL")
_HEAD_SIZE = _HEAD.size
_MESSAGE_HEAD = struct.Struct(">BL")
_INITIAL_WINDOW_SIZE = 4
_MAX_FRAME_SIZE = 5
_LARGEST_FRAME = (1 << 24) - 1


def opening(window: int) -> bytes:
    """Returns what a client sends first. Nothing is ever added to the window afterwards."""
    settings = struct.pack(">HLHL", _INITIAL_WINDOW_SIZE, window, _MAX_FRAME_SIZE, _LARGEST_FRAME)
    widening = window - DEFAULT_WINDOW
    update = _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">L", widening)) if widening else b""
    return PREFACE + _frame(SETTINGS, 0, 0, settings) + update


def call(authority: str, path: str, token: str, message: bytes) -> bytes:
    """Returns a gRPC call with one message, on stream 1. The headers are literals of RFC 7541, section 6.2.2."""
    block = b"\x83\x86" + _indexed(0x04, path) + _indexed(0x01, authority)  # POST, http
    block += _indexed(0x0F, "application/grpc", 31 - 15) + b"\x00" + _text("te") + _text("trailers")
    if token:
        block += _indexed(0x0F, f"Bearer {token}", 23 - 15)
    body = _MESSAGE_HEAD.pack(0, len(message)) + message
    return _frame(HEADERS, _END_HEADERS, 1, block) + _frame(DATA, _END_STREAM, 1, body)


def answer(kind: int, flags: int, payload: bytes) -> bytes:
    """Returns what a frame of the peer has to be answered with, if anything."""
    return _frame(kind, _ACK, 0, payload if kind == PING else b"") if kind in {SETTINGS, PING} and not flags else b""


def frames(buffer: bytearray, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields the kind, the flags, and the start and end of the payload of each frame that is there as a whole."""
    start = 0
    while start + _HEAD_SIZE <= end:
        high, low, kind, flags, _ = _HEAD.unpack_from(buffer, start)
        payload = start + _HEAD_SIZE
        start = payload + (high << 16) + low
        if start > end:
            return
        yield kind, flags, payload, start


def messages(body: bytearray) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each gRPC message that is there as a whole."""
    start = 0
    while start + _MESSAGE_HEAD.size <= len(body):
        _, size = _MESSAGE_HEAD.unpack_from(body, start)
        message = start + _MESSAGE_HEAD.size
        start = message + size
        if start > len(body):
            return
        yield message, start


def ends_stream(kind: int, flags: int) -> bool:
    """Tells whether nothing follows on the stream."""
    return kind == RST_STREAM or (kind in {DATA, HEADERS} and bool(flags & _END_STREAM))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _indexed(prefix: int, value: str, rest: int | None = None) -> bytes:
    return bytes((prefix,) if rest is None else (prefix, rest)) + _text(value)


def _text(value: str) -> bytes:
    assert len(value) < 127, "longer texts take more than a byte for their length"
    return bytes((len(value),)) + value.encode()
