"""What a task that was held is told, and whether it is to blame: for what passes no task is, however often it comes.

A program stands in for Claude Code, and does with each task what a file says at that moment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_gates, tasks_work
from support.server import RunningServer
from taskgrove import FailureKind, Hold, Task, run_config

AGENT = """#!{python}
import json, pathlib, sys, time

def say(**record):
    print(json.dumps({{"session_id": session, **record}}), flush=True)

def said(text, **more):
    say(type="assistant", message={{"model": "m", "content": [{{"type": "text", "text": text}}], **more}})

def fail(error, text):
    content = [{{"type": "text", "text": text}}]
    say(type="assistant", error=error, message={{"model": "<synthetic>", "content": content}})
    say(type="result", subtype="success", is_error=True, result=text, num_turns=1)

session = next(word.partition("=")[2] for word in sys.argv if word.startswith(("--session-id=", "--resume=")))
prompt = json.dumps(json.loads(sys.stdin.readline())["message"]["content"])
moods = pathlib.Path({moods!r})
how = next((how for name, how in json.loads(moods.read_text()).items() if name in prompt), "works")
say(type="system", subtype="init", model="m")
if how == "refuses":
    fail("authentication_failed", "Invalid API key")
elif how == "wants a model that is used up":
    limit = {{"status": "rejected", "rateLimitType": "seven_day_opus", "resetsAt": time.time() + 600000}}
    say(type="rate_limit_event", rate_limit_info=limit)
    say(type="result", subtype="error_during_execution", is_error=True, num_turns=1)
elif how == "overloaded":
    fail("overloaded", "Overloaded")
else:
    said("I begin.")
    if how == "is busy":
        moods.with_suffix(".busy").touch()
    while how == "is busy" and "busy" in moods.read_text():
        time.sleep(0.05)
    if how == "is cut off":
        fail("authentication_failed", "Invalid API key")
    else:
        text = "I was told: " + prompt
        say(type="result", subtype="success", is_error=False, result=text, num_turns=1, usage={{"output_tokens": 1}})
