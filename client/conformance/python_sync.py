"""Runs one scenario of README.md over the blocking client, and prints what it saw."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import grpc
from reports import GIVEN, TARGET, TOKEN, Fed, Seen, Watched, compared, outcome, refusal, state

import taskgrove
from taskgrove import errors, watching
from taskgrove.v1.task_service_pb2 import ListTasksRequest
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub


def enqueue(client: taskgrove.Client) -> Seen:
    """Enqueues twice with one request id, and once more with it and another body."""
    defaults = taskgrove.run_config(agent="command", command=GIVEN["command"])
    task_list = client.create_task_list(GIVEN["list_title"], defaults=defaults)

    def add(title: str) -> taskgrove.Task:
        return client.enqueue(
            task_list.id,
            title,
            description=GIVEN["description"],
            subtasks=GIVEN["subtasks"],
            request_id=GIVEN["request_id"],
        )

    return {
        "task_list_id": task_list.id,
        "task_ids": [add(GIVEN["title"]).id, add(GIVEN["title"]).id],
        "reused": refused(lambda: add("Another")),
    }


def repeat(client: taskgrove.Client) -> Seen:
    """Changes a list twice with one request id, then with another, and deletes it."""

    def rename(request_id: str | None) -> str:
        return client.update_task_list(
            GIVEN["task_list_id"], title=GIVEN["title"], etag=GIVEN["etag"], request_id=request_id
        ).title

    titles = [rename(GIVEN["request_id"]), rename(GIVEN["request_id"])]
    stale = refused(lambda: rename(None))
    client.delete_task_list(GIVEN["task_list_id"])
    return {"titles": titles, "stale": stale}


def watch(client: taskgrove.Client) -> Seen:
    """Watches a task to its rest."""
    return watched(client, GIVEN["task_id"], GIVEN["after_line"])


def continue_(client: taskgrove.Client) -> Seen:
    """Watches a task to its rest, continues it, and watches on."""
    before = watched(client, GIVEN["task_id"])
    client.continue_task(GIVEN["task_id"], GIVEN["prompt"])
    return {"before": before, "after": watched(client, GIVEN["task_id"], before["last_line"])}


def cancel(client: taskgrove.Client) -> Seen:
    """Cancels a task that runs, one that waits, and one that rests."""
    outcomes: Seen = {}
    states: Seen = {}
    running = client.enqueue(GIVEN["task_list_id"], "Running")
    for event in client.watch(running.id):
        if isinstance(event, taskgrove.Line) and not outcomes:
            waiting = client.cancel(client.enqueue(GIVEN["task_list_id"], "Waiting").id)
            outcomes["waiting"], states["waiting"] = outcome(waiting), state(waiting.task)
            outcomes["running"] = outcome(client.cancel(running.id))
        elif isinstance(event, watching.Rested):
            states["running"] = state(event.task)
    outcomes["rested"] = outcome(client.cancel(running.id))
    return {"outcomes": outcomes, "states": states}


def refusals(client: taskgrove.Client) -> Seen:
    """Makes calls that are refused, each for another reason."""
    with (
        taskgrove.Client(TARGET, token=GIVEN["wrong_token"]) as stranger,
        taskgrove.Client(GIVEN["dead_target"], token=TOKEN) as lost,
    ):
        return {
            "unknown_task": refused(lambda: client.get_task(GIVEN["unknown_task_id"])),
            "unknown_watch": refused(lambda: watched(client, GIVEN["unknown_task_id"])),
            "empty_title": refused(lambda: client.enqueue(GIVEN["task_list_id"], "")),
            "active_task": refused(lambda: client.continue_task(GIVEN["active_task_id"], "Go on.")),
            "wrong_token": refused(lambda: stranger.get_task(GIVEN["active_task_id"])),
            "no_server": refused(lambda: lost.get_task(GIVEN["active_task_id"])),
        }


def paging(client: taskgrove.Client) -> Seen:
    """Lists tasks; the client asks for each next page by itself."""
    tasks = client.list_tasks(task_list_id=GIVEN["task_list_id"], page_size=GIVEN["page_size"])
    return {"task_ids": [task.id for task in tasks], "made_up_token": refused(page_of_made_up_token)}


def page_of_made_up_token() -> None:
    """Asks for a page through the stubs, since the client keeps its page tokens to itself."""
    request = ListTasksRequest(
        task_list_id=GIVEN["task_list_id"], page_size=GIVEN["page_size"], page_token=GIVEN["page_token"]
    )
    with grpc.insecure_channel(TARGET) as channel:
        try:
            TaskServiceStub(channel).ListTasks(request, metadata=(("authorization", f"Bearer {TOKEN}"),))
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, TARGET) from error


def feed(client: taskgrove.Client) -> Seen:
    """Watches the feed from its beginning until a task is finished."""
    fed = Fed()
    for event in client.watch_events(after_sequence=0):
        if fed.take(event):
            break
    return fed.seen()


def diff(client: taskgrove.Client) -> Seen:
    """Reads what a task has changed."""
    return compared(client.diff_worktree(GIVEN["task_id"]))


def tls(client: taskgrove.Client) -> Seen:
    """Watches a task over TLS, and tries without."""
    with taskgrove.Client(TARGET, token=TOKEN, tls=False) as unencrypted:
        return {
            "watch": watched(client, GIVEN["task_id"]),
            "unencrypted": refused(lambda: unencrypted.get_task(GIVEN["task_id"])),
            "refused_targets": [target for target in GIVEN["targets"] if not is_taken(target)],
        }


def is_taken(target: str) -> bool:
    """Tells whether a client can be made that does not encrypt; it calls nothing."""
    try:
        with taskgrove.Client(target, token=TOKEN, tls=False):
            return True
    except ValueError:
        return False


def watched(client: taskgrove.Client, task_id: str, after_line: int = 0) -> Seen:
    """Watches a task to its rest, and describes what came."""
    report = Watched(after_line)
    for event in client.watch(task_id, after_line=after_line):
        report.take(event)
    return report.seen()


def refused(call: Callable[[], object]) -> Seen:
    """Makes a call, and describes how it is refused."""
    try:
        call()
    except taskgrove.TaskgroveError as error:
        return refusal(error)
    raise AssertionError("A call succeeded that had to be refused.")


SCENARIOS: dict[str, Callable[[taskgrove.Client], Seen]] = {
    "enqueue": enqueue,
    "repeat": repeat,
    "watch": watch,
    "continue": continue_,
    "cancel": cancel,
    "errors": refusals,
    "paging": paging,
    "feed": feed,
    "diff": diff,
    "tls": tls,
}


if __name__ == "__main__":
    with taskgrove.Client(TARGET, token=TOKEN) as connected:
        print(json.dumps(SCENARIOS[sys.argv[1]](connected)))
