"""The real Claude Code against a scripted API, through the backend's launch and parser.

With RECORD=1 in the environment, the runs that the unit tests replay are recorded anew.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.claude_cli import Ran, Workplace
from support.model_api import ModelApi, Step
from taskgrove_server.domain import ids
from taskgrove_server.domain.config import DEFAULT_MODEL, RunConfig
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.run import RunState

RECORDINGS = Path(__file__).parents[1] / "recordings"

SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


@pytest.fixture(scope="module")
def api() -> Iterator[ModelApi]:
    with ModelApi() as api:
        yield api


@pytest.fixture
def workplace(api: ModelApi, tmp_path: Path) -> Workplace:
    return Workplace(api, tmp_path)


def recorded(workplace: Workplace, ran: Ran, name: str) -> Ran:
    if os.environ.get("RECORD"):
        workplace.record(ran, RECORDINGS / f"claude_{name}.ndjson")
    return ran


def failure_of(ran: Ran) -> Failure:
    assert ran.outcome.failure is not None, ran.lines
    return ran.outcome.failure


def sent(api: ModelApi, ran: Ran) -> dict[str, Any]:
    """Returns the body of the run's first request."""
    return api.wait_for_request(ran.key)


def system_prompt(body: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in body["system"])


def test_a_run_ends_with_the_models_text_and_its_usage(workplace: Workplace, api: ModelApi) -> None:
    session_id = ids.new_session_id()
    step = Step(say="It is **done**.", usage={"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 5})
    ran = recorded(workplace, workplace.run(step, session_id=session_id), "success")
    assert ran.outcome.state is RunState.SUCCEEDED
    assert (ran.outcome.result, ran.outcome.exit_code) == ("It is **done**.", 0)
    assert ran.outcome.session_id == session_id
    usage = ran.outcome.usage
    assert (usage.turns, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (1, 7, 3, 5)
    assert usage.cost_usd is not None
    assert usage.cost_usd > 0
    assert sent(api, ran)["model"] == DEFAULT_MODEL == ran.launch.model
    assert "Do it." in json.dumps(sent(api, ran)["messages"])


def test_a_continued_session_keeps_its_id_and_what_was_said_and_costs_only_its_own_part(
    workplace: Workplace, api: ModelApi
) -> None:
    first = workplace.run(Step(say="The word is heron."))
    cost = first.outcome.usage.session_cost_usd
    assert cost is not None
    assert first.outcome.session_id is not None
    again = workplace.run(
        Step(say="Still heron."), session_id=first.outcome.session_id, resumes=True, session_cost_usd=cost
    )
    assert again.outcome.result == "Still heron."
    assert again.outcome.session_id == first.outcome.session_id
    assert "The word is heron." in json.dumps(sent(api, again)["messages"])
    assert again.outcome.usage.cost_usd == pytest.approx(first.outcome.usage.cost_usd)
    assert again.outcome.usage.session_cost_usd == pytest.approx(2 * cost)


def test_refused_credentials_end_a_run_within_seconds_instead_of_minutes(workplace: Workplace) -> None:
    ran = workplace.run(Step(status=401, error="authentication_error", message="invalid x-api-key", repeat=None))
    recorded(workplace, ran, "unauthorized")
    assert (failure_of(ran).kind, failure_of(ran).http_status) == (FailureKind.AUTH, 401)
    # Left alone it takes three minutes; the process is killed after PATIENCE.
    assert ran.outcome.exit_code != 137


def test_a_forbidden_account_is_an_auth_failure(workplace: Workplace) -> None:
    ran = workplace.run(Step(status=403, error="permission_error", message="not you", repeat=None))
    assert (failure_of(ran).kind, failure_of(ran).http_status) == (FailureKind.AUTH, 403)
    assert "not you" in failure_of(ran).message


def test_an_unknown_model_is_named(workplace: Workplace) -> None:
    step = Step(status=404, error="not_found_error", message="model: claude-nope", repeat=None)
    ran = recorded(workplace, workplace.run(step, settings=RunConfig(model="claude-nope")), "model_not_found")
    assert (failure_of(ran).kind, failure_of(ran).http_status) == (FailureKind.MODEL_NOT_FOUND, 404)
    assert "claude-nope" in failure_of(ran).message


def test_an_overload_that_passes_is_no_failure(workplace: Workplace) -> None:
    step = Step(status=529, error="overloaded_error", message="Overloaded")
    ran = recorded(workplace, workplace.run(step, Step(say="Now.")), "overloaded_once")
    assert (ran.outcome.state, ran.outcome.result) == (RunState.SUCCEEDED, "Now.")


def test_an_overload_that_stays_is_one(workplace: Workplace) -> None:
    step = Step(status=529, error="overloaded_error", message="Overloaded", repeat=None)
    ran = recorded(workplace, workplace.run(step, CLAUDE_CODE_MAX_RETRIES="1"), "overloaded")
    assert (failure_of(ran).kind, failure_of(ran).http_status) == (FailureKind.OVERLOADED, 529)


def test_an_api_that_cannot_be_reached_counts_as_overloaded(workplace: Workplace) -> None:
    ran = workplace.run(CLAUDE_CODE_MAX_RETRIES="1", ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    assert (failure_of(ran).kind, failure_of(ran).http_status) == (FailureKind.OVERLOADED, None)


def test_a_spent_subscription_tells_when_it_is_renewed(workplace: Workplace, api: ModelApi) -> None:
    limit = {
        "retry-after": "7200",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1893456000",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
    }
    token = api.script(Step(status=429, error="rate_limit_error", headers=limit, repeat=None))
    ran = workplace.run(ANTHROPIC_API_KEY="", CLAUDE_CODE_OAUTH_TOKEN=token)
    recorded(workplace, ran, "rate_limited")
    assert failure_of(ran).kind is FailureKind.RATE_LIMITED
    retry_time = failure_of(ran).retry_time
    assert retry_time is not None
    assert retry_time.isoformat() == "2030-01-01T00:00:00+00:00"


def test_structured_output_is_json_and_the_text_beside_it_the_result(workplace: Workplace) -> None:
    step = Step(say="I counted.", tool="StructuredOutput", input={"n": 7})
    ran = recorded(workplace, workplace.run(step, settings=RunConfig(output_schema=SCHEMA)), "structured")
    assert json.loads(ran.outcome.structured_output or "") == {"n": 7}
    assert (ran.outcome.state, ran.outcome.result) == (RunState.SUCCEEDED, "I counted.")


def test_structured_output_that_the_model_never_gives_fails_the_run(workplace: Workplace) -> None:
    ran = workplace.run(Step(say="No.", repeat=None), settings=RunConfig(output_schema=SCHEMA))
    recorded(workplace, ran, "output_ignored")
    assert failure_of(ran).kind is FailureKind.OUTPUT_MISSING
    assert (ran.outcome.result, ran.outcome.exit_code) == ("No.", 0)


def test_structured_output_that_never_fits_fails_the_run_with_the_reason(workplace: Workplace) -> None:
    step = Step(tool="StructuredOutput", input={"n": "seven"}, repeat=None)
    ran = workplace.run(step, settings=RunConfig(output_schema=SCHEMA))
    assert failure_of(ran).kind is FailureKind.OUTPUT_MISSING
    assert "must be integer" in failure_of(ran).message


def test_an_agent_definition_decides_who_the_agent_is(workplace: Workplace, api: ModelApi) -> None:
    (workplace.directory / "reviewer.md").write_text(
        "---\nname: reviewer\ndescription: Reviews\ntools: Read, Grep\nmodel: claude-opus-4-5\n---\nYou review.\n"
    )
    settings = RunConfig(agent_path="reviewer.md", system_prompt="Mind the herons.")
    body = sent(api, workplace.run(Step(say="Fine."), settings=settings))
    assert "You review.\n\nMind the herons." in system_prompt(body)
    assert sorted(tool["name"] for tool in body["tools"]) == ["Grep", "Read"]
    assert body["model"] == "claude-opus-4-5"


def test_a_model_that_was_asked_for_comes_before_the_definitions(workplace: Workplace, api: ModelApi) -> None:
    (workplace.directory / "a.md").write_text(
        "---\nname: a\nmodel: claude-opus-4-5\ndisallowedTools: [Bash, Write]\n---\nYou are A.\n"
    )
    settings = RunConfig(agent_path="a.md", model="claude-haiku-4-5")
    body = sent(api, workplace.run(Step(say="Fine."), settings=settings))
    tools = {tool["name"] for tool in body["tools"]}
    assert body["model"] == "claude-haiku-4-5"
    assert "Read" in tools
    assert not tools & {"Bash", "Write"}


def test_each_allowed_tool_may_be_used_and_a_refused_one_is_reported(workplace: Workplace) -> None:
    ran = workplace.run(
        Step(tool="Bash", input={"command": "git --version"}),
        Step(tool="Bash", input={"command": "env true"}),
        Step(tool="Bash", input={"command": "curl example.org"}),
        Step(say="That was all I could do."),
        settings=RunConfig(allowed_tools=("Bash(git *)", "Bash(env *)")),
    )
    recorded(workplace, ran, "denied")
    assert ran.outcome.state is RunState.SUCCEEDED
    assert ran.outcome.permission_denials == ("Bash: curl example.org",)


def test_a_run_out_of_turns_fails_and_can_go_on(workplace: Workplace) -> None:
    step = Step(tool="Bash", input={"command": "git --version"}, repeat=3)
    settings = RunConfig(max_turns=2, allowed_tools=("Bash(git *)",))
    ran = recorded(workplace, workplace.run(step, settings=settings), "max_turns")
    assert (failure_of(ran).kind, ran.outcome.usage.input_tokens) == (FailureKind.MAX_TURNS, 200)
    again = workplace.run(Step(say="Done."), session_id=ran.outcome.session_id, resumes=True)
    assert again.outcome.result == "Done."


def test_a_session_that_claude_code_does_not_know_is_lost(workplace: Workplace) -> None:
    ran = recorded(workplace, workplace.run(resumes=True), "session_lost")
    assert failure_of(ran).kind is FailureKind.SESSION_LOST


def test_a_value_that_claude_code_refuses_is_quoted_and_leaves_no_session(workplace: Workplace) -> None:
    ran = workplace.run(settings=RunConfig(permission_mode="--allow-all"))
    assert failure_of(ran).kind is FailureKind.INVALID_CONFIG
    assert "argument '--allow-all' is invalid" in failure_of(ran).message
    assert (ran.lines, ran.outcome.session_id) == ([], None)


def test_a_missing_login_is_an_auth_failure(workplace: Workplace) -> None:
    ran = recorded(workplace, workplace.run(ANTHROPIC_API_KEY=""), "not_logged_in")
    assert failure_of(ran).kind is FailureKind.AUTH


def test_the_interrupt_and_a_closed_input_end_a_run_and_its_tool_at_once(workplace: Workplace) -> None:
    started = workplace.directory / "started"
    os.mkfifo(started)
    tool: list[int] = []
    ran = workplace.run(
        Step(tool="Bash", input={"command": f"echo $$ > {started}; exec perl -e 'sleep 120'"}),
        settings=RunConfig(permission_mode="bypassPermissions"),
        cancel_when=lambda: tool.append(os.pidfd_open(int(started.read_text()))),
    )
    recorded(workplace, ran, "interrupted")
    assert (ran.outcome.state, ran.outcome.exit_code) == (RunState.CANCELLED, -1)
    assert ran.outcome.session_id is not None
    with os.fdopen(tool[0]) as pidfd:
        assert select.select([pidfd], [], [], 5.0)[0], "the tool goes on"
