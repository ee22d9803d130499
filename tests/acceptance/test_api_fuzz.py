"""Requests that nobody would think of, to a live server: no crash, no hang, no INTERNAL, no change by a refusal."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from support import api_snapshots, repositories, tasks_work
from support.api_calls import Api
from support.api_services import METHODS
from support.server import RunningServer

#: Requests for each method, in each of the two ways; more of them find more.
EXAMPLES = int(os.environ.get("TASKGROVE_FUZZ_EXAMPLES", "100"))

#: Codes that an error of the server's own, or a hang, would show.
OURS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
}

#: The server's known ids and paths, by the names of the fields that take them; filled in by the fixture.
KNOWN: dict[str, list[str]] = {}

TEXTS = st.one_of(
    st.sampled_from(
        [
            *["", " ", "a", "\0", "\n", "\x1b[2J", "../../etc/passwd", "/", "-", "--help", "HEAD", "main", "main~1"],
            *["refs/heads/main", "@{-1}", "'; DROP TABLE task; --", "%s%n", "${HOME}", "$(reboot)", "a" * 5000],
            *["\N{SNOWMAN}" * 700, "\u202e", "\ufeff", "taskgrove/", ".git", "README.md", "{}", "0" * 40, "true"],
        ]
    ),
    st.text(max_size=60),
)

RULES = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose one slot is taken, with a resting and a queued task, that runs nothing but `true`."""
    repository = repositories.make_repository(tmp_path_factory.mktemp("fuzz") / "repository")
    with RunningServer("--slots", "1", "--claude", "true") as running, running.client() as client:
        task_list = client.create_task_list("Fuzzed", working_dir=repository, defaults=tasks_work.shell("echo x >> x"))
        resting = tasks_work.rest(client, client.enqueue(task_list.id, "Resting", subtasks=["one"]).id)
        blocks = client.create_task_list("Blocks", defaults=tasks_work.shell("sleep 3600"))
        blocking = client.enqueue(blocks.id, "Blocking")
        queued = client.enqueue(task_list.id, "Queued", subtasks=["one", "two"])
        KNOWN.update(
            task_id=[resting.id, queued.id],
            task_list_id=[task_list.id],
            task_list_ids=[task_list.id],
            working_dir=[str(repository), str(repository.parent), "/proc", "/dev/null"],
            etag=[resting.etag, queued.etag],
            expected_head=[resting.worktree.head_commit],
            target_branch=["main", resting.worktree.branch],
        )
        yield running
        client.cancel(blocking.id)


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=60)
        known = st.deferred(lambda: st.sampled_from(KNOWN.get(field.name) or [""]))
        return st.one_of(known, known, TEXTS)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.sampled_from([0.0, -1.0, math.inf, math.nan, 1e308])
    bits = 31 if kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_ENUM) else 63
    edges = [0, 1, 2, 3, 50, 500, 501, 2**bits - 1, -(2**bits), -1]
    return st.one_of(st.sampled_from(edges), st.integers(-(2**bits), 2**bits - 1))


def is_repeated(field: Any) -> bool:
    """Tells whether a field has many values; the way to ask changes with protobuf 7, and its types know neither."""
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Any]:
    """Generates messages, each field of which is unset, right, or wrong in some way."""

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        message = message_factory.GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if depth > 3 or (not draw(st.booleans()) and field.name not in ("task_id", "task_list_id")):
                continue
            single = messages(field.message_type, depth + 1) if field.message_type else scalars(field)
            if is_repeated(field):
                values = draw(st.lists(single, max_size=4))
                getattr(message, field.name).extend(values)
            elif field.message_type:
                getattr(message, field.name).CopyFrom(draw(single))
            else:
                setattr(message, field.name, draw(single))
        return message

    return build()


def call(server: RunningServer, method: str, send: Callable[[], Any]) -> None:
    """Makes a call; a refusal must be of the documented kind, and change nothing."""
    before = api_snapshots.tables(server.data)
    refused: grpc.RpcError | None = None
    try:
        send()
    except grpc.RpcError as error:
        refused = error
    if refused is None:
        return
    assert refused.code() not in OURS, f"{method}: {refused.code()}: {refused.details()}"
    after = api_snapshots.tables(server.data)
    changed = {name for name in after if after[name] != before[name]}
    assert not changed, f"{method} was refused and changed {changed}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", METHODS)
def test_no_request_meets_an_error_of_the_servers_own(server: RunningServer, method: str) -> None:
    with Api(server.target) as api:

        @RULES
        @given(messages(METHODS[method].input_type))
        def fuzz(message: Any) -> None:
            call(server, method, lambda: api.first_answer(message))

        fuzz()
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]
    with server.client() as client:
        assert client.get_server_info().slots == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", METHODS)
def test_no_bytes_meet_an_error_of_the_servers_own(server: RunningServer, method: str) -> None:
    valid = messages(METHODS[method].input_type).map(lambda message: message.SerializeToString())

    def mutate(draw: st.DrawFn) -> bytes:
        body = bytearray(draw(valid))
        for _ in range(draw(st.integers(0, 5))):
            if body:
                body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
        return bytes(body[: draw(st.integers(0, len(body)))])

    with Api(server.target) as api:

        @RULES
        @given(st.one_of(st.binary(max_size=200), st.composite(mutate)()))
        def fuzz(body: bytes) -> None:
            call(server, method, lambda: api.first_of_bytes(method, body))

        fuzz()
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]
