"""An agent cannot be had for a while: no task fails for it, one at a time finds out, and all goes on by itself.

Claude Code is the real one; the model is a scripted API on loopback.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskgrove
from support import claude_cli, tasks_gates, tasks_work
from support.model_api import ModelApi, Step
from support.server import RunningServer
from taskgrove import Event, FailureKind, Hold, Task, run_config

KEY = "sk-test-holds"

SLOTS = 2

#: More than there are slots, so that some have never begun when the hold begins.
TASKS = 5

REFUSED = Step(status=401, error="authentication_error", message="Your login has expired", repeat=None)
LIMITED = Step(status=429, error="rate_limit_error", message="This request would exceed a limit", repeat=None)
OVERLOADED = Step(status=529, error="overloaded_error", message="Overloaded", repeat=None)
UNPAID = Step(
    status=400, error="invalid_request_error", message="Your credit balance is too low to access the API", repeat=None
)


@dataclass(frozen=True, slots=True)
class World:
    """A server whose Claude Code talks to a scripted API, and a list."""

    server: RunningServer
    client: taskgrove.Client
    api: ModelApi
    project: taskgrove.TaskList
    #: Where the server finds Claude Code.
    program: Path

    def enqueue(self, count: int = 1) -> list[str]:
        """Enqueues tasks, and returns their ids."""
        return [self.client.enqueue(self.project.id, f"Task {number}").id for number in range(count)]

    def holds(self) -> list[Hold]:
        """Returns what is held now."""
        return list(self.client.get_server_info().holds)

    def wait_for_hold(self, attempts: int = 1) -> Hold:
        """Waits until something is held for which so many tries have failed."""
        return tasks_gates.until(
            lambda: next((hold for hold in self.holds() if hold.attempts >= attempts), None), "a hold", patience=90
        )

    def check_all_done(self, task_ids: list[str]) -> None:
        """Checks that tasks succeed, that no retry of theirs was used up, and that the hold was told of."""
        for task_id in task_ids:
            task = self.client.wait(task_id)
            assert task.state == Task.STATE_SUCCEEDED, task.failure
            assert not any(run.is_retry for run in self.client.list_runs(task_id))
        assert self.holds() == []
        told = [event.kind for event in self.client.read_events(kinds=[Event.KIND_HOLD_BEGAN, Event.KIND_HOLD_ENDED])]
        assert told == [Event.KIND_HOLD_BEGAN, Event.KIND_HOLD_ENDED] * (len(told) // 2)
        assert told


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    program = tmp_path / "claude"
    program.symlink_to(claude_cli.executable())
    with ModelApi() as api:
        environment = {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": KEY,
            "IS_SANDBOX": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
        }
        flags = ("--claude", str(program), "--slots", str(SLOTS))
        with RunningServer(*flags, environment=environment) as server, server.client() as client:
            defaults = run_config(agent="claude", permission_mode="bypassPermissions")
            yield World(server, client, api, client.create_task_list("project", defaults=defaults), program)


@contextlib.contextmanager
def answering(step: Step, world: World) -> Generator[None]:
    """Has the model's API answer this alone."""
    world.api.script(step, key=KEY)
    yield
    world.api.script(key=KEY)


@contextlib.contextmanager
def away(world: World) -> Generator[None]:
    """Takes the agent's program away, as while it is replaced by another release."""
    aside = world.program.rename(world.program.with_name("aside"))
    yield
    aside.rename(world.program)


@contextlib.contextmanager
def being_written(world: World) -> Generator[None]:
    """Has the agent's program written to, so that nobody can start it."""
    real = world.program.resolve()
    world.program.unlink()
    shutil.copyfile(real, world.program)
    world.program.chmod(0o755)
    with world.program.open("ab"):
        yield


