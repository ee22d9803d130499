"""Commands that change tasks and lists, and the text in which a task is edited."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taskgrove
from support.cli_stand_in import ID, StandIn, Task, a_task, invoke
from taskgrove import errors
from taskgrove.cli import exits, task_text
from taskgrove.v1 import task_list_pb2, task_pb2

_LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1).map(str.strip).filter(bool)
_DESCRIPTION = st.lists(
    st.one_of(_LINE, st.sampled_from(["", "- [ ] a part", task_text._SUBTASKS, task_text._END]))
).map("\n".join)


@settings(deadline=None)
@given(_LINE, _DESCRIPTION, st.lists(st.tuples(_LINE, st.booleans())))
def test_a_task_survives_its_text(title: str, description: str, subtasks: list[tuple[str, bool]]) -> None:
    content = task_text.Content(title, description.strip("\n"), tuple(subtasks))
    assert task_text.parse(task_text.render(content)) == content


def test_a_text_is_read_as_people_write_it() -> None:
    text = f"  Title \r\n\r\nMore.\r\n{task_text._SUBTASKS}\r\n\r\n* [X] Done\r\n- [ ] Open\r\n"
    assert task_text.parse(text) == task_text.Content("Title", "More.", (("Done", True), ("Open", False)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Title\n\n- [ ] part\n", "separates"),
        (f"\n\nMore.\n{task_text._SUBTASKS}\n", "title"),
        (f"{task_text._SUBTASKS}\n", "title"),
        (f"Title\n{task_text._SUBTASKS}\npart\n", "'part' is no subtask"),
        (f"Title\n{task_text._SUBTASKS}\n- [ ]\n", "no subtask"),
    ],
)
def test_what_is_no_task_is_told(text: str, why: str) -> None:
    with pytest.raises(task_text.Invalid, match=why):
        task_text.parse(text)


@pytest.fixture
def editing(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    stand_in.task = a_task(description="All of it.", etag="e1", subtasks=[task_pb2.Subtask(title="One")])
    return stand_in


def test_only_what_was_changed_is_sent_with_the_etag(
    editing: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDITOR", "sed -i -e 's/\\[ \\] One/[x] One/'")
    assert invoke("edit", ID).exit_code == exits.SUCCEEDED
    [(_, changes)] = editing.asked("update_task")
    assert changes == {
        "title": None,
        "description": None,
        "subtasks": [task_pb2.Subtask(title="One", completed=True)],
        "etag": "e1",
    }
    assert not list(tmp_path.iterdir())


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    editing: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDITOR", "sed -i -e 1s/.*/Mine/")
    editing.failures["update_task"] = [errors.EtagMismatch("It has changed.")]
    refused = invoke("edit", ID)
    assert refused.exit_code == exits.REFUSED
    [kept] = tmp_path.iterdir()
    assert refused.stderr == f"taskgrove: It has changed. Nothing was changed; your text is kept in {kept}\n"
    assert kept.read_text().startswith("Mine\n")


def test_options_are_merged_and_tried_again(editing: StandIn) -> None:
    editing.task.overrides.CopyFrom(taskgrove.run_config(model="opus", max_turns=5, allowed_tools=["Edit"]))
    editing.failures["update_task"] = [errors.EtagMismatch("It has changed.")] * 2
    result = invoke("edit", ID, "--title", "New", "--allow-tool", "Read", "--unset", "max-turns")
    assert result.exit_code == exits.SUCCEEDED
    assert len(editing.asked("update_task")) == 3
    changes = editing.asked("update_task")[-1][1]
    assert changes["overrides"] == taskgrove.run_config(model="opus", allowed_tools=["Read"])
    assert (changes["title"], changes["description"], changes["subtasks"], changes["etag"]) == ("New", None, None, "e1")
    editing.failures["update_task"] = [errors.EtagMismatch("It has changed.")] * 9
    assert invoke("edit", ID, "--title", "New").exit_code == exits.REFUSED
    assert len(editing.asked("update_task")) == 3 + 5


def test_a_description_may_be_emptied(editing: StandIn) -> None:
    invoke("edit", ID, "--description", "")
    assert editing.asked("update_task")[0][1]["description"] == ""


def test_only_a_task_that_waits_is_opened(editing: StandIn) -> None:
    editing.task = a_task(Task.STATE_RUNNING)
    refused = invoke("edit", ID)
    assert refused.exit_code == exits.REFUSED
    assert "it is running" in refused.stderr


def test_a_tick_shows_the_parts(editing: StandIn) -> None:
    assert invoke("tick", ID, "1", "--undo").stdout == "[ ] One\n"
    assert editing.asked("update_subtask") == [(ID, 1, False)]


def test_one_worktree_setting_of_a_list_is_changed_and_the_others_stay(stand_in: StandIn) -> None:
    before = taskgrove.worktree_settings(
        base_branch="main",
        copied_files=[".env"],
        setup_command=["make", "deps"],
        landed_after=timedelta(days=1, seconds=5),
        rested_after=timedelta(days=30),
    )
    stand_in.task_lists = [task_list_pb2.TaskList(id="listlistlist", worktree_settings=before, etag="e7")]
    stand_in.failures["update_task_list"] = [errors.EtagMismatch("It has changed.")]
    shown = invoke(
        "lists", "update", "listlistlist",
        "--setup", "make all", "--copy", "a", "--copy", "b", "--clean-up-landed-after", "2d",
        "--unset", "base-branch", "--unset", "clean-up-rested-after",
    )  # fmt: skip
    [_, (_, changes)] = stand_in.asked("update_task_list")
    assert changes == {
        "title": None,
        "defaults": None,
        "worktree_settings": taskgrove.worktree_settings(
            copied_files=["a", "b"], setup_command="make all", landed_after=timedelta(days=2)
        ),
        "etag": "e7",
    }
    for line in ("copied_files     a, b", "setup_command    make all", "landed_after     2d 00h"):
        assert f"  {line}\n" in shown.stdout


def test_the_last_clean_up_that_is_unset_leaves_no_policy(stand_in: StandIn) -> None:
    before = taskgrove.worktree_settings(landed_after=timedelta(days=1))
    stand_in.task_lists = [task_list_pb2.TaskList(id="listlistlist", worktree_settings=before)]
    invoke("lists", "update", "listlistlist", "--unset", "clean-up-landed-after")
    [(_, changes)] = stand_in.asked("update_task_list")
    assert changes["worktree_settings"] == taskgrove.WorktreeSettings()
