"""A Taskgrove service that does what a test tells it to, over real gRPC, on a wire that the test can cut."""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import any_pb2, message_factory
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from grpc import aio

from support import api_services
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse

# These packages bring no types.
error_details_pb2: Any = importlib.import_module("google.rpc.error_details_pb2")
status_pb2: Any = importlib.import_module("google.rpc.status_pb2")
rpc_status: Any = importlib.import_module("grpc_status.rpc_status")

#: The contract's limit on a line that is sent whole.
LONGEST_WHOLE_LINE = 1_048_576


@dataclass(frozen=True, slots=True)
class Abort:
    """Ends a call with an error, as the real service does."""

    code: grpc.StatusCode
    message: str = "Scripted."
    reason: str | None = None
    domain: str = "taskgrove.dev"
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    violations: tuple[tuple[str, str], ...] = ()
    retry_delay: float | None = None

    def status(self) -> grpc.Status:
        """Returns the error as gRPC carries it, encoded by Google's own messages."""
        details: list[Message] = []
        if self.reason is not None:
            details.append(error_details_pb2.ErrorInfo(reason=self.reason, domain=self.domain, metadata=self.metadata))
        if self.violations:
            violations = [{"field": name, "description": what} for name, what in self.violations]
            details.append(error_details_pb2.BadRequest(field_violations=violations))
        if self.retry_delay is not None:
            info = error_details_pb2.RetryInfo()
            info.retry_delay.FromNanoseconds(int(self.retry_delay * 1e9))
            details.append(info)
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        made: grpc.Status = rpc_status.to_status(status)
        return made


#: One thing that a scripted stream does: send a message, end with an error, or await something.
Step = WatchTaskResponse | Abort | Callable[[], Awaitable[object]]
#: What a call that asks once gets; what is awaited may end it by hanging only.
Answer = Message | Abort | Callable[[], Awaitable[object]]
#: What a scripted stream does from beginning to end.
Script = Iterable[Step] | Callable[[WatchTaskRequest], Iterable[Step]]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the service received."""

    method: str
    request: Any
    metadata: dict[str, str | bytes]


class ScriptedService:
    """Answers each call with the next thing that stands in its script, and remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: dict[str, deque[Answer]] = {}
        self.watches: deque[Script] = deque()
        #: Set when a stream was cancelled by its client or by a lost connection.
        self.abandoned = asyncio.Event()

    def answer(self, method: str, *answers: Answer) -> None:
        """Sets what the next calls of a method get."""
        self.answers.setdefault(method, deque()).extend(answers)

    def requests(self, method: str) -> list[Any]:
        """Returns the requests of a method, in the order of their arrival."""
        return [call.request for call in self.calls if call.method == method]

    def handlers(self, file: FileDescriptor) -> list[grpc.GenericRpcHandler]:
        """Returns handlers of every method of every service in a file."""
        return [
            grpc.method_handlers_generic_handler(
                service.full_name, {method.name: self._handler(method) for method in service.methods}
            )
            for service in file.services_by_name.values()
        ]

    def _handler(self, method: MethodDescriptor) -> Any:
        if method.server_streaming:
            make: Any = grpc.unary_stream_rpc_method_handler
            behavior: Any = self._watch
        else:
            make = grpc.unary_unary_rpc_method_handler
            behavior = partial(self._answer, method.name)
        return make(
            behavior,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )

    async def _answer(self, method: str, request: Any, context: Any) -> Message:
        self._remember(method, request, context)
        answer = self.answers[method].popleft()
        if isinstance(answer, Message):
            return answer
        await (context.abort_with_status(answer.status()) if isinstance(answer, Abort) else answer())
        raise AssertionError("Aborting raises, and what is awaited has to hang.")

    async def _watch(self, request: WatchTaskRequest, context: Any) -> None:
        self._remember("WatchTask", request, context)
        script = self.watches.popleft()
        try:
            for step in script(request) if callable(script) else script:
                if isinstance(step, WatchTaskResponse):
                    await context.write(step)
                elif isinstance(step, Abort):
                    await context.abort_with_status(step.status())
                else:
                    await step()
        except asyncio.CancelledError:
            self.abandoned.set()
            raise

    def _remember(self, method: str, request: Any, context: Any) -> None:
        self.calls.append(Call(method, request, dict(context.invocation_metadata())))


class ScriptedServer:
    """Serves a ScriptedService on a port of this machine, which it keeps when it is started again."""

    def __init__(self, service: ScriptedService | None = None) -> None:
        self.service = service or ScriptedService()
        self._port = 0
        self._server: aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        server = aio.server()
        for file in api_services.FILES:
            server.add_generic_rpc_handlers(self.service.handlers(file))
        self._port = server.add_insecure_port(self.target)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Ends every call at once, and the listening."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


