"""The prompts are those of the original worker, to the letter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskgrove_server.domain import ids, prompt
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.task import Subtask, Task, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def task(title: str, description: str = "", *subtasks: Subtask) -> Task:
    return Task(
        id=ids.new_task_id(),
        task_list_id=ids.new_task_list_id(),
        title=title,
        description=description,
        subtasks=subtasks,
        overrides=RunConfig(),
        state=TaskState.QUEUED,
        create_time=NOW,
        update_time=NOW,
    )


@pytest.mark.parametrize("description", ["", "   ", "\n\t\n"])
def test_a_task_without_a_description_is_its_title(description: str) -> None:
    assert prompt.of_task(task("Fix it", description)) == "Fix it"


def test_the_description_follows_trimmed_after_a_blank_line() -> None:
    assert prompt.of_task(task("Fix it", "\n  All of it.\nNow. \n")) == "Fix it\n\nAll of it.\nNow."


def test_subtasks_follow_as_a_check_list() -> None:
    parts = (Subtask("one", completed=True), Subtask("two"))
    assert prompt.of_task(task("Fix it", "All.", *parts)) == ("Fix it\n\nAll.\n\n## Sub-Tasks\n- [x] one\n- [ ] two\n")


def test_a_retry_quotes_the_error() -> None:
    failure = Failure(FailureKind.AGENT, "it broke")
    assert prompt.of_retry(failure) == (
        "The previous attempt failed with:\n\nit broke\n\nTry again and fix the issues."
    )


def test_a_new_session_is_told_the_task_again_but_only_once() -> None:
    fix = task("Fix it", "All.")
    assert prompt.of_new_session(fix, "Fix it\n\nAll.") == "Fix it\n\nAll."
    assert prompt.of_new_session(fix, "And the tests.") == "Fix it\n\nAll.\n\nAnd the tests."
