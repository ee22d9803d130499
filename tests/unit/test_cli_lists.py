"""The commands for task lists, over a stand-in for the client."""

from __future__ import annotations

from pathlib import Path

import taskgrove
from support import repositories
from support.cli_stand_in import StandIn, invoke
from taskgrove.cli import exits
from taskgrove.v1 import task_list_pb2


def test_updating_one_default_of_a_list_keeps_the_others(stand_in: StandIn) -> None:
    stand_in.task_lists = [
        task_list_pb2.TaskList(
            id="listlistlist",
            defaults=taskgrove.run_config(model="opus", max_turns=5, allowed_tools=["Edit"], system_prompt="Brief."),
        )
    ]
    invoke("lists", "update", "listlistlist", "--allow-tool", "Read", "--unset", "max-turns")
    [(_, _, changes)] = stand_in.requests
    assert changes["title"] is None
    assert changes["worktree_settings"] is None
    assert changes["defaults"] == taskgrove.run_config(model="opus", allowed_tools=["Read"], system_prompt="Brief.")


def test_a_list_is_made_for_the_top_level_of_a_repository(stand_in: StandIn, tmp_path: Path) -> None:
    top = repositories.make_repository(tmp_path / "project")
    (top / "src").mkdir(exist_ok=True)
    assert invoke("lists", "create", "Mine", "--dir", f"{top}/src", "--model", "opus").stdout == "newnewnewnew\n"
    assert stand_in.requests == [("create_task_list", "Mine", top)]
    refused = invoke("lists", "create", "Mine", "--dir", str(tmp_path))
    assert refused.exit_code == exits.REFUSED
    assert "not in a git repository" in refused.stderr
