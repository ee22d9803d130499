"""How the command agent starts a program, and how backends are found."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from taskgrove_server.agents import registry
from taskgrove_server.agents.agent import LaunchRefused, LaunchRequest
from taskgrove_server.agents.command import WRAPPER, Command
from taskgrove_server.domain import config
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.ids import SessionId

REQUEST = LaunchRequest(
    prompt="Grüße",
    config=RunConfig(agent="command", command=config.Command(argv=("make", "it so"))),
    session_id=SessionId("0b0e7f0e-6a3c-4f0c-9a52-3d4a5b8f6a11"),
    resumes=False,
    directory="/",
    working_dir=None,
    run_directory="/",
    environment={"PATH": "/usr/bin:/bin", "SECRET": "s", "TASKGROVE_TOKEN": "t", "DEPLOY_KEY": "k"},
)


def test_arguments_are_passed_without_a_shell_and_the_prompt_on_a_standard_input_that_is_then_closed() -> None:
    launch = Command().launch(REQUEST)
    assert launch.argv == (sys.executable, "-I", "-S", str(WRAPPER), "make", "it so")
    assert (launch.stdin, launch.keep_stdin_open) == ("Grüße".encode(), False)
    assert (launch.interrupt, launch.model) == (b"", None)


def test_a_line_for_the_shell_runs_in_one(tmp_path: Path) -> None:
    line = 'read it; echo "$it from $0" > answer; printenv TASKGROVE_SESSION_ID TASKGROVE_RESUMES >> answer'
    request = replace(REQUEST, config=RunConfig(command=config.Command(shell=line)), resumes=True)
    launch = Command().launch(request)
    subprocess.run(
        launch.argv, input=launch.stdin + b"\n", cwd=tmp_path, env=launch.environment, timeout=30, check=True
    )
    assert (tmp_path / "answer").read_text() == f"Grüße from /bin/sh\n{REQUEST.session_id}\n1\n"


def test_a_program_gets_the_listed_variables_and_none_of_the_servers_own() -> None:
    launch = Command(pass_environment=("DEPLOY_*",)).launch(REQUEST)
    assert launch.environment == {
        "PATH": "/usr/bin:/bin",
        "DEPLOY_KEY": "k",
        "TASKGROVE_SESSION_ID": REQUEST.session_id,
        "TASKGROVE_RESUMES": "0",
    }


@pytest.mark.parametrize("command", [None, config.Command(), config.Command(argv=("echo", "a\0b"))])
def test_a_run_without_a_program_that_can_be_started_is_refused(command: config.Command | None) -> None:
    with pytest.raises(LaunchRefused) as refusal:
        Command().launch(replace(REQUEST, config=RunConfig(command=command)))
    assert refusal.value.failure.kind is FailureKind.INVALID_CONFIG


def test_the_agents_that_are_shipped_are_found_by_name() -> None:
    agents = registry.shipped()
    assert agents.names == {"claude", "command"}
    assert [agents.find(name).name for name in ("claude", "command")] == ["claude", "command"]


def test_an_agent_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    with pytest.raises(LaunchRefused, match="no agent `gpt`: this server has `claude`, `command`") as refusal:
        registry.shipped().find("gpt")
    assert refusal.value.failure.kind is FailureKind.INVALID_CONFIG