OUTAGES: dict[str, tuple[Callable[[World], contextlib.AbstractContextManager[None]], int]] = {
    "login expired": (lambda world: answering(REFUSED, world), FailureKind.FAILURE_KIND_AUTH),
    "limit reached": (lambda world: answering(LIMITED, world), FailureKind.FAILURE_KIND_RATE_LIMITED),
    "overloaded": (lambda world: answering(OVERLOADED, world), FailureKind.FAILURE_KIND_OVERLOADED),
    "no credit": (lambda world: answering(UNPAID, world), FailureKind.FAILURE_KIND_BILLING),
    "program away": (away, FailureKind.FAILURE_KIND_AGENT_NOT_FOUND),
    "program being written": (being_written, FailureKind.FAILURE_KIND_AGENT_NOT_FOUND),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_tasks_wait_while_their_agent_cannot_be_had(world: World, outage: str) -> None:
    begin, kind = OUTAGES[outage]
    with begin(world):
        task_ids = world.enqueue(TASKS)
        hold = world.wait_for_hold(attempts=2)
        assert (hold.id, hold.kind, hold.subject) == ("agent:claude", Hold.KIND_AGENT, "claude")
        assert hold.failure_kind == kind
        assert hold.reason
        assert {world.client.get_task(task_id).state for task_id in task_ids} <= {
            Task.STATE_QUEUED,
            Task.STATE_RUNNING,
        }
        # Commands need no account.
        assert tasks_work.run(world.client, "echo fine").result == "fine"
    world.check_all_done(task_ids)


def test_only_one_task_tries_and_each_in_its_turn(world: World) -> None:
    with answering(REFUSED, world):
        task_ids = world.enqueue(TASKS)
        world.wait_for_hold(attempts=3)
        counts = [world.client.get_task(task_id).run_count for task_id in task_ids]
        # All slots met it at once; from then on it was tried one at a time, by those first that had not tried.
        assert SLOTS <= sum(counts) <= SLOTS + 3
        assert max(counts) == 1
        world.client.cancel(task_ids[0])
        assert world.client.wait(task_ids[0]).state == Task.STATE_CANCELLED
    world.check_all_done(task_ids[1:])


def test_a_login_that_comes_back_for_a_moment_costs_no_task(world: World) -> None:
    with answering(REFUSED, world):
        task_ids = world.enqueue(TASKS)
        world.wait_for_hold(attempts=2)
        # Several are in slots by the time the second of these has its answer, and find the login expired once more.
        world.api.script(Step(say="Done."), Step(say="Done."), REFUSED, key=KEY)
        tasks_gates.until(lambda: len(states(world, task_ids, Task.STATE_SUCCEEDED)) == 2, "the answers")
        hold = world.wait_for_hold(attempts=2)
        assert hold.failure_kind == FailureKind.FAILURE_KIND_AUTH
    for task_id in task_ids:
        assert world.client.wait(task_id).state == Task.STATE_SUCCEEDED
    tasks_gates.until(lambda: not world.holds(), "the end of all holds")


def states(world: World, task_ids: list[str], state: Task.State) -> list[str]:
    """Returns those of some tasks that are in a state."""
    return [task_id for task_id in task_ids if world.client.get_task(task_id).state == state]


def failed(world: World, task_id: str) -> bool:
    """Tells whether a task has failed."""
    return world.client.get_task(task_id).state == Task.STATE_FAILED


def test_a_hold_outlives_a_restart_and_can_be_lifted(world: World) -> None:
    with answering(REFUSED, world):
        task_ids = world.enqueue(TASKS)
        hold = world.wait_for_hold()
        world.server.kill()
        # So long that it would not end by itself.
        world.server.start("--retry-pause", "3600")
        (kept,) = world.holds()
        assert (kept.id, kept.create_time, kept.reason) == (hold.id, hold.create_time, hold.reason)
        assert kept.next_try_time.ToSeconds() > time.time() + 3000
    with pytest.raises(taskgrove.HoldNotFound):
        world.client.lift_hold("agent:another")
    world.client.lift_hold(kept.id)
    world.check_all_done(task_ids)
    with pytest.raises(taskgrove.HoldNotFound):
        world.client.lift_hold(kept.id)


def test_a_task_that_is_edited_while_it_is_held_is_told_so(world: World) -> None:
    with answering(REFUSED, world):
        (task_id,) = world.enqueue()
        world.wait_for_hold()
        edited = tasks_gates.until(lambda: _edited(world, task_id), "the task waits")
        assert edited.title == "Another title"
    world.check_all_done([task_id])
    assert list(world.client.list_runs(task_id))[-1].prompt == "Another title"


def _edited(world: World, task_id: str) -> Task | None:
    try:
        return world.client.update_task(task_id, title="Another title")
    except taskgrove.TaskNotQueued:
        # It tries again at this moment.
        return None


def test_what_a_task_has_begun_goes_on_in_its_session(world: World) -> None:
    tool = Step(tool="Bash", input={"command": "echo begun > work.txt"})
    world.api.script(tool, LIMITED, key=KEY)
    (task_id,) = world.enqueue()
    hold = world.wait_for_hold()
    assert hold.failure_kind == FailureKind.FAILURE_KIND_RATE_LIMITED
    world.api.script(Step(say="All is done."), key=KEY)
    task = world.client.wait(task_id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "All is done.")
    runs = list(world.client.list_runs(task_id))
    assert len({run.session_id for run in runs}) == 1
    assert "You were cut off" in runs[-1].prompt
    assert Path(task.directory, "work.txt").read_text() == "begun\n"


#: Stands in for Claude Code where the API on loopback cannot have it say something. Says what its prompt names.
SAYS = """#!{python}
import json, pathlib, sys, time

def say(**record):
    print(json.dumps({{"session_id": session, **record}}), flush=True)

session = next(word.partition("=")[2] for word in sys.argv if word.startswith(("--session-id=", "--resume=")))
prompt = json.loads(sys.stdin.readline())["message"]["content"]
say(type="system", subtype="init", model="m")
limit = pathlib.Path({limit!r})
if "refused" in prompt:
    message = {{"model": "<synthetic>", "content": [{{"type": "text", "text": "Invalid API key"}}]}}
    say(type="assistant", error="authentication_failed", message=message)
    say(type="result", subtype="success", is_error=True, result="Invalid API key", num_turns=1)
elif limit.exists() and time.time() < float(limit.read_text()):
    if "event" in prompt:
        info = {{"status": "rejected", "resetsAt": float(limit.read_text())}}
        say(type="rate_limit_event", rate_limit_info=info)
        say(type="result", subtype="error_during_execution", is_error=True, num_turns=1)
    else:
        text = "Claude AI usage limit reached|" + limit.read_text()
        say(type="assistant", message={{"model": "<synthetic>", "content": [{{"type": "text", "text": text}}]}})
        say(type="result", subtype="success", is_error=False, result=text, num_turns=1)
else:
    say(type="assistant", message={{"model": "m", "content": [{{"type": "text", "text": "Done."}}]}})
    say(type="result", subtype="success", is_error=False, result="Done.", num_turns=1, usage={{"output_tokens": 1}})
"""


@pytest.fixture
def limit(world: World, tmp_path: Path) -> Path:
    """A file with the time until which a stand-in for Claude Code tells of a limit; there is none at first."""
    path = tmp_path / "limit"
    world.program.unlink()
    world.program.write_text(SAYS.format(python=sys.executable, limit=str(path)))
    world.program.chmod(0o755)
    return path


@pytest.mark.parametrize("told", ["by an event", "by words"])
def test_a_limit_holds_until_it_ends(world: World, limit: Path, told: str) -> None:
    ends = int(time.time()) + 8
    limit.write_text(str(ends))
    task_ids = [world.client.enqueue(world.project.id, f"Told {told} {number}").id for number in range(TASKS)]
    hold = world.wait_for_hold()
    assert hold.failure_kind == FailureKind.FAILURE_KIND_RATE_LIMITED
    assert hold.next_try_time.ToSeconds() == ends
    world.check_all_done(task_ids)
    for task_id in task_ids:
        # Those in the slots met it at the same moment.
        begun = [run.start_time.ToSeconds() for run in world.client.list_runs(task_id)]
        assert begun[-1] >= ends
        assert len(begun) <= 2
    (first, *_) = (event.hold for event in world.client.read_events(kinds=[Event.KIND_HOLD_BEGAN]))
    assert first.id == "agent:claude"


@pytest.mark.usefixtures("limit")
def test_a_task_that_fails_while_its_agent_works_for_others_is_to_blame(world: World) -> None:
    unlucky = world.client.enqueue(world.project.id, "I am refused").id
    world.wait_for_hold()
    others = world.enqueue(TASKS)
    for task_id in others:
        assert world.client.wait(task_id).state == Task.STATE_SUCCEEDED
    # What it was refused counts once the agent has answered another while it waits alone.
    tasks_gates.until(
        lambda: any(hold.kind == Hold.KIND_TASK for hold in world.holds()) or failed(world, unlucky),
        "a hold of its own",
    )
    world.client.wait(world.enqueue()[0])
    task = world.client.wait(unlucky)
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_AUTH)
    # It has tried alone for a while, and held up nobody.
    assert task.run_count <= 7
    world.client.wait(world.enqueue()[0])
    tasks_gates.until(lambda: not world.holds(), "the end of the hold")
