"""Commands that land, push and clear away, over a stand-in for the client."""

from __future__ import annotations

import json
from datetime import timedelta

import click
import pytest

from support.cli_stand_in import ID, StandIn, Task, a_task, invoke
from taskgrove import errors
from taskgrove.cli import confirming, exits
from taskgrove.v1 import landing_pb2, task_list_pb2, task_pb2, worktree_service_pb2

Check = worktree_service_pb2.CheckLandResponse
Removal = worktree_service_pb2.Removal
Pruned = worktree_service_pb2.PruneWorktreesResponse


@pytest.fixture
def landed(stand_in: StandIn) -> StandIn:
    landing = landing_pb2.Landing(target_branch="main", commit="d" * 40, strategy=landing_pb2.LAND_STRATEGY_SQUASH)
    stand_in.task = a_task(Task.STATE_SUCCEEDED, worktree=task_pb2.Worktree(landing=landing))
    return stand_in


def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "is_interactive", lambda: True)


def test_what_was_checked_is_landed_and_nothing_else(landed: StandIn) -> None:
    result = invoke("land", ID, "--squash", "-m", "All of it")
    assert (result.exit_code, result.stdout) == (0, f"Task {ID} has landed on main as dddddddddd.\n")
    [(_, wanted)] = landed.asked("land")
    assert wanted == {
        "target_branch": "main",
        "strategy": landing_pb2.LAND_STRATEGY_SQUASH,
        "message": "All of it",
        "expected_head": "c" * 40,
        "commit_uncommitted": False,
        "include_other_commits": False,
        "include_unpublished_submodules": False,
    }
    assert json.loads(invoke("land", ID, "--json").stdout)["worktree"]["landing"]["target_branch"] == "main"


@pytest.mark.parametrize(
    ("obstacle", "said"),
    [
        (Check.OBSTACLE_TASK_ACTIVE, f"  taskgrove watch {ID}\n"),
        (Check.OBSTACLE_NOTHING_TO_LAND, "main has everything"),
        (Check.OBSTACLE_CONFLICT, "  src/a.py\n"),
        (Check.OBSTACLE_WORKTREE_DIRTY, "--commit-uncommitted"),
        (Check.OBSTACLE_CHECKOUT_DIRTY, "It has changes.\n  edited.py\nSet them aside:\n  git stash\n"),
        (Check.OBSTACLE_FILES_IN_THE_WAY, "Set them aside:\n  git stash\n"),
        (Check.OBSTACLE_TARGET_BUSY, "Set them aside:\n  git stash\n"),
        (Check.OBSTACLE_WORK_UNFINISHED, f"  taskgrove continue {ID} 'Finish"),
        (Check.OBSTACLE_MERGES_NOT_REBASABLE, f"  taskgrove land {ID} --merge\n"),
        (Check.OBSTACLE_OTHER_COMMITS, f"  taskgrove land {ID} --include-other-commits\n"),
        (Check.OBSTACLE_CONFLICT, f"  taskgrove retry {ID}\n"),
        (Check.OBSTACLE_NO_TARGET_BRANCH, "--onto BRANCH"),
        (99, "does not know"),
    ],
)
def test_an_obstacle_is_told_with_what_to_do(landed: StandIn, obstacle: Check.Obstacle, said: str) -> None:
    landed.check = Check(
        obstacle=obstacle,
        target_branch="main",
        conflicting_files=["src/a.py", "b\x1b[2J"] if obstacle == Check.OBSTACLE_CONFLICT else [],
        checkout_path="/home/me/a project",
        message="It has changes." if obstacle != 99 else "",
        blocking_files=["edited.py"] if obstacle == Check.OBSTACLE_CHECKOUT_DIRTY else [],
        remedies=[Check.Remedy(description="Set them aside", command="git stash")],
        other_commit_count=2,
    )
    refused = invoke("land", ID)
    assert refused.exit_code == exits.FAILED
    assert said in refused.stderr
    assert not refused.stdout
    told = invoke("land", ID, "--check")
    assert told.exit_code == exits.FAILED
    assert said in told.stdout
    assert "\x1b" not in refused.stderr + told.stdout
    assert json.loads(invoke("land", ID, "--check", "--json").stdout)["can_land"] is False
    assert not landed.asked("land")


def test_uncommitted_work_that_is_asked_for_is_tried(landed: StandIn) -> None:
    landed.check = Check(obstacle=Check.OBSTACLE_WORKTREE_DIRTY, target_branch="main", head_commit="c" * 40)
    assert invoke("land", ID, "--commit-uncommitted").exit_code == 0
    [(_, wanted)] = landed.asked("land")
    assert wanted["commit_uncommitted"]


def test_what_came_up_since_the_check_is_told_with_what_to_do(landed: StandIn) -> None:
    landed.failures["land"] = [
        errors.BranchMoved("The branch has moved: decide anew."),
        errors.ServerUnavailable("No server."),
    ]
    moved = invoke("land", ID)
    assert (moved.exit_code, moved.stderr) == (exits.FAILED, "taskgrove: The branch has moved: decide anew.\n")
    assert len(landed.asked("check_land")) == 2
    assert "nothing listens there" in invoke("land", ID).stderr


@pytest.mark.parametrize("flags", [("--squash", "--rebase"), ("--rebase", "--message", "x")])
def test_ways_that_do_not_go_together_are_wrong_usage(landed: StandIn, flags: tuple[str, ...]) -> None:
    assert invoke("land", ID, *flags).exit_code == exits.USAGE
    assert not landed.requests


def test_a_push_says_where_and_what_the_remote_said(stand_in: StandIn) -> None:
    result = invoke("push", ID, "--branch", "mine", "--force")
    assert result.stdout == "Pushed cccccccccc to origin, branch taskgrove/x.\n"
    assert result.stderr == "Open it at https://x\n"
    assert stand_in.asked("push_branch") == [(ID, {"remote": "origin", "remote_branch": "mine", "force": True})]


