"""The server is killed again and again, in every phase of a task for certain and at any moment by chance."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_chance, tasks_following, tasks_gates, tasks_processes, tasks_verdict, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from support.tasks_verdict import Ledger, Story
from taskgrove.v1.task_pb2 import Task

pytestmark = pytest.mark.timeout(600)

SLOTS = 4

#: What a run does to the repository: something else each time.
WORK = 'echo "$TASKGROVE_RUN_ID" > work.txt'

#: Ends when it is told to, and leaves a child in a session of its own that does not.
ENDLESS = "echo $$; setsid sh -c 'trap \"\" HUP INT TERM; echo $$; sleep 1000' & exec sleep 1000"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of the test's own, to be killed."""
    with RunningServer("--slots", str(SLOTS), "--retry-pause", "0.1") as running:
        yield running


@pytest.fixture
def moments() -> random.Random:
    """Chooses when."""
    return tasks_chance.seeded()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Tells which runs' programs were started."""
    return Ledger(tmp_path / "ledger")


def restart(server: RunningServer) -> None:
    server.kill()
    server.start()


def begin(client: taskgrove.Client, command: str, repository: Path | None, *ends: Task.State) -> Story:
    """Enqueues a task of a list of its own."""
    task_list = tasks_work.make_list(client, command, repository)
    return Story(client, client.enqueue(task_list.id, "Do it").id, frozenset(ends or {Task.STATE_SUCCEEDED}))


@pytest.mark.parametrize("storm", range(3))
def test_all_kinds_of_tasks_live_through_kills_at_any_moment(
    server: RunningServer,
    client: taskgrove.Client,
    repository: Path,
    ledger: Ledger,
    moments: random.Random,
    storm: int,
) -> None:
    counting = f"{ledger.note}; for i in $(seq 40); do echo $i; sleep 0.01; done; {WORK}"
    retried = f'{ledger.note}; echo try; [ "$TASKGROVE_RESUMES" = 1 ] || exit 75; {WORK}'
    failing = f"{ledger.note}; echo lost; exit 1"
    endless = f"{ledger.note}; {ENDLESS}"
    before = tasks_work.snapshot(repository)
    to_cancel = [begin(client, endless, repository, Task.STATE_CANCELLED)]
    stories = [*to_cancel]
    counting_ones: list[Story] = []
    to_continue: list[Story] = []
    for _ in range(8):
        counting_ones.append(begin(client, counting, repository))
        stories.append(counting_ones[-1])
        stories.append(begin(client, retried, repository))
        to_continue.append(moments.choice(stories[-2:]))
        stories.append(begin(client, failing, repository, Task.STATE_FAILED))
        to_cancel.append(begin(client, endless, repository, Task.STATE_CANCELLED))
        stories.append(to_cancel[-1])
        # The oldest, which may run, or the newest, which waits or has hardly begun.
        client.cancel(to_cancel.pop(moments.choice((0, -1))).task_id)
        time.sleep(moments.uniform(0, 0.6))
        restart(server)
    for story in to_cancel:
        client.cancel(story.task_id)
    for story in to_continue:
        story.go_on("Go on.")
    time.sleep(moments.uniform(0, 0.6))
    restart(server)
    tasks_verdict.check_all(server, client, stories, ledger, repository)
    numbers = [str(number) for number in range(1, 41)]
    for story in counting_ones:
        assert tasks_following.texts(story.events) == numbers * len(story.followers)
    assert tasks_work.snapshot(repository) == before
    assert "Traceback" not in server.log.read_text()


def test_a_queue_is_worked_off_in_its_order(
    server: RunningServer, client: taskgrove.Client, repository: Path, ledger: Ledger, moments: random.Random
) -> None:
    order = server.root / "order"
    restart_with_one_slot(server)
    task_list = tasks_work.make_list(client, f"{ledger.note}; cat >> {order}; echo >> {order}; {WORK}", repository)
    stories = [Story(client, client.enqueue(task_list.id, f"Task {number}").id) for number in range(14)]
    for _ in range(6):
        time.sleep(moments.uniform(0, 0.4))
        restart_with_one_slot(server)
    tasks_verdict.check_all(server, client, stories, ledger, repository)
    assert [line for line in order.read_text().splitlines() if line] == [f"Task {number}" for number in range(14)]


def restart_with_one_slot(server: RunningServer) -> None:
    server.kill()
    server.start("--slots", "1")