class Wire:
    """Forwards TCP connections to a target; a test can have them cut, or frozen."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.rpartition(":")
        #: The bytes that each next connection carries to the client before it is cut; then no limit.
        self.limits: deque[int] = deque()
        self.cuts = 0
        self._gates: list[asyncio.Event] = []
        self._forwarding: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        forwarding = list(self._forwarding)
        for task in forwarding:
            task.cancel()
        await asyncio.gather(*forwarding, return_exceptions=True)

    @property
    def target(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def freeze(self) -> None:
        """Lets nothing through on the connections of now, and tells nobody: what a lost route looks like."""
        for gate in self._gates:
            gate.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._forwarding.add(task)
        limit = self.limits.popleft() if self.limits else None
        gate = asyncio.Event()
        gate.set()
        self._gates.append(gate)
        up_reader, up_writer = await asyncio.open_connection(self._host, int(self._port))
        try:
            up = asyncio.create_task(self._forward(reader, up_writer, gate))
            down = asyncio.create_task(self._forward(up_reader, writer, gate, limit))
            try:
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except asyncio.CancelledError:
            pass  # `asyncio.start_server` reports a cancelled handler as an error
        finally:
            self._forwarding.discard(task)
            for end in (writer, up_writer):
                end.transport.abort()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event,
        limit: int | None = None,
    ) -> None:
        while data := await reader.read(65536):
            await gate.wait()
            if limit is not None and len(data) >= limit:
                writer.write(data[:limit])
                await writer.drain()
                self.cuts += 1
                return
            if limit is not None:
                limit -= len(data)
            writer.write(data)
            await writer.drain()


async def hang() -> None:
    """Is a step that does nothing until the client leaves."""
    await asyncio.Event().wait()


def task(state: Task.State = Task.STATE_RUNNING, **fields: Any) -> Task:
    """Makes a task."""
    return Task(id="k3v9m2qxw7ab", state=state, **fields)


def opened(shown: Task, *, last_line: int = 0) -> WatchTaskResponse:
    """Makes the first message of a stream."""
    return WatchTaskResponse(opened=WatchTaskResponse.Opened(task=shown, first_line=1, last_line=last_line))


def changed(shown: Task) -> WatchTaskResponse:
    """Makes the message of a change."""
    return WatchTaskResponse(task=shown)


def heartbeat(last_line: int = 0) -> WatchTaskResponse:
    """Makes a heartbeat."""
    return WatchTaskResponse(heartbeat=WatchTaskResponse.Heartbeat(last_line=last_line))


def rested(shown: Task) -> WatchTaskResponse:
    """Makes the last message of a stream."""
    return WatchTaskResponse(rested=WatchTaskResponse.Rested(task=shown))


def lines(first_line: int, *data: bytes, run_number: int = 1) -> WatchTaskResponse:
    """Makes a message of whole lines."""
    return WatchTaskResponse(
        lines=WatchTaskResponse.Lines(
            run_number=run_number, first_line=first_line, count=len(data), data=b"".join(data)
        )
    )


def fragments(line: int, data: bytes, size: int, *, run_number: int = 1) -> Iterator[WatchTaskResponse]:
    """Yields the pieces of a long line."""
    for offset in range(0, len(data), size):
        yield WatchTaskResponse(
            fragment=WatchTaskResponse.Fragment(
                run_number=run_number,
                line=line,
                offset=offset,
                line_size=len(data),
                data=data[offset : offset + size],
            )
        )


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a task that rests, served from any position as the contract says."""

    content: Sequence[bytes]
    #: How many lines, and how many bytes of a long line, go into one message.
    batch: int = 100
    piece: int = LONGEST_WHOLE_LINE
    longest: int = LONGEST_WHOLE_LINE

    @property
    def running(self) -> Task:
        return task(Task.STATE_RUNNING)

    @property
    def result(self) -> Task:
        return task(Task.STATE_SUCCEEDED, last_line=len(self.content), result="Done.")

    def __call__(self, request: WatchTaskRequest) -> Iterator[WatchTaskResponse]:
        yield opened(self.running, last_line=len(self.content))
        position = request.after_line
        while position < len(self.content):
            batch: list[bytes] = []
            while len(batch) < self.batch and position + len(batch) < len(self.content):
                if len(self.content[position + len(batch)]) > self.longest:
                    break
                batch.append(self.content[position + len(batch)])
            if batch:
                yield lines(position + 1, *batch)
            else:
                yield from fragments(position + 1, self.content[position], self.piece)
            position += len(batch) or 1
        yield rested(self.result)
