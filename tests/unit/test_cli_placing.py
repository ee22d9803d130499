"""Where a new task goes: to which list, and where in the repository its agent starts; over a stand-in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support import repositories
from support.cli_stand_in import ID, StandIn, a_task, invoke
from taskgrove import errors
from taskgrove.cli import exits
from taskgrove.v1 import task_list_pb2

MISSING = "The task cannot start in 'packages/app': the repository's HEAD has no such directory."


@pytest.fixture
def top(tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a list, in one of whose directories the person stands."""
    made = repositories.make_repository(tmp_path / "project", {"packages/app/main.py": "x\n"})
    stand_in.task_lists = [task_list_pb2.TaskList(id="theirstheirs", title="Theirs", working_dir=str(made))]
    stand_in.task = a_task(subdirectory="packages/app")
    monkeypatch.chdir(made / "packages/app")
    return made


@pytest.fixture
def elsewhere(tmp_path: Path, top: Path, stand_in: StandIn) -> Path:
    """Another repository with a list."""
    assert top
    other = repositories.make_repository(tmp_path / "other")
    stand_in.task_lists.append(task_list_pb2.TaskList(id="othersothers", title="Others", working_dir=str(other)))
    return other


def sent(stand_in: StandIn) -> tuple[str, str]:
    """Returns the list and the subdirectory of the task that was enqueued last."""
    task_list_id, _, fields = stand_in.asked("enqueue")[-1]
    assert isinstance(fields["subdirectory"], str)
    return task_list_id, fields["subdirectory"]


def test_a_task_starts_where_the_person_stands_and_it_is_said(stand_in: StandIn, top: Path) -> None:
    result = invoke("enqueue", "Fix it")
    assert result.stdout == f"{ID}\n"
    assert result.stderr == "The agent starts in packages/app; at the repository's top with --subdirectory .\n"
    assert sent(stand_in) == ("theirstheirs", "packages/app")
    assert top


def test_the_real_path_counts(stand_in: StandIn, top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / "packages/link").symlink_to("app")
    (tmp_path / "project-link").symlink_to(top)
    (tmp_path / "app-link").symlink_to(top / "packages/app")
    for here in (top / "packages/link", tmp_path / "project-link/packages/app", tmp_path / "app-link"):
        monkeypatch.chdir(here)
        monkeypatch.setenv("PWD", str(here))
        invoke("enqueue", "Fix it")
        assert sent(stand_in) == ("theirstheirs", "packages/app")
        invoke("enqueue", "Fix it", "--dir", str(here))
        assert sent(stand_in) == ("theirstheirs", "packages/app")