def test_killed_while_a_worktree_is_made(
    server: RunningServer,
    client: taskgrove.Client,
    repository: Path,
    ledger: Ledger,
    tmp_path: Path,
    moments: random.Random,
) -> None:
    tasks_work.add_filter(repository)
    stories: list[Story] = []
    for number in range(5):
        with Gate(tmp_path / f"gate-{number}") as gate:
            tasks_work.set_filter(repository, smudge=f"{gate.pass_through}; cat")
            stories.append(begin(client, f"{ledger.note}; {WORK}", repository))
            gate.wait_for_arrivals()
            time.sleep(moments.uniform(0, 0.02))
            server.kill()
            if moments.random() < 0.5:
                # Git goes on without its server, and may be through before the next one looks.
                gate.open()
            server.start()
            gate.open()
            stories[-1].follower.rested()
    tasks_verdict.check_all(server, client, stories, ledger, repository)


def test_killed_between_the_worktree_and_its_record(
    server: RunningServer, client: taskgrove.Client, repository: Path, ledger: Ledger, tmp_path: Path
) -> None:
    tasks_work.add_filter(repository)
    stories: list[Story] = []
    for number in range(3):
        with Gate(tmp_path / f"gate-{number}") as gate:
            tasks_work.set_filter(repository, smudge=f"{gate.pass_through}; cat")
            stories.append(begin(client, f"{ledger.note}; {WORK}", repository))
            gate.wait_for_arrivals()
            with tasks_verdict.store_locked(server):
                gate.open()
                tasks_gates.until(lambda: made(repository, len(stories)), "the worktree")
                server.kill()
            server.start()
            stories[-1].follower.rested()
    tasks_verdict.check_all(server, client, stories, ledger, repository)


def made(repository: Path, worktrees: int) -> bool:
    """Tells whether there are so many linked worktrees, and git is at work on none of them."""
    git_dirs = list((repository / ".git" / "worktrees").iterdir())
    # The index is the last thing that it writes.
    return len(git_dirs) == worktrees and all(
        (git_dir / "index").exists() and not (git_dir / "index.lock").exists() for git_dir in git_dirs
    )


def test_killed_as_soon_as_a_run_is_recorded(
    server: RunningServer, client: taskgrove.Client, repository: Path, ledger: Ledger, moments: random.Random
) -> None:
    stories: list[Story] = []
    for _ in range(8):
        stories.append(begin(client, f"{ledger.note}; {WORK}", repository))
        tasks_gates.until(lambda: tasks_verdict.recorded_runs(server, stories[-1].task_id), "a run")
        # The supervisor is started within these milliseconds, and some later the agent.
        time.sleep(moments.uniform(0, 0.04))
        restart(server)
        stories[-1].follower.rested()
    tasks_verdict.check_all(server, client, stories, ledger, repository)


def test_killed_between_a_result_and_the_decision_on_it(
    server: RunningServer, client: taskgrove.Client, repository: Path, ledger: Ledger, tmp_path: Path
) -> None:
    stories: list[Story] = []
    for number in range(3):
        with Gate(tmp_path / f"gate-{number}") as gate:
            command = f"{ledger.note}; echo before; {WORK}; {gate.pass_through}; echo after"
            stories.append(begin(client, command, repository))
            gate.wait_for_arrivals()
            with tasks_verdict.store_locked(server):
                gate.open()
                tasks_gates.until(lambda: tasks_processes.supervisors(server) == [], "the end of the run")
                server.kill()
            server.start()
            stories[-1].follower.rested()
    tasks_verdict.check_all(server, client, stories, ledger, repository)
    for story in stories:
        assert tasks_following.texts(story.events) == ["before", "after"]


