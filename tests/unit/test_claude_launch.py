"""How Claude Code is started, and with which environment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskgrove_server.agents import environment
from taskgrove_server.agents.agent import Launch, LaunchRefused, LaunchRequest
from taskgrove_server.agents.claude import Claude
from taskgrove_server.domain.config import DEFAULT_MODEL, RunConfig
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.ids import SessionId

SESSION = SessionId("0b0e7f0e-6a3c-4f0c-9a52-3d4a5b8f6a11")


@pytest.fixture
def request_(tmp_path: Path) -> LaunchRequest:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.touch(mode=0o755)
    return LaunchRequest(
        prompt='Say "hi",\nthen Grüße',
        config=RunConfig(),
        session_id=SESSION,
        resumes=False,
        directory=str(tmp_path),
        working_dir=str(tmp_path),
        run_directory=str(tmp_path),
        environment={"PATH": str(program.parent), "HOME": "/home/user"},
    )


def launch(request: LaunchRequest, **settings: Any) -> Launch:
    return Claude().launch(replace(request, config=replace(request.config, **settings)))


def value(launched: Launch, flag: str) -> str | None:
    values = [argument.removeprefix(f"{flag}=") for argument in launched.argv if argument.startswith(f"{flag}=")]
    assert len(values) < 2
    return values[0] if values else None


def refusal(request: LaunchRequest, **settings: Any) -> str:
    with pytest.raises(LaunchRefused) as refused:
        launch(request, **settings)
    assert refused.value.failure.kind is FailureKind.INVALID_CONFIG
    return refused.value.failure.message


def test_the_conversation_goes_both_ways_as_lines_of_json(request_: LaunchRequest) -> None:
    launched = launch(request_)
    assert {"--print", "--verbose", "--input-format=stream-json", "--output-format=stream-json"} < set(launched.argv)
    assert json.loads(launched.stdin)["message"] == {"role": "user", "content": request_.prompt}
    assert launched.stdin.count(b"\n") == 1
    assert launched.keep_stdin_open
    assert json.loads(launched.interrupt)["request"] == {"subtype": "interrupt"}
    assert launched.interrupt.endswith(b"\n")


def test_a_new_session_gets_its_id_and_an_old_one_is_resumed(request_: LaunchRequest) -> None:
    new, old = launch(request_), Claude().launch(replace(request_, resumes=True))
    assert (value(new, "--session-id"), value(new, "--resume")) == (SESSION, None)
    assert (value(old, "--session-id"), value(old, "--resume")) == (None, SESSION)


def test_the_model_is_that_of_the_config_else_of_the_definition_else_the_default(request_: LaunchRequest) -> None:
    directory = Path(request_.directory)
    (directory / "named.md").write_text("---\nname: a\nmodel: opus\n---\nYou.")
    (directory / "open.md").write_text("---\nname: a\nmodel: inherit\n---\nYou.")
    models = [
        launch(request_, model="haiku", agent_path="named.md"),
        launch(request_, agent_path="named.md"),
        launch(request_, agent_path="open.md"),
        launch(request_),
    ]
    assert [launched.model for launched in models] == ["haiku", "opus", DEFAULT_MODEL, DEFAULT_MODEL]
    assert [value(launched, "--model") for launched in models] == [launched.model for launched in models]


def test_a_definition_is_handed_over_whole(request_: LaunchRequest) -> None:
    Path(request_.directory, "a.md").write_text(
        "---\nname: a\ndescription: d\ntools: Read\ndisallowedTools: Bash\n---\nDu prüfst."
    )
    launched = launch(request_, agent_path="a.md")
    assert value(launched, "--agent") == "a"
    assert json.loads(value(launched, "--agents") or "") == {
        "a": {"description": "d", "prompt": "Du prüfst.", "tools": ["Read"], "disallowedTools": ["Bash"]}
    }


def test_a_long_system_prompt_goes_by_file(request_: LaunchRequest) -> None:
    launched = launch(request_, system_prompt="ü" * 65_536)
    path = Path(value(launched, "--append-system-prompt-file") or "")
    assert path.parent == Path(request_.run_directory)
    assert path.read_text(encoding="utf-8") == "ü" * 65_536


def test_each_setting_is_one_argument_whatever_is_in_it(request_: LaunchRequest) -> None:
    launched = launch(
        request_,
        permission_mode="--x",
        allowed_tools=("Bash(git *)", "--dangerous"),
        output_schema='{"type": "object"}',
        max_turns=3,
    )
    assert launched.argv[-5:] == (
        "--permission-mode=--x",
        "--allowedTools=Bash(git *)",
        "--allowedTools=--dangerous",
        '--json-schema={"type": "object"}',
        "--max-turns=3",
    )


def test_the_settings_that_are_read_are_those_asked_for(request_: LaunchRequest) -> None:
    assert value(launch(request_, setting_sources=("user", "local")), "--setting-sources") == "user,local"
    # No source at all.
    assert value(launch(request_, setting_sources=("none",)), "--setting-sources") == ""


def test_what_is_not_set_is_left_to_claude_code(request_: LaunchRequest) -> None:
    flags = {argument.partition("=")[0] for argument in launch(request_).argv[1:]}
    assert flags == {"--print", "--verbose", "--input-format", "--output-format", "--session-id", "--model"}


def test_what_the_system_cannot_pass_to_a_program_is_refused(request_: LaunchRequest) -> None:
    assert "at most 131071 are possible" in refusal(request_, output_schema="x" * 131_072)
    assert "NUL" in refusal(request_, permission_mode="a\0b")
    Path(request_.directory, "a.md").write_text('---\nname: a\ndescription: "\\ud800"\n---\nYou.')
    assert "surrogate" in refusal(request_, agent_path="a.md")


def test_the_program_is_found_on_the_path_that_it_gets(request_: LaunchRequest) -> None:
    assert launch(request_).argv[0] == str(Path(request_.environment["PATH"], "claude"))


def test_a_missing_program_is_reported_with_what_to_do(request_: LaunchRequest) -> None:
    with pytest.raises(LaunchRefused, match=r"`claude-nope`.*Install it") as refused:
        Claude("claude-nope").launch(request_)
    assert refused.value.failure.kind is FailureKind.AGENT_NOT_FOUND


def environment_of(request: LaunchRequest, claude: Claude | None = None, **variables: str) -> set[str]:
    """Returns the names of the variables that Claude Code gets besides those that it always gets."""
    always = (claude or Claude()).launch(request).environment
    given = dict(request.environment) | variables
    return (claude or Claude()).launch(replace(request, environment=given)).environment.keys() - always.keys()


def test_claude_code_gets_its_own_credentials_and_settings(request_: LaunchRequest) -> None:
    own = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "u", "CLAUDE_CONFIG_DIR": "d", "IS_SANDBOX": "1"}
    own |= {"CLAUDE_CODE_OAUTH_TOKEN": "t", "CLAUDE_CODE_MAX_RETRIES": "1"}
    assert environment_of(request_, None, **own) == own.keys()


def test_no_other_secret_is_passed_on(request_: LaunchRequest) -> None:
    others = {"CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "cli", "GITHUB_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "k"}
    assert environment_of(request_, None, **others) == set()


@pytest.mark.parametrize(("switch", "passed"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_credentials_of_a_cloud_are_passed_on_when_its_switch_is_on(
    request_: LaunchRequest, switch: str, passed: bool
) -> None:
    got = environment_of(request_, None, CLAUDE_CODE_USE_BEDROCK=switch, AWS_PROFILE="p", AZURE_API_KEY="k")
    assert ("AWS_PROFILE" in got, "AZURE_API_KEY" in got) == (passed, False)


def test_an_operator_passes_on_what_he_names(request_: LaunchRequest) -> None:
    claude = Claude(pass_environment=("GITHUB_TOKEN", "NPM_*"))
    got = environment_of(request_, claude, GITHUB_TOKEN="t", GITHUB_TOKEN_2="t", NPM_TOKEN="t")
    assert got == {"GITHUB_TOKEN", "NPM_TOKEN"}


def test_work_in_the_background_and_telemetry_are_off(request_: LaunchRequest) -> None:
    got = Claude().launch(replace(request_, environment={**request_.environment, "DISABLE_TELEMETRY": "0"}))
    assert got.environment["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] == "1"
    assert got.environment["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert got.environment["DISABLE_TELEMETRY"] == "1"


def test_every_agent_gets_what_programs_need_and_nothing_else() -> None:
    server = {"PATH": "p", "LC_ALL": "C", "https_proxy": "x", "NODE_EXTRA_CA_CERTS": "c", "SSH_AUTH_SOCK": "s"}
    assert environment.pass_on(server).keys() == server.keys() - {"SSH_AUTH_SOCK"}


def test_the_servers_own_settings_are_never_passed_on_even_when_everything_is() -> None:
    server = {"TASKGROVE_LISTEN": "x", "CLAUDECODE": "1", "EDITOR": "vi"}
    assert environment.pass_on(server, "*", "TASKGROVE_LISTEN") == {"EDITOR": "vi"}


def test_all_of_the_worktree_may_be_worked_on_from_a_directory_in_it(request_: LaunchRequest) -> None:
    below = replace(request_, worktree="/tree", directory="/tree/packages/app")
    assert value(launch(below), "--add-dir") == "/tree"
    assert value(launch(replace(request_, worktree="/tree", directory="/tree")), "--add-dir") is None
    assert value(launch(request_), "--add-dir") is None
