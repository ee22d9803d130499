"""Commands that read logs, events and listings, over a stand-in for the client."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

import taskgrove
from support.cli_stand_in import ID, StandIn, Task, invoke
from taskgrove.cli import exits
from taskgrove.cli.rendering import feed
from taskgrove.v1 import event_pb2, failure_pb2, landing_pb2, task_pb2, task_service_pb2

Event = event_pb2.Event
Worktree = task_pb2.Worktree

OUTPUT = b'{"type": "output",  "stream": "stdout", "text": "hello \\u001b[2J"}\n'


def an_event(sequence: int, kind: Event.Kind, **fields: Any) -> Event:
    return Event(sequence=sequence, kind=kind, task_id=ID, task_title="Fix it", **fields)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_log_is_shown_as_watch_shows_it(stand_in: StandIn) -> None:
    stand_in.log = [taskgrove.Line(7, 1, OUTPUT), taskgrove.Line(8, 1, OUTPUT)]
    result = invoke("log", ID, "--after-line", "6")
    assert result.stdout == "── run 1 · command\nhello \nhello \n"
    assert stand_in.asked("read_lines") == [(ID, {"after_line": 6, "last_lines": None})]
    assert invoke("log", ID, "-n", "2", "--json").stdout_bytes == OUTPUT * 2
    assert stand_in.asked("read_lines")[-1] == (ID, {"after_line": 0, "last_lines": 2})


def test_a_setup_log_is_raw_for_a_program(stand_in: StandIn) -> None:
    stand_in.setup_log = b"\xff\x1b[2J\n"
    assert invoke("log", ID, "--setup").stdout_bytes == b"\xff\x1b[2J\n"


def test_a_setup_log_is_safe_for_a_person(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.setup_log = b"\xff\x1b[2Jtext\n"
    monkeypatch.setattr("taskgrove.cli.paging.on_terminal", lambda: True)
    assert invoke("log", ID, "--setup").stdout == "�text\n"


@pytest.mark.parametrize("flags", [("-n", "1", "--after-line", "1"), ("--setup", "--json"), ("--setup", "-n", "1")])
def test_parts_of_a_log_exclude_each_other(stand_in: StandIn, flags: tuple[str, ...]) -> None:
    assert invoke("log", ID, *flags).exit_code == exits.USAGE
    assert not stand_in.requests


def test_events_end_with_the_way_to_go_on(stand_in: StandIn) -> None:
    stand_in.feed = [an_event(4, Event.KIND_TASK_QUEUED), an_event(9, Event.KIND_TASK_DELETED), interrupt]
    result = invoke(
        "events", "--after", "3", "--list", "listlistlist", "--kind", "task_queued", "--kind", "task_deleted"
    )
    assert result.exit_code == exits.INTERRUPTED
    assert [line.split()[2] for line in result.stdout.splitlines()] == ["task_queued", "task_deleted"]
    again = "taskgrove events --after 9 --list listlistlist --kind task_queued --kind task_deleted"
    assert f"To go on: {again}\n" in result.stderr
    assert stand_in.asked("watch_events") == [
        (
            {
                "after_sequence": 3,
                "task_list_ids": ("listlistlist",),
                "kinds": [Event.KIND_TASK_QUEUED, Event.KIND_TASK_DELETED],
            },
        )
    ]


def test_events_that_never_came_go_on_where_the_feed_was(stand_in: StandIn) -> None:
    stand_in.feed = [interrupt]
    assert "taskgrove events --after 100\n" in invoke("events").stderr
    assert stand_in.asked("watch_events")[0][0]["after_sequence"] is None


def test_events_as_json_are_one_object_a_line(stand_in: StandIn) -> None:
    stand_in.feed = [an_event(4, Event.KIND_TASK_QUEUED), an_event(5, Event.KIND_TASK_STARTED, slot=2)]
    lines = [json.loads(line) for line in invoke("events", "--no-follow", "--json").stdout.splitlines()]
    assert [(line["sequence"], line.get("slot")) for line in lines] == [("4", None), ("5", 2)]


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        (an_event(1, Event.KIND_TASK_QUEUED), ""),
        (an_event(1, Event.KIND_TASK_STARTED, slot=2), "slot 2"),
        (an_event(1, Event.KIND_RUN_CREATED, slot=2, run_number=3, is_retry=True), "slot 2, run 3, a retry"),
        (an_event(1, Event.KIND_TASK_UPDATED, task_state=Task.STATE_RUNNING), "running"),
        (
            an_event(
                1,
                Event.KIND_TASK_FINISHED,
                task_state=Task.STATE_FAILED,
                failure_kind=failure_pb2.FAILURE_KIND_RATE_LIMITED,
            ),
            "failed: rate limited",
        ),
        (
            an_event(
                1,
                Event.KIND_WORKTREE_UPDATED,
                worktree=Worktree(
                    state=Worktree.STATE_DISCARDED,
                    saved_ref="refs/x",
                    landing=landing_pb2.Landing(target_branch="main", commit="a" * 40),
                ),
            ),
            "discarded, landed on main as aaaaaaaaaa, saved at refs/x",
        ),
        (an_event(1, cast("Event.Kind", 99)), ""),
    ],
)
def test_an_event_has_the_detail_of_its_kind(event: Event, detail: str) -> None:
    line = "".join(text for text, _ in feed.of_event(event))
    assert line.partition("Fix it")[2] == (f"  {detail}" if detail else "")


def test_every_filter_of_ls_reaches_the_server(stand_in: StandIn) -> None:
    filters = [
        "--title",
        "login",
        "--failure",
        "auth",
        "--failure",
        "rate_limited",
        "--since",
        "2026-01-31T12:00+00:00",
    ]
    invoke("ls", "--json", "--list", "listlistlist", "--sort", "changed", *filters)
    [(wanted,)] = stand_in.asked("list_tasks")
    assert wanted == {
        "task_list_id": "listlistlist",
        "states": (),
        "failure_kinds": (failure_pb2.FAILURE_KIND_AUTH, failure_pb2.FAILURE_KIND_RATE_LIMITED),
        "title_contains": "login",
        "created_after": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "order": task_service_pb2.ListTasksRequest.ORDER_LAST_CHANGED_FIRST,
        "page_size": 20,
        "task_list_ids": (),
        "view": task_pb2.TASK_VIEW_FULL,
    }


def test_ls_asks_for_several_lists_and_for_no_more_than_it_shows(stand_in: StandIn) -> None:
    invoke("ls", "--list", "listlistlist", "--list", "otherotherot", "--list", "thirdthirdth")
    [(wanted,)] = stand_in.asked("list_tasks")
    assert (wanted["task_list_id"], wanted["task_list_ids"]) == ("listlistlist", ("otherotherot", "thirdthirdth"))
    assert wanted["view"] == task_pb2.TASK_VIEW_SUMMARY


def test_show_has_what_became_of_the_worktree(stand_in: StandIn) -> None:
    landing = landing_pb2.Landing(target_branch="main", commit="d" * 40, strategy=landing_pb2.LAND_STRATEGY_REBASE)
    tree = Worktree(
        path="/home/me/tree", branch="taskgrove/x", base_commit="a" * 40, head_commit="b" * 40,
        state=Worktree.STATE_DISCARDED, saved_ref="refs/taskgrove/saved/x/1", landing=landing, setup_log_path="/log",
    )  # fmt: skip
    stand_in.task.worktree.CopyFrom(tree)
    stand_in.task.state = Task.STATE_SUCCEEDED
    shown = invoke("show", ID).stdout
    for line in (
        "worktree  /home/me/tree (discarded)",
        "landed    on main as dddddddddd, by rebase, ",
        "saved     refs/taskgrove/saved/x/1",
        "setup log /log",
    ):
        assert f"  {line}" in shown
    # Its branch is gone.
    assert "git -C" not in shown


def test_a_retry_is_followed_from_the_tasks_last_line(stand_in: StandIn) -> None:
    stand_in.task.last_line = 17
    assert invoke("retry", ID, "--detach").stdout == f"{ID}\n"
    stand_in.watches = [[taskgrove.Rested(stand_in.task)]]
    invoke("retry", ID)
    assert stand_in.watched_after == [17]
