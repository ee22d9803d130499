"""What the model is asked when people's words look like commands, by the real Claude Code."""

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

PROMPTS = [
    "/clear the cache on logout",
    "/compact",
    "/help",
    "/exit",
    "/model opus",
    "/init",
    "/x do the work",
    "/skilled",
    "/nonsense",
    "  /clear",
    "/usr/bin/env is broken",
    "!touch made.txt",
    "#remember this",
    "ultrathink about it",
]


@pytest.fixture(scope="module")
def api() -> Iterator[ModelApi]:
    with ModelApi() as api:
        yield api


@pytest.fixture
def workplace(api: ModelApi, tmp_path: Path) -> Workplace:
    workplace = Workplace(api, tmp_path)
    write(workplace.directory / ".claude/commands/x.md", "---\ndescription: d\n---\nHIDDEN WORK: $ARGUMENTS\n")
    write(
        workplace.directory / ".claude/skills/skilled/SKILL.md",
        "---\nname: skilled\ndescription: d\n---\nHIDDEN WORK\n",
    )
    write(workplace.directory / "notes.txt", "THE NOTES")
    return workplace


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def asked(api: ModelApi, ran: Ran) -> str:
    """Returns what the user has said last, of the request that the model answered."""
    bodies = [body for body in api.requests(ran.key) if body.get("tools")]
    assert bodies, (ran.lines, ran.outcome)
    content = [message for message in bodies[0]["messages"] if message["role"] == "user"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_what_people_write_is_text_for_the_model_in_new_sessions_and_resumed_ones(
    workplace: Workplace, api: ModelApi, prompt: str
) -> None:
    first = workplace.run(Step(say="I see."), prompt=prompt)
    assert (first.outcome.state, first.outcome.result) == (RunState.SUCCEEDED, "I see.")
    assert prompt in asked(api, first)
    assert "HIDDEN WORK" not in asked(api, first)
    again = workplace.run(Step(say="Again."), prompt=prompt, session_id=first.outcome.session_id, resumes=True)
    assert (again.outcome.state, again.outcome.result) == (RunState.SUCCEEDED, "Again.")
    assert prompt in asked(api, again)
    assert "I see." in json.dumps(api.requests(again.key)[0]["messages"])
    assert not (workplace.directory / "made.txt").exists()


def test_a_file_that_is_mentioned_is_not_read_unasked(workplace: Workplace, api: ModelApi) -> None:
    ran = workplace.run(Step(say="I see."), prompt="Look at @notes.txt and @/etc/hostname")
    assert "Look at @notes.txt and @/etc/hostname" in asked(api, ran)
    assert "THE NOTES" not in json.dumps(api.requests(ran.key)[0])


def test_a_command_that_reaches_claude_code_all_the_same_is_no_success(
    workplace: Workplace, api: ModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"type": "user", "message": {"role": "user", "content": "/compact"}}

    def message(_prompt: str) -> dict[str, Any]:
        return plain

    monkeypatch.setattr("taskgrove_server.agents.claude_prompt.message", message)
    ran = workplace.run(Step(say="never"))
    assert api.requests(ran.key) == []
    assert ran.outcome.failure is not None
    assert (ran.outcome.failure.kind, ran.outcome.result) == (FailureKind.BLOCKED, None)


@pytest.mark.parametrize(
    "draft", ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-04/schema#"]
)
def test_a_schema_that_names_its_draft_is_taken(workplace: Workplace, draft: str) -> None:
    schema = {"$schema": draft, "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = Step(tool="StructuredOutput", input={"n": 7})
    ran = workplace.run(answer, settings=RunConfig(output_schema=json.dumps(schema)))
    assert ran.outcome.failure is None, ran.outcome
    assert json.loads(ran.outcome.structured_output or "") == {"n": 7}
