"""A client that receives lines as cheaply as Python can, and makes sure that none is missing.

A program of its own: receiver.py PLAN, a plan being JSON. It connects each watcher, prints `connected`, waits for a
line on standard input, sends the requests, prints `opened` when all have been answered, and in the end what it
received. Standard input being closed ends it early. Both protocols are read by the same code from raw sockets, since
grpc.aio and the usual clients for HTTP would be slower than what is to be measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import time
from array import array
from collections.abc import Sequence
from typing import Any

from benchmarks.peers import http2
from benchmarks.peers.emitter import MARK, SIZE
from benchmarks.peers.plan import Plan

_NUMBER = slice(len(MARK), len(MARK) + 9)
#: Where the clock stands in a line, after the number and `","ns":"`.
_CLOCK = slice(len(MARK) + 17, len(MARK) + 36)

#: Bytes that all connections read into, one after the other.
_BUFFER = 4 << 20

#: Connections that are made at the same time.
_AT_ONCE = 100


class Room:
    """What the watchers of one process share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.buffer = bytearray(_BUFFER)
        self.view = memoryview(self.buffer)
        self.first = 0
        self.last = 0
        self.unopened = plan.watchers
        self.unfinished = plan.watchers
        self.opened = asyncio.Event()
        self.finished = asyncio.Event()
        #: When each line was written, by the first watcher's word.
        self.written = array("q", bytes(8 * (plan.lines + 1)))


