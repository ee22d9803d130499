"""The commands that follow a task: exit codes, what is printed where, and what Ctrl-C does."""

from __future__ import annotations

import signal
from typing import Any

import pytest

import taskgrove
from support.cli_stand_in import ID, StandIn, Task, a_task, invoke, type_step
from taskgrove import watching
from taskgrove.cli import exits
from taskgrove.v1 import failure_pb2, run_pb2

OUTPUT = b'{"type": "output",  "stream": "stdout", "text": "hello \\u001b[2J"}\n'


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def rests(state: Task.State, **fields: Any) -> list[type_step]:
    return [
        watching.Opened(a_task(), 1, 0),
        watching.TaskChanged(a_task(Task.STATE_RUNNING)),
        taskgrove.Line(1, 1, OUTPUT),
        watching.Rested(a_task(state, **fields)),
    ]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (Task.STATE_SUCCEEDED, exits.SUCCEEDED),
        (Task.STATE_FAILED, exits.FAILED),
        (Task.STATE_CANCELLED, exits.CANCELLED),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_exit_code_tells_how_the_task_rests(
    stand_in: StandIn, state: Task.State, code: int, flags: tuple[str, ...]
) -> None:
    stand_in.watches = [rests(state)]
    assert invoke("watch", ID, *flags).exit_code == code
    stand_in.watches = [rests(state)]
    assert invoke("run", "Fix it", "--list", "listlistlist", *flags).exit_code == code
    stand_in.watches = [rests(state)]
    assert invoke("continue", ID, "More", *flags).exit_code == code


def test_a_person_reads_the_lines_made_harmless_and_a_summary(stand_in: StandIn) -> None:
    stand_in.watches = [rests(Task.STATE_SUCCEEDED, result="hello")]
    result = invoke("watch", ID)
    assert result.stdout.splitlines()[:3] == [f"task {ID}  Fix it", "── run 1 · command", "hello "]
    assert "✔ succeeded" in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_the_lines_byte_for_byte_and_nothing_else(stand_in: StandIn) -> None:
    strange = b"\xff not json \r\n"
    stand_in.watches = [
        [
            watching.Opened(a_task(), 1, 2),
            taskgrove.Line(1, 1, OUTPUT),
            taskgrove.Line(2, 1, strange),
            watching.Rested(
                a_task(
                    Task.STATE_FAILED,
                    failure=failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_AUTH, message="No key \x1b[2J."),
                )
            ),
        ]
    ]
    result = invoke("watch", ID, "--json")
    assert result.stdout_bytes == OUTPUT + strange
    assert result.stderr.splitlines() == [f"Task {ID}: queued.", f"Task {ID}: failed.", "Auth: No key ."]


def test_a_retry_has_a_heading_of_its_own(stand_in: StandIn) -> None:
    stand_in.run = run_pb2.Run(number=2, agent="claude", model="opus", is_retry=True)
    stand_in.watches = [
        [
            watching.Opened(a_task(Task.STATE_RUNNING), 1, 0),
            taskgrove.Line(7, 2, b'{"type": "system", "subtype": "init"}\n'),
            watching.Rested(a_task(Task.STATE_SUCCEEDED)),
        ]
    ]
    assert "── run 2 · retry after a failure · claude · opus\n" in invoke("watch", ID, "--after-line", "6").stdout
    assert stand_in.watched_after == [6]


def test_ctrl_c_in_watch_detaches_and_says_how_to_come_back(stand_in: StandIn) -> None:
    stand_in.watches = [[watching.Opened(a_task(), 1, 0), taskgrove.Line(41, 1, OUTPUT), interrupt]]
    result = invoke("watch", ID)
    assert result.exit_code == exits.INTERRUPTED
    assert f"taskgrove watch {ID} --after-line 41" in result.stderr
    assert ("cancel", ID) not in stand_in.requests


def test_ctrl_c_in_run_cancels_once_and_goes_on_after_the_last_line_shown(stand_in: StandIn) -> None:
    stand_in.watches = [
        [watching.Opened(a_task(), 1, 0), taskgrove.Line(1, 1, OUTPUT), interrupt],
        [
            watching.Opened(a_task(Task.STATE_RUNNING, cancel_requested=True), 1, 1),
            taskgrove.Line(2, 1, OUTPUT),
            watching.Rested(a_task(Task.STATE_CANCELLED)),
        ],
    ]
    result = invoke("run", "Fix it", "--list", "listlistlist", "--json")
    assert result.exit_code == exits.CANCELLED
    assert result.stdout_bytes == OUTPUT * 2
    assert stand_in.watched_after == [0, 1]
    assert stand_in.requests[-1] == ("cancel", ID)
    assert f"Task {ID} is being stopped. Press Ctrl-C again to leave at once." in result.stderr


def test_a_second_ctrl_c_in_run_leaves_at_once(stand_in: StandIn) -> None:
    stand_in.watches = [[watching.Opened(a_task(), 1, 0), interrupt], [interrupt]]
    result = invoke("run", "Fix it", "--list", "listlistlist")
    assert result.exit_code == exits.INTERRUPTED
    assert [request[0] for request in stand_in.requests] == ["enqueue", "cancel"]


def test_ctrl_c_while_a_line_is_printed_waits_until_it_is_whole(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.watches = [
        [watching.Opened(a_task(), 1, 0), taskgrove.Line(1, 1, OUTPUT), taskgrove.Line(2, 1, OUTPUT)],
        [watching.Opened(a_task(), 1, 0), watching.Rested(a_task(Task.STATE_CANCELLED))],
    ]
    printed: list[bytes] = []

    def print_line(line: bytes) -> None:
        interrupt()
        printed.append(line)

    monkeypatch.setattr("taskgrove.cli.output.print_line", print_line)
    assert invoke("run", "Fix it", "--list", "listlistlist", "--json").exit_code == exits.CANCELLED
    assert printed == [OUTPUT]
    assert stand_in.watched_after == [0, 1]


def test_the_interrupt_handler_is_put_back(stand_in: StandIn) -> None:
    before = signal.getsignal(signal.SIGINT)
    stand_in.watches = [rests(Task.STATE_SUCCEEDED)]
    invoke("watch", ID)
    assert signal.getsignal(signal.SIGINT) is before


def test_continue_watches_from_the_tasks_last_line(stand_in: StandIn) -> None:
    stand_in.task = a_task(last_line=17)
    stand_in.watches = [rests(Task.STATE_SUCCEEDED)]
    assert invoke("continue", ID, "-", stdin="And the tests.").exit_code == exits.SUCCEEDED
    assert stand_in.requests == [("continue", ID, "And the tests.")]
    assert stand_in.watched_after == [17]


def test_a_handler_of_another_signal_is_called_once_the_wait_has_ended(stand_in: StandIn) -> None:
    waiting: list[bool] = []

    def leave(_number: int, _frame: object) -> None:
        waiting.append(not ended)
        raise SystemExit(128 + signal.SIGTERM)

    ended: list[bool] = []
    before = signal.signal(signal.SIGTERM, leave)
    try:
        stand_in.watches = [
            [
                watching.Opened(a_task(), 1, 0),
                lambda: signal.raise_signal(signal.SIGTERM),
                lambda: ended.append(True),
            ]
        ]
        assert invoke("watch", ID).exit_code == 128 + signal.SIGTERM
        assert waiting == [False]
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, before)