def test_a_discard_asks_a_person(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    stand_in.removal.unlanded_commits = 2
    declined = invoke("discard", ID, stdin="n\n")
    assert declined.exit_code == exits.FAILED
    assert "2 commits that are not landed" in declined.stderr
    assert "Discard 1 worktree?" in declined.stderr
    assert stand_in.asked("discard_worktree") == [(ID, True)]
    assert invoke("discard", ID, stdin="y\n").exit_code == exits.SUCCEEDED
    assert stand_in.asked("discard_worktree")[1:] == [(ID, True), (ID, False)]


def test_a_discard_says_how_to_get_the_work_back(stand_in: StandIn) -> None:
    stand_in.removal.saved_ref = f"refs/taskgrove/saved/{ID}/1"
    stand_in.task_lists = [task_list_pb2.TaskList(id="listlistlist", working_dir="/home/me/a project")]
    result = invoke("discard", ID, "--yes")
    assert result.stdout.splitlines() == [
        f"Task {ID}: the worktree is discarded.",
        f"  its work is saved at refs/taskgrove/saved/{ID}/1; to get it back:",
        f"  git -C '/home/me/a project' branch taskgrove/x refs/taskgrove/saved/{ID}/1",
    ]
    assert json.loads(invoke("discard", ID, "--yes", "--json").stdout)["branch"] == "taskgrove/x"


def test_what_could_not_be_removed_is_told_with_what_to_do(stand_in: StandIn) -> None:
    left = "/data of mine/worktrees/.removed/x-1"
    stand_in.removal.leftover_path = left
    stand_in.prunes = [Pruned(removals=[Removal(task_id="a", path="/a", leftover_path=left)])]
    stand_in.task = a_task(Task.STATE_FAILED)
    stand_in.leftover_path = left
    discarded = invoke("discard", ID, "--yes").stdout
    for said in (discarded, invoke("prune").stdout, invoke("rm", ID, "--yes").stdout):
        assert f"some of its files could not be removed; they are no work any more, and are in {left}." in said
        assert f"  findmnt -rno TARGET | grep -F '{left}'/ | tac | xargs -r sudo umount\n" in said
    assert json.loads(invoke("discard", ID, "--yes", "--json").stdout)["leftover_path"] == left


def test_what_is_left_of_an_earlier_discard_is_tried_again(stand_in: StandIn) -> None:
    stand_in.removal = Removal(task_id=ID, leftover_path="/removed/x-1")
    assert "  left over  /removed/x-1" in invoke("discard", ID, "--dry-run").stdout
    invoke("discard", ID, "--yes")
    assert stand_in.asked("discard_worktree")[-1] == (ID, False)


def test_nobody_is_asked_where_nothing_is_left(stand_in: StandIn) -> None:
    stand_in.removal = Removal(task_id=ID)
    result = invoke("discard", ID)
    assert result.exit_code == exits.SUCCEEDED
    assert "nothing left" in result.stderr
    assert stand_in.asked("discard_worktree") == [(ID, True)]


def test_where_nobody_can_be_asked_nothing_is_done(stand_in: StandIn) -> None:
    for command in ("discard", "rm"):
        assert invoke(command, ID).exit_code == exits.USAGE
    assert stand_in.asked("discard_worktree") == [(ID, True)]
    assert not stand_in.asked("delete_task")


def test_a_prune_goes_on_until_nothing_is_due(stand_in: StandIn) -> None:
    one, two = Removal(task_id="a", path="/a"), Removal(task_id="b", path="/b", saved_ref="refs/x")
    stand_in.prunes = [Pruned(removals=[one], more=True), Pruned(removals=[two], failures=1)]
    result = invoke("prune", "--list", "listlistlist", "--rested-for", "30d")
    assert result.exit_code == exits.REFUSED
    assert result.stdout.splitlines() == [
        "Task a: /a is removed.",
        "Task b: /b is removed; what was not landed is saved at refs/x.",
    ]
    assert "1 could not be removed" in result.stderr
    assert stand_in.asked("prune_worktrees") == [("listlistlist", timedelta(days=30), False)] * 2


def test_a_dry_prune_asks_once(stand_in: StandIn) -> None:
    stand_in.prunes = [Pruned(removals=[Removal(task_id="a", path="/a")], more=True)]
    result = invoke("prune", "--dry-run")
    assert "/a" in result.stdout
    assert result.stderr == "More worktrees are due than are shown.\n"


def test_a_task_is_deleted_once_a_person_has_agreed(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    stand_in.task = a_task(Task.STATE_FAILED, worktree=task_pb2.Worktree(branch="taskgrove/x"))
    stand_in.saved_ref = "refs/taskgrove/saved/x/1"
    result = invoke("rm", ID, "--discard-worktree", stdin="y\n")
    assert f"{ID}  failed     Fix it" in result.stderr
    assert result.stdout.startswith(f"Task {ID} is deleted.\n  its work is saved at refs/taskgrove/saved/x/1")
    assert result.stdout.endswith("  git branch taskgrove/x refs/taskgrove/saved/x/1\n")
    assert stand_in.asked("delete_task") == [(ID, True)]


def test_an_end_of_input_is_a_no_and_an_interrupt_none(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "is_interactive", lambda: True)
    stand_in.removal = Removal(task_id=ID, path="/a")
    assert invoke("discard", ID, stdin="").exit_code == exits.FAILED

    def interrupted(*_: object, **__: object) -> bool:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise click.Abort from None

    monkeypatch.setattr(click, "confirm", interrupted)
    assert invoke("discard", ID).exit_code == exits.INTERRUPTED
