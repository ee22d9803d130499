from __future__ import annotations

import inspect
import pickle
import re
import subprocess
import sys
from typing import Any

import grpc
import pytest

from support.scripted_service import Abort
from taskgrove import _status, errors
from taskgrove.v1.error_reason_pb2 import ErrorReason


class RefusedCall(grpc.RpcError):
    """Is what gRPC raises, as far as a client may look."""

    def __init__(self, abort: Abort) -> None:
        self._status = abort.status()

    def code(self) -> grpc.StatusCode:
        return self._status.code

    def details(self) -> str | None:
        return self._status.details

    def trailing_metadata(self) -> Any:
        return self._status.trailing_metadata


def translate(call: RefusedCall) -> errors.TaskgroveError:
    return errors.from_rpc_error(call, "localhost:1")


def tree(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(tree(child) for child in kind.__subclasses__()))


def test_every_reason_of_the_protocol_has_a_class() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name, _ in ErrorReason.items()} - {"UNSPECIFIED"}
    assert set(errors.BY_REASON) == reasons


def test_every_error_is_drawn_in_the_tree_below_its_base() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for row in inspect.cleandoc(errors.__doc__ or "").splitlines():
        name = row.lstrip(" │├└─").split(" ")[0]
        if "──" not in row and not row.strip().startswith("TaskgroveError"):
            continue
        depth = (len(row) - len(row.lstrip(" │├└─"))) // 4 - 1
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in tree(errors.TaskgroveError)}


def test_an_error_carries_what_the_server_said() -> None:
    call = RefusedCall(
        Abort(
            grpc.StatusCode.INVALID_ARGUMENT,
            "title: is empty",
            reason="INVALID_FIELD",
            metadata={"field": "title"},
            violations=(("title", "is empty"), ("defaults.max_turns", "is negative")),
            retry_delay=1.25,
        )
    )
    error = translate(call)
    assert type(error) is errors.InvalidRequest
    assert str(error) == error.message == "title: is empty"
    assert (error.reason, error.code) == ("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT)
    assert error.metadata == {"field": "title"}
    assert error.violations == [("title", "is empty"), ("defaults.max_turns", "is negative")]
    assert error.retry_delay == 1.25
    assert error.__cause__ is call


@pytest.mark.parametrize("code", list(grpc.StatusCode))
@pytest.mark.parametrize(("reason", "domain"), [(None, ""), ("NEWER", "taskgrove.dev"), ("TASK_ACTIVE", "proxy.org")])
def test_without_a_reason_that_it_knows_a_client_falls_back_to_the_code(
    code: grpc.StatusCode, reason: str | None, domain: str
) -> None:
    if code == grpc.StatusCode.OK:
        return
    error = translate(RefusedCall(Abort(code, reason=reason, domain=domain)))
    assert type(error) is errors.BY_CODE.get(code, errors.TaskgroveError)
    assert error.reason == ("NEWER" if reason == "NEWER" else None)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_a_server_that_does_not_answer_is_named(code: grpc.StatusCode) -> None:
    assert re.search(r"at localhost:1\b.*\(Why\.\)$", translate(RefusedCall(Abort(code, "Why."))).message)
    draining = Abort(code, "The server's own words.", reason="SERVER_DRAINING")
    assert translate(RefusedCall(draining)).message == "The server's own words."


def test_a_list_that_was_deleted_is_told_from_one_that_never_was() -> None:
    gone = Abort(grpc.StatusCode.FAILED_PRECONDITION, reason="TASK_LIST_NOT_FOUND")
    never = Abort(grpc.StatusCode.NOT_FOUND, reason="TASK_LIST_NOT_FOUND")
    assert type(translate(RefusedCall(gone))) is errors.TaskListDeleted
    assert type(translate(RefusedCall(never))) is errors.TaskListNotFound


@pytest.mark.parametrize("encoded", [b"\xff\xff\xff", b"\x1a\x7fcut", "text", b""])
def test_details_that_cannot_be_read_are_left_out(encoded: str | bytes) -> None:
    assert _status.decode([("other", "x"), (_status.METADATA_KEY, encoded)]) == _status.Details()


def test_errors_survive_pickling() -> None:
    error = errors.InvalidRequest("No.", violations=[("a", "b")], reason="INVALID_FIELD", metadata={"field": "a"})
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.message, copied.violations, copied.reason, dict(copied.metadata)) == (
        "No.",
        [("a", "b")],
        "INVALID_FIELD",
        {"field": "a"},
    )


@pytest.mark.parametrize(
    "imports",
    [
        "import taskgrove; from google.rpc import error_details_pb2, status_pb2",
        "from google.rpc import error_details_pb2, status_pb2; import taskgrove",
    ],
)
def test_googles_own_messages_may_be_imported_before_or_after(imports: str) -> None:
    use = (
        "from taskgrove import _status\n"
        "status = status_pb2.Status(code=5)\n"
        "status.details.add().Pack(error_details_pb2.ErrorInfo(reason='R', domain='taskgrove.dev'))\n"
        "print(_status.decode([(_status.METADATA_KEY, status.SerializeToString())]).reason)"
    )
    ran = subprocess.run([sys.executable, "-c", f"{imports}\n{use}"], capture_output=True, text=True, timeout=60)
    assert (ran.stdout.strip(), ran.stderr) == ("R", "")
