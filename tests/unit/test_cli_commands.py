"""The commands that make tasks and look at them, over a stand-in for the client."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import repositories
from support.cli_stand_in import ID, CancelResponse, StandIn, Task, a_task, invoke
from taskgrove import errors
from taskgrove.cli import exits
from taskgrove.v1 import run_pb2, task_list_pb2


def test_a_refused_call_is_one_sentence(stand_in: StandIn) -> None:
    stand_in.failure = errors.TaskNotFound("There is no task 'x\x1b[2J'.", reason="TASK_NOT_FOUND")
    result = invoke("watch", ID)
    assert result.exit_code == exits.REFUSED
    assert result.stderr == "taskgrove: There is no task 'x'.\n"
    assert not result.stdout


def test_an_unreachable_server_is_named(stand_in: StandIn) -> None:
    stand_in.failure = errors.ServerUnavailable("connection refused", code=grpc.StatusCode.UNAVAILABLE)
    result = invoke("ls")
    assert result.exit_code == exits.UNREACHABLE
    assert result.stderr == (
        "taskgrove: Cannot reach localhost:1: nothing listens there. "
        "See whether taskgroved is running there, and check --target or TASKGROVE_TARGET.\n"
    )


def test_a_connection_that_cannot_be_made_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKGROVE_TLS_CA", "/nowhere/ca.pem")
    result = invoke("ls")
    assert result.exit_code == exits.UNREACHABLE
    assert result.stderr.startswith("taskgrove: Cannot connect to localhost:1: ")
    assert "/nowhere/ca.pem" in result.stderr


def test_enqueue_prints_the_id_alone(stand_in: StandIn) -> None:
    assert invoke("enqueue", "Fix it", "--list", "listlistlist").stdout == f"{ID}\n"
    shown = json.loads(invoke("enqueue", "Fix it", "--list", "listlistlist", "--json").stdout)
    assert shown["id"] == ID
    assert shown["state"] == "STATE_QUEUED"


def test_every_option_of_a_task_reaches_the_server(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object"}', encoding="utf-8")
    (tmp_path / "agent.md").write_text("---\nname: x\n---\n", encoding="utf-8")
    options = {
        "--description": "-",
        "--agent": "claude",
        "--model": "opus",
        "--system-prompt": "Be brief.",
        "--agent-file": f"{tmp_path}/agent.md",
        "--schema": f"{tmp_path}/schema.json",
        "--permission-mode": "plan",
        "--max-turns": "7",
        "--timeout": "1h30m",
        "--stall-timeout": "10m",
        "--linger": "5s",
        "--log-limit": "500M",
    }
    several = ["--subtask", "A", "--subtask", "B", "--allow-tool", "Edit", "--allow-tool", "Bash(git *)"]
    several += ["--setting-source", "user", "--setting-source", "project"]
    words = [word for option in options.items() for word in option]
    invoke("enqueue", "Fix it", "--list", "listlistlist", *words, *several, stdin="From a pipe.\n")
    [(_, task_list_id, title, fields)] = stand_in.requests
    assert (task_list_id, title) == ("listlistlist", "Fix it")
    assert fields["description"] == "From a pipe.\n"
    assert fields["subtasks"] == ("A", "B")
    config: taskgrove.RunConfig = fields["overrides"]
    assert (config.agent, config.model, config.system_prompt) == ("claude", "opus", "Be brief.")
    assert config.agent_path == f"{tmp_path}/agent.md"
    assert config.output_schema == '{"type": "object"}'
    assert config.permission_mode == "plan"
    assert list(config.allowed_tools) == ["Edit", "Bash(git *)"]
    assert config.max_turns == 7
    assert list(config.setting_sources) == ["user", "project"]
    assert (config.run_timeout.seconds, config.stall_timeout.seconds, config.linger.seconds) == (5400, 600, 5)
    assert config.log_limit == 500 << 20
    assert not config.HasField("command")


def test_words_after_two_dashes_are_a_program_with_its_own_options(stand_in: StandIn) -> None:
    result = invoke("enqueue", "Check", "--list", "listlistlist", "--", "make", "--json", "--", "-h")
    assert result.stdout == f"{ID}\n"
    config: taskgrove.RunConfig = stand_in.requests[0][3]["overrides"]
    assert config.agent == "command"
    assert list(config.command.argv.values) == ["make", "--json", "--", "-h"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "fix", "the", "login"], "unexpected extra argument"),
        (["run", "Fix", "--"], "A program must follow --"),
        (["run", "Fix", "--agent", "claude", "--", "make"], "takes no words after --"),
        (["run", "Fix", "--timeout", "soon"], "no span of time"),
        (["run", "Fix", "--schema", "/nowhere"], "Cannot read '/nowhere'"),
        (["watch", ID, "--after-line", "-1"], "--after-line"),
        (["ls", "--state", "happy"], "happy"),
        (["lists", "update", "listlistlist"], "Nothing to change"),
        (["cancel"], "TASK"),
    ],
)
def test_wrong_usage_is_told_apart(stand_in: StandIn, arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == exits.USAGE
    assert message in result.stderr
    assert not stand_in.requests


def test_a_task_goes_to_the_list_of_the_repository_around_the_directory(stand_in: StandIn, tmp_path: Path) -> None:
    top = repositories.make_repository(tmp_path / "project")
    (top / "src").mkdir(exist_ok=True)
    stand_in.task_lists = [task_list_pb2.TaskList(id="theirstheirs", working_dir=str(top))]
    invoke("enqueue", "Fix it", "--dir", f"{top}/src")
    assert stand_in.requests[-1][1] == "theirstheirs"


def test_a_list_is_made_for_a_repository_that_has_none(stand_in: StandIn, tmp_path: Path) -> None:
    top = repositories.make_repository(tmp_path / "project")
    stand_in.task_lists = [task_list_pb2.TaskList(id="othersothers", working_dir="/elsewhere")]
    invoke("enqueue", "Fix it", "--dir", str(top))
    assert stand_in.requests[0] == ("create_task_list", "project", top)
    assert stand_in.requests[1][1] == "newnewnewnew"


def test_outside_a_repository_the_sandbox_list_is_used_and_said_so(stand_in: StandIn, tmp_path: Path) -> None:
    result = invoke("enqueue", "Fix it", "--dir", str(tmp_path))
    assert stand_in.requests[0] == ("create_task_list", "sandbox", None)
    assert "Not in a git repository" in result.stderr
    stand_in.task_lists = [
        task_list_pb2.TaskList(id="namednamed12", title="sandbox", working_dir="/a/repository/named/sandbox"),
        task_list_pb2.TaskList(id="sandboxsandb", title="sandbox"),
    ]
    invoke("enqueue", "Fix it", "--dir", str(tmp_path))
    assert stand_in.requests[-1][1] == "sandboxsandb"


def test_a_repository_that_git_cannot_use_is_not_taken_for_none(stand_in: StandIn, tmp_path: Path) -> None:
    bare = repositories.make_bare_repository(tmp_path / "bare.git")
    result = invoke("enqueue", "Fix it", "--dir", str(bare))
    assert result.exit_code == exits.REFUSED
    assert "work tree" in result.stderr
    assert not stand_in.requests


def test_continue_can_leave_without_watching(stand_in: StandIn) -> None:
    assert invoke("continue", ID, "More", "--detach").stdout == f"{ID}\n"
    assert not stand_in.watched_after


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (CancelResponse.OUTCOME_CANCELLED, "is cancelled"),
        (CancelResponse.OUTCOME_STOPPING, "is being stopped"),
        (CancelResponse.OUTCOME_TOO_LATE, "already succeeded"),
        (CancelResponse.OUTCOME_ALREADY_RESTED, "at rest already: queued"),
    ],
)
def test_cancel_says_what_came_of_it(stand_in: StandIn, outcome: CancelResponse.Outcome, said: str) -> None:
    stand_in.outcome = outcome
    result = invoke("cancel", ID, ID)
    assert result.exit_code == exits.SUCCEEDED
    assert result.stdout.count(said) == 2


def test_cancel_goes_on_after_a_task_that_is_refused(stand_in: StandIn) -> None:
    stand_in.failure = errors.TaskNotFound("There is no such task.", reason="TASK_NOT_FOUND")
    result = invoke("cancel", "a", "b")
    assert result.exit_code == exits.REFUSED
    assert stand_in.requests == [("cancel", "a"), ("cancel", "b")]


def test_ls_is_a_table_bounded_by_the_limit(stand_in: StandIn) -> None:
    stand_in.task.create_time.GetCurrentTime()
    result = invoke("ls", "--limit", "2", "--state", "queued", "--state", "running")
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "TITLE", "AGE", "TIME", "RUNS", "LIST"]
    assert [line.split()[:4] for line in lines] == [[ID, "queued", "Fix", "it"]] * 2
    assert stand_in.requests[0][1]["states"] == (Task.STATE_QUEUED, Task.STATE_RUNNING)


def test_ls_as_json_is_one_object_a_line(stand_in: StandIn) -> None:
    lines = invoke("ls", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [ID] * 3


def test_show_has_the_task_and_its_runs(stand_in: StandIn) -> None:
    stand_in.task = a_task(Task.STATE_SUCCEEDED, result="All green.", description="Please.")
    stand_in.run = run_pb2.Run(number=1, agent="claude", model="opus", input_tokens=5, exit_code=0, session_id="s-1")
    result = invoke("show", ID)
    for shown in ("Fix it", "Please.", "listlistlist (deleted)", "run 1 · claude · opus", "s-1", "All green."):
        assert shown in result.stdout
    parsed = json.loads(invoke("show", ID, "--json").stdout)
    assert parsed["task"]["result"] == "All green."
    assert parsed["runs"][0]["input_tokens"] == "5"