class Watcher(asyncio.BufferedProtocol):
    """One stream. Checks the numbers of each piece's first and last line, and by its size how many there are."""

    #: Bytes of a line with what is around it.
    size = SIZE

    def __init__(self, room: Room, *, leads: bool) -> None:
        self.line = 0
        self.opened = False
        self.finished = False
        self.fault = ""
        #: Of each piece: when it came, its first line and its last.
        self.receipts = array("q")
        self._room = room
        self._leads = leads
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    @property
    def transport(self) -> asyncio.Transport:
        """Returns the connection."""
        assert self._transport is not None
        return self._transport

    def send_request(self) -> None:
        """Asks for the stream."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns the shared buffer behind what was left over; it is filled and read before another one asks."""
        del sizehint
        self._room.buffer[: len(self._rest)] = self._rest
        return self._room.view[len(self._rest) :]

    def buffer_updated(self, nbytes: int) -> None:
        """Takes in what has come."""
        now = time.monotonic_ns()
        end = len(self._rest) + nbytes
        used = self.take(self._room.buffer, end, now)
        self._rest = bytes(self._room.view[used:end])
        if self._room.plan.pause and not self.finished:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self._room.plan.pause, self.transport.resume_reading)

    def take(self, buffer: bytearray, end: int, now: int) -> int:
        """Takes in what the buffer holds; returns how much of it."""
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the stream if it has not ended."""
        self.finish(f"connection lost: {exc}" if exc else "")

    def take_lines(self, buffer: bytearray, start: int, end: int, now: int) -> None:
        """Checks whole lines, of which the first begins at `start`."""
        count, odd = divmod(end - start, self.size)
        first, last = _number(buffer, start), _number(buffer, end - self.size)
        if odd or first != self.line + 1 or last != self.line + count:
            self.finish(f"after line {self.line} came {end - start} bytes, lines {first} to {last}")
        self.line = last
        room = self._room
        room.first = room.first or now
        room.last = now
        if room.plan.latencies:
            self.receipts.extend((now, first, last))
            if self._leads:
                for number in range(first, last + 1):
                    room.written[number] = int(buffer[start + _CLOCK.start : start + _CLOCK.stop])
                    start += self.size

    def open(self) -> None:
        """Notes that the request was answered."""
        if not self.opened:
            self.opened = True
            self._room.unopened -= 1
            if not self._room.unopened:
                self._room.opened.set()

    def finish(self, fault: str = "") -> None:
        """Notes that the stream has ended."""
        self.fault = self.fault or fault
        if not self.finished:
            self.finished = True
            if self.line != self._room.plan.lines:
                self.fault = self.fault or f"the stream ended after line {self.line}"
            self.open()
            self._room.unfinished -= 1
            if not self._room.unfinished:
                self._room.finished.set()


class GrpcWatcher(Watcher):
    """Receives WatchTask's messages, or messages of nothing but lines."""

    def __init__(self, room: Room, *, leads: bool) -> None:
        super().__init__(room, leads=leads)
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens the connection, with a window so wide that it need not be renewed unless the plan says otherwise."""
        super().connection_made(transport)
        self.transport.write(http2.opening(self._room.plan.window or http2.WIDEST_WINDOW))

    def send_request(self) -> None:
        """Calls the method."""
        plan = self._room.plan
        self.transport.write(http2.call(f"127.0.0.1:{plan.port}", plan.path, plan.token, bytes.fromhex(plan.request)))

    def take(self, buffer: bytearray, end: int, now: int) -> int:
        """Takes in whole frames."""
        used = 0
        for kind, flags, start, stop in http2.frames(buffer, end):
            used = stop
            if kind == http2.DATA:
                self._body += self._room.view[start:stop]
                self._take_messages(now)
            elif kind == http2.HEADERS:
                self.open()
            elif kind == http2.GOAWAY:
                self.finish("the server closes the connection")
            elif answer := http2.answer(kind, flags, bytes(buffer[start:stop])):
                self.transport.write(answer)
            if http2.ends_stream(kind, flags):
                if self.line != self._room.plan.lines:
                    # The trailers are compressed, but their texts can be read for the most part.
                    self.finish(f"the stream ended after line {self.line}: {kind} {bytes(buffer[start:stop])!r}")
                self.finish()
        return used

    def _take_messages(self, now: int) -> None:
        used = 0
        for start, end in http2.messages(self._body):
            # In a WatchTaskResponse the lines are what comes last, behind a few numbers.
            first = self._body.find(MARK, start, min(start + 64, end))
            if first >= 0:
                self.take_lines(self._body, first, end, now)
            used = end
        if used:
            del self._body[:used]


class SseWatcher(Watcher):
    """Receives events of a line each."""

    _prefix = len(b"data: ")
    size = SIZE + _prefix + 1

    def send_request(self) -> None:
        """Asks in HTTP/1.0, so that the body comes as it is."""
        self.transport.write(f"GET {self._room.plan.path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def take(self, buffer: bytearray, end: int, now: int) -> int:
        """Takes in whole events."""
        start = 0
        if not self.opened:
            start = buffer.find(b"\r\n\r\n", 0, end) + 4
            if start < 4:
                return 0
            if not buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
                self.finish(f"refused: {bytes(buffer[: min(end, 100)])!r}")
            self.open()
        stop = buffer.rfind(b"\n\n", start, end) + 2
        if stop < start + 2:
            return start
        self.take_lines(buffer, start + self._prefix, stop + self._prefix, now)
        return stop


def _number(buffer: bytearray, start: int) -> int:
    return int(buffer[start + _NUMBER.start : start + _NUMBER.stop])


async def receive(plan: Plan) -> dict[str, Any]:
    """Carries out a plan; returns what came of it."""
    room = Room(plan)
    kind = {"grpc": GrpcWatcher, "sse": SseWatcher}[plan.protocol]
    watchers = [kind(room, leads=number == 0) for number in range(plan.watchers)]
    loop = asyncio.get_running_loop()
    for first in range(0, plan.watchers, _AT_ONCE):
        some = watchers[first : first + _AT_ONCE]
        await asyncio.gather(*(_connect(loop, watcher, plan.port) for watcher in some))
    print("connected", flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    await commands.readline()
    used = time.process_time()
    ended = asyncio.ensure_future(commands.read())
    for watcher in watchers:
        watcher.send_request()
    await _first_of(ended, asyncio.ensure_future(room.opened.wait()))
    print("opened", flush=True)
    await _first_of(ended, asyncio.ensure_future(room.finished.wait()))
    return {
        "seconds": (room.last - room.first) / 1e9,
        "deliveries": sum(watcher.line for watcher in watchers),
        "faults": sorted({watcher.fault for watcher in watchers if watcher.fault}),
        "short": sum(watcher.line != plan.lines for watcher in watchers),
        "cpu": time.process_time() - used,
        **(_latencies(room, watchers) if plan.latencies else {}),
    }


async def _connect(loop: asyncio.AbstractEventLoop, watcher: Watcher, port: int) -> None:
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.create_connection(lambda: watcher, sock=connection)


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _latencies(room: Room, watchers: Sequence[Watcher]) -> dict[str, float]:
    """Returns percentiles of the milliseconds from a line's write to its receipt, over all lines of all watchers."""
    found = array("q")
    for watcher in watchers:
        receipts = iter(watcher.receipts)
        for now, first, last in zip(receipts, receipts, receipts, strict=True):
            found.extend(now - room.written[number] for number in range(first, last + 1))
    ordered = sorted(found)
    if not ordered:
        return {}
    return {name: ordered[int((len(ordered) - 1) * part)] / 1e6 for name, part in (("p50", 0.5), ("p99", 0.99))}


def main() -> None:
    """Carries out the plan that is given as JSON."""
    gc.disable()
    print(json.dumps(asyncio.run(receive(Plan(**json.loads(sys.argv[1]))))), flush=True)


if __name__ == "__main__":
    main()
