from __future__ import annotations

import json
from collections.abc import Iterable

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import taskgrove
from support import scripted_service as scripted
from taskgrove import errors, resuming, watching
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import WatchTaskResponse

RUNNING = scripted.task(Task.STATE_RUNNING)
DONE = scripted.task(Task.STATE_SUCCEEDED)


def unavailable(retry_delay: float | None = None) -> errors.ServerUnavailable:
    return errors.ServerUnavailable("Gone.", code=grpc.StatusCode.UNAVAILABLE, retry_delay=retry_delay)


def joined(after_line: int = 0) -> watching.Resume:
    """Returns a watch that has seen `opened`."""
    resume = watching.Resume("t", after_line=after_line)
    resume.request()
    assert len(list(resume.receive(scripted.opened(RUNNING)))) == 1
    return resume


def feed(resume: watching.Resume, messages: Iterable[WatchTaskResponse]) -> list[watching.WatchEvent]:
    return [event for message in messages for event in resume.receive(message)]


@given(st.data())
def test_every_line_is_shown_once_and_in_order_wherever_streams_are_cut(data: st.DataObject) -> None:
    texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"\r") + b"\n")
    log = scripted.Log(
        data.draw(st.lists(texts, max_size=30)),
        batch=data.draw(st.integers(1, 7)),
        piece=data.draw(st.integers(1, 9)),
        longest=data.draw(st.integers(1, 40)),
    )
    resume = watching.Resume("t")
    shown: list[watching.WatchEvent] = []
    for cut in [*data.draw(st.lists(st.integers(0, 40), max_size=8)), None]:
        # The wire is cut after some messages, or the user leaves in the middle of one.
        leave_after = data.draw(st.integers(1, 30)) if cut is not None and data.draw(st.booleans()) else None
        taken = 0
        for message in list(log(resume.request()))[:cut]:
            for event in resume.receive(message):
                shown.append(event)
                taken += 1
                if taken == leave_after:
                    break
            if resume.rested or taken == leave_after:
                break
        if not resume.rested:
            resume.lost(unavailable(), 0.0)

    received = [event for event in shown if isinstance(event, taskgrove.Line)]
    assert [line.data for line in received] == log.content
    assert [line.number for line in received] == list(range(1, len(log.content) + 1))
    assert [type(event) for event in shown].count(watching.Opened) == 1
    assert isinstance(shown[0], watching.Opened)
    assert shown[-1] == watching.Rested(log.result)
    assert (resume.task, resume.last_line) == (log.result, len(log.content))


def test_a_line_is_its_bytes_its_text_and_its_json() -> None:
    line = taskgrove.Line(1, 1, b'{"a": "\xc3\xa4"}\n')
    assert line.text == '{"a": "ä"}'
    assert line.json() == {"a": "ä"}
    torn = taskgrove.Line(2, 1, b"\xff\r\n")
    assert torn.text == "\N{REPLACEMENT CHARACTER}\r"
    with pytest.raises(ValueError, match="decode"):
        torn.json()
    with pytest.raises(json.JSONDecodeError):
        taskgrove.Line(3, 1, b"plain\n").json()


def test_lines_keep_the_number_of_their_run_and_are_split_at_newlines_only() -> None:
    resume = joined()
    shown = feed(resume, [scripted.lines(1, b"a\rb\x0b\x85\n", b"\n", run_number=2)])
    assert shown == [taskgrove.Line(1, 2, b"a\rb\x0b\x85\n"), taskgrove.Line(2, 2, b"\n")]


def test_the_position_moves_with_each_line_taken() -> None:
    resume = joined()
    events = resume.receive(scripted.lines(1, b"a\n", b"b\n", b"c\n"))
    next(events)
    next(events)
    assert resume.last_line == 2
    assert resume.request().after_line == 2


def test_a_watch_asks_for_what_comes_after_a_line_and_for_heartbeats() -> None:
    request = watching.Resume("t", after_line=7).request()
    assert (request.task_id, request.after_line) == ("t", 7)
    assert request.heartbeat_interval.ToTimedelta().total_seconds() == resuming.HEARTBEAT_INTERVAL


def test_heartbeats_and_events_that_are_newer_than_the_client_show_nothing() -> None:
    assert feed(joined(), [scripted.heartbeat(), WatchTaskResponse()]) == []


def test_a_change_that_happened_between_two_streams_is_shown_after_the_lines_before_it() -> None:
    resume = joined()
    retried = scripted.task(run_count=2)
    resume.lost(unavailable(), 0.0)
    resume.request()
    shown = feed(
        resume,
        [scripted.opened(retried, last_line=2), scripted.lines(1, b"a\n", b"b\n", b"c\n"), scripted.rested(DONE)],
    )
    assert [type(event).__name__ for event in shown] == ["Line", "Line", "TaskChanged", "Line", "Rested"]
    assert shown[2] == watching.TaskChanged(retried)


def test_a_change_without_new_lines_is_shown_at_once_and_a_newer_one_replaces_a_missed_one() -> None:
    resume = joined()
    resume.request()
    missed = scripted.task(run_count=2)
    assert feed(resume, [scripted.opened(missed)]) == [watching.TaskChanged(missed)]
    resume.request()
    assert feed(resume, [scripted.opened(missed, last_line=1)]) == []
    resume.request()
    newer = scripted.task(run_count=4)
    shown = feed(resume, [scripted.opened(scripted.task(run_count=3), last_line=1), scripted.changed(newer)])
    assert shown == [watching.TaskChanged(newer)]
    assert feed(resume, [scripted.lines(1, b"a\n")]) == [taskgrove.Line(1, 1, b"a\n")]
    assert resume.task == newer