"""


@dataclass(frozen=True, slots=True)
class World:
    """A server with such an agent, and a list."""

    server: RunningServer
    client: taskgrove.Client
    moods: Path
    project: taskgrove.TaskList

    def set_moods(self, **moods: str) -> None:
        """Says what the agent does with tasks whose prompt has a word in it."""
        new = self.moods.with_suffix(".new")
        new.write_text(json.dumps(moods))
        new.rename(self.moods)

    def enqueue(self, title: str) -> str:
        """Enqueues a task, and returns its id."""
        return self.client.enqueue(self.project.id, title, description="the first words").id

    def wait_for_runs(self, task_id: str, count: int) -> None:
        """Waits until a task has been tried so often, and is back in the queue or rests."""

        def tried() -> bool:
            task = self.client.get_task(task_id)
            return task.run_count >= count and task.state != Task.STATE_RUNNING

        tasks_gates.until(tried, f"{count} runs")

    def update(self, task_id: str, description: str) -> None:
        """Changes what a task says, as soon as it is not being tried."""

        def updated() -> bool:
            try:
                self.client.update_task(task_id, description=description)
            except taskgrove.TaskNotQueued:
                return False
            return True

        tasks_gates.until(updated, "the change")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    moods = tmp_path / "moods"
    moods.write_text("{}")
    program = tmp_path / "claude"
    program.write_text(AGENT.format(python=sys.executable, moods=str(moods)))
    program.chmod(0o755)
    flags = ("--claude", str(program), "--slots", "2", "--retry-pause", "0.2")
    with RunningServer(*flags) as server, server.client() as client:
        yield World(server, client, moods, client.create_task_list("project", defaults=run_config(agent="claude")))


@pytest.mark.parametrize("mood", ["refuses", "overloaded"])
def test_an_agent_that_is_away_again_charges_nobody(world: World, mood: str) -> None:
    world.set_moods(Unlucky=mood)
    task_id = world.enqueue("Unlucky")
    world.wait_for_runs(task_id, 1)
    # It is there for others in between, and away again when it is this one's turn: more often than one may be refused
    # alone, but nobody else has been answered since.
    assert world.client.wait(world.enqueue("In between")).state == Task.STATE_SUCCEEDED
    world.wait_for_runs(task_id, 6)
    assert world.client.get_task(task_id).state == Task.STATE_QUEUED
    world.set_moods()
    assert world.client.wait(task_id).state == Task.STATE_SUCCEEDED
    assert not world.client.get_server_info().holds


def test_the_limit_of_one_model_holds_nobody_who_asks_for_another(world: World) -> None:
    world.set_moods(Large="wants a model that is used up")
    large = world.enqueue("Large")
    world.wait_for_runs(large, 1)
    assert world.client.wait(world.enqueue("Small")).state == Task.STATE_SUCCEEDED
    (hold,) = world.client.get_server_info().holds
    assert (hold.kind, hold.subject) == (Hold.KIND_TASK, large)
    world.set_moods()
    world.client.lift_hold(hold.id)
    assert world.client.wait(large).state == Task.STATE_SUCCEEDED


def test_what_an_agent_said_before_a_restart_blames_nobody(world: World) -> None:
    world.set_moods(Long="is busy", Second="refuses")
    long = world.enqueue("Long")
    tasks_gates.until(world.moods.with_suffix(".busy").exists, "the agent is at work")
    second = world.enqueue("Second")
    world.wait_for_runs(second, 2)
    world.server.kill()
    world.server.start()
    before = world.client.get_task(second).run_count
    world.wait_for_runs(second, before + 3)
    assert world.client.get_task(second).state == Task.STATE_QUEUED
    world.set_moods()
    for task_id in (long, second):
        assert world.client.wait(task_id).state == Task.STATE_SUCCEEDED


@pytest.mark.parametrize("mood", ["refuses", "is cut off"])
def test_a_task_that_is_changed_while_it_is_held_is_told_as_it_reads_now(world: World, mood: str) -> None:
    """Whether or not the agent has read it before."""
    world.set_moods(Unlucky=mood, cut=mood)
    task_id = world.enqueue("Unlucky")
    world.wait_for_runs(task_id, 1)
    world.update(task_id, "other words")
    world.set_moods()
    task = world.client.wait(task_id)
    assert task.state == Task.STATE_SUCCEEDED
    assert "other words" in task.result


def test_a_task_that_was_cancelled_while_it_was_held_begins_as_if_it_never_was(world: World) -> None:
    world.set_moods(Unlucky="refuses")
    task_id = world.enqueue("Unlucky")
    world.wait_for_runs(task_id, 1)
    world.client.cancel(task_id)
    assert world.client.wait(task_id).state == Task.STATE_CANCELLED
    for title in ("Another", "One more"):
        assert world.client.wait(world.enqueue(title)).state == Task.STATE_SUCCEEDED
    before = world.client.get_task(task_id).run_count
    world.client.retry_task(task_id)
    world.wait_for_runs(task_id, before + 1)
    # The agent is away for this one alone, as far as anybody knows: it may be so for all.
    assert [hold.kind for hold in world.client.get_server_info().holds] == [Hold.KIND_AGENT]
    world.set_moods()
    assert world.client.wait(task_id).state == Task.STATE_SUCCEEDED


def test_a_directory_that_cannot_be_entered_is_no_fault_of_the_agent(world: World, tmp_path: Path) -> None:
    repository = repositories.make_repository(tmp_path / "repository", files={"README.md": "hello\n"})
    settings = taskgrove.worktree_settings(setup_command='rm -rf "$PWD"')
    defaults = run_config(agent="claude")
    bad = world.client.create_task_list("bad", working_dir=repository, defaults=defaults, worktree_settings=settings)
    task = tasks_work.rest(world.client, world.client.enqueue(bad.id, "Mine").id)
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_WORKTREE)
    assert not world.client.get_server_info().holds