def test_nothing_is_said_at_the_top(stand_in: StandIn, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in (str(top), f"{top}/", f"{top}/packages/.."):
        assert invoke("enqueue", "Fix it", "--dir", directory).stderr == ""
        assert sent(stand_in) == ("theirstheirs", "")
    monkeypatch.chdir(top)
    assert invoke("enqueue", "Fix it").stderr == ""
    assert sent(stand_in) == ("theirstheirs", "")


@pytest.mark.parametrize("path", [".", "docs", "packages"])
def test_another_directory_can_be_named(stand_in: StandIn, top: Path, path: str) -> None:
    assert invoke("enqueue", "Fix it", "--subdirectory", path).stderr == ""
    assert sent(stand_in) == ("theirstheirs", path)
    invoke("enqueue", "Fix it", "--subdirectory", path, "--dir", str(top / "packages"))
    assert sent(stand_in) == ("theirstheirs", path)


@pytest.mark.parametrize(
    "refusal",
    [
        errors.DirectoryNotFound(MISSING, reason="DIRECTORY_NOT_FOUND"),
        errors.InvalidRequest("subdirectory: must be ...", violations=[("subdirectory", "must be ...")]),
    ],
)
def test_a_refusal_says_how_to_start_at_the_top(stand_in: StandIn, top: Path, refusal: errors.TaskgroveError) -> None:
    assert top
    stand_in.failures["enqueue"] = [refusal]
    result = invoke("enqueue", "Fix it")
    assert result.exit_code == exits.REFUSED
    advice = "To start at the repository's top, use: --subdirectory ."
    assert result.stderr == f"taskgrove: {refusal.message} {advice}\n"
    # Who named the directory knows.
    stand_in.failures["enqueue"] = [refusal]
    assert invoke("enqueue", "Fix it", "--subdirectory", "packages/app").stderr == f"taskgrove: {refusal.message}\n"


def test_a_refusal_of_something_else_is_left_as_it_is(stand_in: StandIn, top: Path) -> None:
    assert top
    stand_in.failures["enqueue"] = [errors.InvalidRequest("title: is wrong", violations=[("title", "is wrong")])]
    assert invoke("enqueue", "Fix it").stderr == "taskgrove: title: is wrong\n"


def test_a_server_that_knows_no_subdirectories_is_told_of(stand_in: StandIn, top: Path) -> None:
    assert top
    stand_in.task = a_task()
    assert "The server is too old" in invoke("enqueue", "Fix it").stderr


def test_a_name_that_no_message_can_carry_is_refused(
    stand_in: StandIn, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        os.mkdir(os.fsencode(top) + b"/\xff")  # noqa: PTH102 - a name of bytes
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    monkeypatch.chdir(os.fsencode(top) + b"/\xff")  # type: ignore[arg-type] # as above
    result = invoke("enqueue", "Fix it")
    assert result.exit_code == exits.REFUSED
    assert "--subdirectory ." in result.stderr
    assert not stand_in.asked("enqueue")
    assert invoke("enqueue", "Fix it", "--subdirectory", ".").exit_code == exits.SUCCEEDED


def test_which_of_several_lists_takes_the_task_is_said(stand_in: StandIn, top: Path) -> None:
    def named(number: int) -> Any:
        return task_list_pb2.TaskList(id=f"list{number}list{number}aa", title=f"T{number}\x1b[2J", working_dir=str(top))

    stand_in.task_lists = [named(3), named(2)]
    result = invoke("enqueue", "Fix it", "--subdirectory", ".")
    assert result.stderr == (
        f"{top} has several task lists: the task goes to the newest, list3list3aa (T3). "
        "To choose another, use --list ID: list2list2aa (T2)\n"
    )
    assert result.stdout == f"{ID}\n"
    assert sent(stand_in)[0] == "list3list3aa"
    stand_in.task_lists = [named(number) for number in range(9, 1, -1)]
    assert "list4list4aa (T4) and more, see: taskgrove lists ls\n" in invoke("enqueue", "Fix it").stderr
    assert invoke("enqueue", "Fix it", "--list", "list2list2aa", "--subdirectory", ".").stderr == ""
    assert sent(stand_in)[0] == "list2list2aa"


def test_one_list_is_nothing_to_choose_from(stand_in: StandIn, top: Path) -> None:
    assert top
    assert "several" not in invoke("enqueue", "Fix it").stderr


def test_a_named_list_of_the_same_repository_keeps_the_place(stand_in: StandIn, top: Path) -> None:
    assert top
    assert "starts in packages/app" in invoke("enqueue", "Fix it", "--list", "theirstheirs").stderr
    assert sent(stand_in) == ("theirstheirs", "packages/app")


def test_a_named_list_of_another_repository_counts_and_it_is_said(stand_in: StandIn, elsewhere: Path) -> None:
    result = invoke("enqueue", "Fix it", "--list", "othersothers")
    assert result.stderr == (
        f"Task list othersothers (Others) is of {elsewhere}, not of here: the agent starts at its top.\n"
    )
    assert sent(stand_in) == ("othersothers", "")
    assert invoke("enqueue", "Fix it", "--list", "othersothers", "--subdirectory", "src").stderr == ""
    assert sent(stand_in) == ("othersothers", "src")


def test_a_list_and_a_directory_that_do_not_belong_together_are_refused(
    stand_in: StandIn, elsewhere: Path, tmp_path: Path
) -> None:
    stand_in.task_lists.append(task_list_pb2.TaskList(id="sandboxsandb", title="sandbox"))
    wrong = [("theirstheirs", elsewhere), ("theirstheirs", tmp_path), ("sandboxsandb", elsewhere / "src")]
    for task_list_id, directory in wrong:
        result = invoke("enqueue", "Fix it", "--list", task_list_id, "--dir", str(directory))
        assert result.exit_code == exits.REFUSED
        assert f"--dir names {directory}: leave out one of the two" in result.stderr
    assert not stand_in.asked("enqueue")
    invoke("enqueue", "Fix it", "--list", "othersothers", "--dir", str(elsewhere / "src"))
    assert sent(stand_in) == ("othersothers", "src")


def test_a_list_without_a_repository_is_taken_from_anywhere(stand_in: StandIn, top: Path) -> None:
    assert top
    stand_in.task_lists.append(task_list_pb2.TaskList(id="sandboxsandb", title="sandbox"))
    assert invoke("enqueue", "Fix it", "--list", "sandboxsandb").stderr == ""
    assert sent(stand_in) == ("sandboxsandb", "")


def test_a_list_can_be_named_where_git_cannot_be_used(
    stand_in: StandIn, top: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repositories.make_bare_repository(tmp_path / "bare.git"))
    assert invoke("enqueue", "Fix it", "--list", "theirstheirs").stderr == ""
    monkeypatch.chdir(top / "packages")
    monkeypatch.setenv("PATH", "")
    assert invoke("enqueue", "Fix it", "--list", "theirstheirs").stderr == ""
    assert sent(stand_in) == ("theirstheirs", "")
