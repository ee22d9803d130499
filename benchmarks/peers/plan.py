"""What a receiver is to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Some watchers of one stream, each on a connection of its own."""

    #: `grpc` or `sse`.
    protocol: str
    #: Where the server is, on loopback.
    port: int
    #: The method's, or the resource's.
    path: str
    #: How many lines each has to receive.
    lines: int
    watchers: int = 1
    #: The request message in hexadecimal digits.
    request: str = ""
    token: str = ""
    #: Tells that the times between write and receipt are wanted.
    latencies: bool = False
    #: Bytes that HTTP/2's flow control lets the server send in all; 0 for as many as it wants.
    window: int = 0
    #: Seconds between two reads of a slow watcher.
    pause: float = 0.0