@pytest.mark.parametrize("when", ["while it is staged", "once it is made"])
def test_killed_at_the_commit(
    server: RunningServer,
    client: taskgrove.Client,
    repository: Path,
    ledger: Ledger,
    tmp_path: Path,
    moments: random.Random,
    when: str,
) -> None:
    tasks_work.add_filter(repository)
    stories: list[Story] = []
    for number in range(4):
        with Gate(tmp_path / f"gate-{number}") as gate:
            tasks_work.set_filter(repository, clean=f"{gate.pass_through}; cat")
            stories.append(begin(client, f"{ledger.note}; {WORK}; cp work.txt {number}.filtered", repository))
            gate.wait_for_arrivals()
            if when == "while it is staged":
                time.sleep(moments.uniform(0, 0.02))
                server.kill()
                if moments.random() < 0.5:
                    gate.open()
            else:
                # So it cannot be written that the task rests.
                with tasks_verdict.store_locked(server):
                    gate.open()
                    worktree = client.get_task(stories[-1].task_id).worktree
                    tasks_gates.until(has_commit(repository, worktree.branch, worktree.base_commit), "the commit")
                    server.kill()
            server.start()
            # It was decided before the commit.
            outcome = client.cancel(stories[-1].task_id).outcome
            assert outcome in {
                taskgrove.CancelResponse.OUTCOME_TOO_LATE,
                taskgrove.CancelResponse.OUTCOME_ALREADY_RESTED,
            }
            gate.open()
            stories[-1].follower.rested()
    tasks_verdict.check_all(server, client, stories, ledger, repository)


def has_commit(repository: Path, branch: str, base: str) -> Callable[[], bool]:
    return lambda: repositories.head(repository, branch) != base


def test_killed_during_a_cancel(
    server: RunningServer, client: taskgrove.Client, repository: Path, ledger: Ledger, moments: random.Random
) -> None:
    stories: list[Story] = []
    with ThreadPoolExecutor(1) as calls:
        for _ in range(8):
            stories.append(story := begin(client, f"{ledger.note}; {ENDLESS}", repository, Task.STATE_CANCELLED))
            story.follower.wait_for(lambda events: len(tasks_following.texts(events)) == 2, "two process ids")
            # Each step of a cancel is there to be cut off: the call, its record, the stop, the sweep, the rest.
            call = calls.submit(client.cancel, story.task_id)
            time.sleep(moments.choice((moments.uniform(0, 0.01), moments.uniform(0, 1.2))))
            restart(server)
            # The client library repeats the call for as long as a start takes; here it may take longer.
            if call.exception() is not None:
                assert isinstance(call.exception(), taskgrove.ServerUnavailable)
                client.cancel(story.task_id)
            story.follower.rested()
            pids = [int(text) for text in tasks_following.texts(story.events)]
            assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []
    tasks_verdict.check_all(server, client, stories, ledger, repository)


def test_killed_while_the_worktree_of_a_task_is_made_that_is_being_cancelled(
    server: RunningServer,
    client: taskgrove.Client,
    repository: Path,
    ledger: Ledger,
    tmp_path: Path,
    moments: random.Random,
) -> None:
    tasks_work.add_filter(repository)
    stories: list[Story] = []
    for number in range(5):
        with Gate(tmp_path / f"gate-{number}") as gate:
            tasks_work.set_filter(repository, smudge=f"{gate.pass_through}; cat")
            stories.append(story := begin(client, f"{ledger.note}; {WORK}", repository, Task.STATE_CANCELLED))
            gate.wait_for_arrivals()
            client.cancel(story.task_id)
            # Git is ended, and what it made is removed, within these milliseconds.
            time.sleep(moments.uniform(0, 0.02))
            restart(server)
            story.follower.rested()
    # Not a worktree, not a branch is left: no task knows of them, so nobody would ever remove them.
    tasks_verdict.check_all(server, client, stories, ledger, repository)


def test_a_task_whose_worktree_was_being_made_is_cancelled_in_the_queue(
    server: RunningServer, client: taskgrove.Client, repository: Path, ledger: Ledger, tmp_path: Path
) -> None:
    tasks_work.add_filter(repository)
    with Gate(tmp_path / "slot") as slot, Gate(tmp_path / "git") as git:
        stories = [begin(client, f"{ledger.note}; {slot.pass_through}", None)]
        slot.wait_for_arrivals()
        tasks_work.set_filter(repository, smudge=f"{git.pass_through}; cat")
        stories.append(begin(client, f"{ledger.note}; {WORK}", repository, Task.STATE_CANCELLED))
        git.wait_for_arrivals()
        # The run that goes on has the only slot.
        restart_with_one_slot(server)
        outcome = client.cancel(stories[-1].task_id).outcome
        assert outcome == taskgrove.CancelResponse.OUTCOME_CANCELLED
        slot.open()
        for story in stories:
            story.follower.rested()
    tasks_verdict.check_all(server, client, stories, ledger, repository)
