"""What a repository's settings can do to a run, by the real Claude Code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.claude_cli import Ran, Workplace
from support.model_api import ModelApi, Step
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.run import RunState

TOUCH = Step(say="I will.", tool="Bash", input={"command": "touch made.txt", "description": "Makes a file"})
DONE = Step(say="Done.", repeat=None)


@pytest.fixture(scope="module")
def api() -> Iterator[ModelApi]:
    with ModelApi() as api:
        yield api


@pytest.fixture
def workplace(api: ModelApi, tmp_path: Path) -> Workplace:
    return Workplace(api, tmp_path)


def hook(directory: Path, event: str, says: dict[str, Any] | None = None, *, code: int = 0) -> None:
    """Gives a repository a hook that says something and exits."""
    program = directory / "hook.sh"
    said = f"cat <<'END'\n{json.dumps(says)}\nEND\n" if says else "echo 'not today' >&2\n"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\n{said}exit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    settings(directory / ".claude/settings.json", event, str(program))


def settings(path: Path, event: str, command: str) -> None:
    path.parent.mkdir(exist_ok=True)
    hooks = {"hooks": {event: [{"matcher": "*", "hooks": [{"type": "command", "command": command}]}]}}
    path.write_text(json.dumps(hooks), encoding="utf-8")


def decision(what: str) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": what}}


def check_blocked(ran: Ran, *said: str) -> None:
    assert ran.outcome.failure is not None, ran.lines
    assert ran.outcome.failure.kind is FailureKind.BLOCKED, ran.outcome
    for words in said:
        assert words in ran.outcome.failure.message


def test_a_tool_call_that_a_hook_puts_off_blocks_the_run(workplace: Workplace) -> None:
    hook(workplace.directory, "PreToolUse", decision("defer"))
    ran = workplace.run(TOUCH, DONE)
    check_blocked(ran, "put off", "Bash: touch made.txt")
    assert not (workplace.directory / "made.txt").exists()
    # Once somebody has acted, the session goes on with it.
    (workplace.directory / ".claude/settings.json").unlink()
    again = workplace.run(DONE, prompt="Go on.", session_id=ran.outcome.session_id, resumes=True)
    assert (again.outcome.state, again.outcome.result) == (RunState.SUCCEEDED, "Done.")
    assert (workplace.directory / "made.txt").exists()


@pytest.mark.parametrize("event", ["PreToolUse", "PostToolUse"])
def test_a_run_that_a_hook_stops_at_a_tool_is_blocked(workplace: Workplace, event: str) -> None:
    hook(workplace.directory, event, {"continue": False, "stopReason": "the build is red"})
    check_blocked(workplace.run(TOUCH, DONE), "stopped", "Bash: touch made.txt")


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        ({"decision": "block", "reason": "prompts are closed"}, 0, "prompts are closed"),
        ({"continue": False, "stopReason": "closed for today"}, 0, "closed for today"),
        (None, 2, "not today"),
    ],
)
def test_a_prompt_that_a_hook_refuses_blocks_the_run(
    workplace: Workplace, api: ModelApi, says: dict[str, Any] | None, code: int, words: str
) -> None:
    hook(workplace.directory, "UserPromptSubmit", says, code=code)
    ran = workplace.run(DONE)
    check_blocked(ran, words)
    assert api.requests(ran.key) == []


def test_a_hook_that_never_lets_the_agent_end_blocks_the_run(workplace: Workplace) -> None:
    hook(workplace.directory, "Stop", {"decision": "block", "reason": "the tests fail"})
    check_blocked(workplace.run(TOUCH, DONE), "again and again", "the tests fail")


@pytest.mark.parametrize(
    ("event", "says", "code"),
    [
        ("Stop", {"continue": False, "stopReason": "enough"}, 0),
        ("UserPromptSubmit", None, 1),
        ("SessionStart", {"continue": False, "stopReason": "no sessions"}, 0),
        ("SessionStart", None, 2),
    ],
)
def test_a_hook_that_keeps_nobody_from_the_work_blocks_nothing(
    workplace: Workplace, event: str, says: dict[str, Any] | None, code: int
) -> None:
    hook(workplace.directory, event, says, code=code)
    ran = workplace.run(TOUCH, DONE)
    assert (ran.outcome.state, ran.outcome.result) == (RunState.SUCCEEDED, "Done.")
    assert (workplace.directory / "made.txt").exists()


@pytest.mark.parametrize("says", [decision("deny"), decision("ask"), None])
def test_a_tool_call_that_a_hook_denies_is_told_to_the_model_and_reported(
    workplace: Workplace, says: dict[str, Any] | None
) -> None:
    hook(workplace.directory, "PreToolUse", says, code=0 if says else 2)
    ran = workplace.run(TOUCH, DONE)
    assert (ran.outcome.state, ran.outcome.permission_denials) == (RunState.SUCCEEDED, ("Bash: touch made.txt",))


@pytest.mark.parametrize(
    ("sources", "read"),
    [
        ((), {"user", "project", "local"}),
        (("user",), {"user"}),
        (("user", "project"), {"user", "project"}),
        (("local",), {"local"}),
        (("none",), set[str]()),
    ],
)
def test_the_settings_that_are_read_are_those_asked_for(
    workplace: Workplace, api: ModelApi, sources: tuple[str, ...], read: set[str]
) -> None:
    home, repository = workplace.root / "home", workplace.directory
    (home / ".claude").mkdir()
    for name, path in {
        "user": home / ".claude/settings.json",
        "project": repository / ".claude/settings.json",
        "local": repository / ".claude/settings.local.json",
    }.items():
        settings(path, "SessionStart", f"touch {workplace.root}/ran-{name}")
    (home / ".claude/CLAUDE.md").write_text("MEMORY-OF-user", encoding="utf-8")
    (repository / "CLAUDE.md").write_text("MEMORY-OF-project", encoding="utf-8")
    (repository / "CLAUDE.local.md").write_text("MEMORY-OF-local", encoding="utf-8")
    ran = workplace.run(DONE, settings=RunConfig(setting_sources=sources))
    assert ran.outcome.state is RunState.SUCCEEDED, ran.lines
    assert {path.name.removeprefix("ran-") for path in workplace.root.glob("ran-*")} == read
    body = json.dumps(api.requests(ran.key)[0])
    assert {name for name in ("user", "project", "local") if f"MEMORY-OF-{name}" in body} == read