FRAGMENTS = list(scripted.fragments(1, b"abcdef\n", 3))


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([scripted.lines(2, b"b\n")], "sent line 2 after line 0"),
        ([scripted.lines(1, b"a\n"), scripted.lines(1, b"a\n")], "sent line 1 after line 1"),
        ([scripted.lines(1, b"a\n", b"b")], "not 2 lines"),
        ([scripted.lines(1, b"a\nb\n")], "not 1 lines"),
        ([scripted.lines(1)], "not 0 lines"),
        ([FRAGMENTS[0], FRAGMENTS[2]], "at byte 6, not 3"),
        ([FRAGMENTS[0], FRAGMENTS[0]], "at byte 0, not 3"),
        ([FRAGMENTS[0], scripted.lines(1, b"a\n")], "in the middle of line 1"),
        ([FRAGMENTS[0], scripted.rested(DONE)], "ended after line 0"),
        (list(scripted.fragments(2, b"a\n", 1)), "sent line 2 after line 0"),
        (list(scripted.fragments(1, b"a\nb\n", 2)), "not one line of 4 bytes"),
        (list(scripted.fragments(1, b"ab", 2)), "not one line of 2 bytes"),
        ([scripted.opened(RUNNING)], "'opened' again"),
        ([scripted.rested(scripted.task(last_line=3))], "ended after line 0 of 3"),
    ],
)
def test_lines_that_are_missing_repeated_or_torn_are_a_protocol_error(
    messages: list[WatchTaskResponse], complaint: str
) -> None:
    resume = joined()
    with pytest.raises(errors.ProtocolError, match=complaint):
        feed(resume, messages)


def test_a_stream_that_does_not_begin_with_opened_is_a_protocol_error() -> None:
    resume = joined()
    resume.request()
    with pytest.raises(errors.ProtocolError, match="'lines' before opened"):
        feed(resume, [scripted.lines(1, b"a\n")])


@pytest.mark.parametrize(
    ("code", "message", "reason", "goes_on"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Connection refused", None, True),
        (grpc.StatusCode.UNAVAILABLE, "Disk full", "STORE_UNAVAILABLE", True),
        (grpc.StatusCode.CANCELLED, "CANCELLED", None, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "A proxy's", None, True),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", None, True),
        (grpc.StatusCode.UNKNOWN, "Stream removed", None, True),
        (grpc.StatusCode.INTERNAL, "GOAWAY received", None, True),
        (grpc.StatusCode.INTERNAL, "A bug with an RST_STREAM", "INTERNAL", False),
        (grpc.StatusCode.INTERNAL, "Exception deserializing response", None, False),
        (grpc.StatusCode.NOT_FOUND, "No such task", "TASK_NOT_FOUND", False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max", None, False),
        (None, "A broken contract", None, False),
    ],
)
def test_only_a_lost_connection_is_followed_by_another_attempt(
    code: grpc.StatusCode | None, message: str, reason: str | None, goes_on: bool
) -> None:
    kind = errors.BY_CODE.get(code, errors.TaskgroveError) if code else errors.ProtocolError
    failure = kind(message, code=code, reason=reason)
    if goes_on:
        assert joined().lost(failure, 0.0) > 0
    else:
        with pytest.raises(kind) as raised:
            joined().lost(failure, 0.0)
        assert raised.value is failure


def test_the_wait_doubles_from_a_tenth_of_a_second_to_five_and_starts_anew_after_progress() -> None:
    resume = watching.Resume("t", jitter=lambda: 0.0)
    delays = [resume.lost(None, 0.0) for _ in range(8)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    resume.request()
    feed(resume, [scripted.opened(RUNNING)])
    assert resume.lost(None, 0.0) == 5.0
    resume.request()
    feed(resume, [scripted.opened(RUNNING), scripted.heartbeat()])
    assert resume.lost(None, 0.0) == 0.1


def test_chance_cuts_the_wait_by_up_to_half() -> None:
    assert watching.Resume("t", jitter=lambda: 1.0).lost(None, 0.0) == 0.05


def test_the_delay_that_the_server_asks_for_comes_on_top() -> None:
    assert watching.Resume("t", jitter=lambda: 0.0).lost(unavailable(retry_delay=3.0), 0.0) == 3.1


def test_a_watch_gives_up_when_attempts_have_failed_for_the_reconnect_timeout() -> None:
    resume = watching.Resume("t", after_line=4, reconnect_timeout=10.0, jitter=lambda: 0.0)
    assert resume.lost(unavailable(), 100.0) == 0.1
    assert resume.lost(unavailable(retry_delay=60.0), 104.0) == 6.0  # one last attempt when the time is up
    failure = unavailable()
    failure.__cause__ = cause = RuntimeError()
    with pytest.raises(errors.ServerUnavailable, match=r"failed for 10 s.*after line 4 .*Gone\.") as raised:
        resume.lost(failure, 110.0)
    assert raised.value.__cause__ is cause
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE


def test_the_reconnect_timeout_counts_from_the_first_failure_after_a_message() -> None:
    resume = watching.Resume("t", reconnect_timeout=10.0)
    resume.lost(None, 100.0)
    resume.request()
    feed(resume, [scripted.opened(RUNNING)])
    resume.lost(None, 200.0)
    with pytest.raises(errors.ServerUnavailable, match="ended early"):
        resume.lost(None, 210.0)


def test_without_a_reconnect_timeout_a_watch_never_gives_up() -> None:
    resume = watching.Resume("t", reconnect_timeout=None)
    assert all(resume.lost(unavailable(), float(second)) <= 5.0 for second in range(0, 10_000_000, 10_000))
