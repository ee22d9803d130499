"""A scripted Messages API on loopback, so that the real Claude Code runs without a model.

What it answers is a script, one step for each request; scripts are told apart by API key, so tests may run side
by side. A script that is used up answers "All done.".
"""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

#: How long `wait_for_request` waits, in seconds.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One answer; what is set combines."""

    say: str = ""
    tool: str | None = None
    input: Mapping[str, object] = field(default_factory=dict[str, object])
    #: An HTTP error instead of an answer, with the kind and text that the API gives it.
    status: int | None = None
    error: str = "api_error"
    message: str = "scripted error"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Seconds before anything is sent.
    delay: float = 0.0
    #: Never answers, until the server closes.
    hang: bool = False
    #: How many requests the step answers; None for all that follow.
    repeat: int | None = 1
    stop_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict[str, int])


class ModelApi:
    """The server, to be used in a `with` statement."""

    def __init__(self) -> None:
        self._scripts: dict[str, Iterator[Step]] = {}
        self._requests: dict[str, list[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def script(self, *steps: Step, key: str | None = None) -> str:
        """Sets what is answered to requests with an API key, which is made up if none is given, and returns it."""
        key = key or f"sk-test-{uuid.uuid4().hex}"
        repeated = (
            itertools.repeat(step) if step.repeat is None else itertools.repeat(step, step.repeat) for step in steps
        )
        with self._changed:
            self._scripts[key] = itertools.chain.from_iterable(repeated)
        return key

    def requests(self, key: str) -> list[dict[str, Any]]:
        """Returns the bodies of the requests made with an API key, in order."""
        with self._changed:
            return list(self._requests.get(key, ()))

    def wait_for_request(self, key: str, count: int = 1) -> dict[str, Any]:
        """Returns the body of the request with this number, from 1, as soon as it is there."""
        with self._changed:
            there = self._changed.wait_for(lambda: len(self._requests.get(key, ())) >= count, PATIENCE)
            assert there, f"request {count} did not come within {PATIENCE} s"
            return self._requests[key][count - 1]

    def take(self, key: str, body: dict[str, Any]) -> Step:
        """Records a request and returns its answer."""
        with self._changed:
            self._requests.setdefault(key, []).append(body)
            self._changed.notify_all()
            return next(self._scripts.get(key, iter(())), Step(say="All done."))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: agents that are killed in the middle of a request are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    api: ModelApi
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._send_json(200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.partition("?")[0] != "/v1/messages":
            self._send_json(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})
            return
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        step = self.api.take(self.headers.get("x-api-key") or bearer, body)
        if step.hang or step.delay:
            self.api.closing.wait(None if step.hang else step.delay)
        if step.hang:
            self.close_connection = True
        elif step.status:
            error = {"type": "error", "error": {"type": step.error, "message": step.message}}
            self._send_json(step.status, error, step.headers)
        else:
            self._answer(body, step)

    def _answer(self, body: dict[str, Any], step: Step) -> None:
        content: list[dict[str, Any]] = [{"type": "text", "text": step.say}] if step.say else []
        if step.tool:
            tool_use = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex}", "name": step.tool}
            content.append({**tool_use, "input": dict(step.input)})
        usage = {
            "input_tokens": 100,
            "output_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            **step.usage,
        }
        stop = {
            "stop_reason": step.stop_reason or ("tool_use" if step.tool else "end_turn"),
            "stop_sequence": None,
        }
        message = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "model": body["model"]}
        if not body.get("stream"):
            self._send_json(200, {**message, "content": content, "usage": usage, **stop})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        nothing: list[object] = []
        start = {**message, "content": nothing, "usage": usage, "stop_reason": None, "stop_sequence": None}
        self._send_event("message_start", message=start)
        for index, block in enumerate(content):
            empty: dict[str, object] = {"text": ""} if block["type"] == "text" else {"input": {}}
            delta = (
                {"type": "text_delta", "text": block["text"]}
                if block["type"] == "text"
                else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            )
            self._send_event("content_block_start", index=index, content_block={**block, **empty})
            self._send_event("content_block_delta", index=index, delta=delta)
            self._send_event("content_block_stop", index=index)
        self._send_event("message_delta", delta=stop, usage=usage)
        self._send_event("message_stop")
        self.close_connection = True

    def _send_event(self, kind: str, **values: object) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **values})}\n\n".encode())

    def _send_json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)
