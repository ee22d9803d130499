"""Runs one scenario of README.md over the asyncio client, and prints what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

import grpc
from grpc import aio
from reports import GIVEN, TARGET, TOKEN, Fed, Seen, Watched, compared, outcome, refusal, state

import taskgrove
from taskgrove import errors, watching
from taskgrove.v1.task_service_pb2 import ListTasksRequest
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub


async def enqueue(client: taskgrove.AsyncClient) -> Seen:
    """Enqueues twice with one request id, and once more with it and another body."""
    defaults = taskgrove.run_config(agent="command", command=GIVEN["command"])
    task_list = await client.create_task_list(GIVEN["list_title"], defaults=defaults)

    async def add(title: str) -> taskgrove.Task:
        return await client.enqueue(
            task_list.id,
            title,
            description=GIVEN["description"],
            subtasks=GIVEN["subtasks"],
            request_id=GIVEN["request_id"],
        )

    return {
        "task_list_id": task_list.id,
        "task_ids": [(await add(GIVEN["title"])).id, (await add(GIVEN["title"])).id],
        "reused": await refused(add("Another")),
    }


async def repeat(client: taskgrove.AsyncClient) -> Seen:
    """Changes a list twice with one request id, then with another, and deletes it."""

    async def rename(request_id: str | None) -> str:
        task_list = await client.update_task_list(
            GIVEN["task_list_id"], title=GIVEN["title"], etag=GIVEN["etag"], request_id=request_id
        )
        return task_list.title

    titles = [await rename(GIVEN["request_id"]), await rename(GIVEN["request_id"])]
    stale = await refused(rename(None))
    await client.delete_task_list(GIVEN["task_list_id"])
    return {"titles": titles, "stale": stale}


async def watch(client: taskgrove.AsyncClient) -> Seen:
    """Watches a task to its rest."""
    return await watched(client, GIVEN["task_id"], GIVEN["after_line"])


async def continue_(client: taskgrove.AsyncClient) -> Seen:
    """Watches a task to its rest, continues it, and watches on."""
    before = await watched(client, GIVEN["task_id"])
    await client.continue_task(GIVEN["task_id"], GIVEN["prompt"])
    return {"before": before, "after": await watched(client, GIVEN["task_id"], before["last_line"])}


async def cancel(client: taskgrove.AsyncClient) -> Seen:
    """Cancels a task that runs, one that waits, and one that rests."""
    outcomes: Seen = {}
    states: Seen = {}
    running = await client.enqueue(GIVEN["task_list_id"], "Running")
    async for event in client.watch(running.id):
        if isinstance(event, taskgrove.Line) and not outcomes:
            waiting = await client.cancel((await client.enqueue(GIVEN["task_list_id"], "Waiting")).id)
            outcomes["waiting"], states["waiting"] = outcome(waiting), state(waiting.task)
            outcomes["running"] = outcome(await client.cancel(running.id))
        elif isinstance(event, watching.Rested):
            states["running"] = state(event.task)
    outcomes["rested"] = outcome(await client.cancel(running.id))
    return {"outcomes": outcomes, "states": states}


async def refusals(client: taskgrove.AsyncClient) -> Seen:
    """Makes calls that are refused, each for another reason."""
    async with (
        taskgrove.AsyncClient(TARGET, token=GIVEN["wrong_token"]) as stranger,
        taskgrove.AsyncClient(GIVEN["dead_target"], token=TOKEN) as lost,
    ):
        return {
            "unknown_task": await refused(client.get_task(GIVEN["unknown_task_id"])),
            "unknown_watch": await refused(watched(client, GIVEN["unknown_task_id"])),
            "empty_title": await refused(client.enqueue(GIVEN["task_list_id"], "")),
            "active_task": await refused(client.continue_task(GIVEN["active_task_id"], "Go on.")),
            "wrong_token": await refused(stranger.get_task(GIVEN["active_task_id"])),
            "no_server": await refused(lost.get_task(GIVEN["active_task_id"])),
        }


async def paging(client: taskgrove.AsyncClient) -> Seen:
    """Lists tasks; the client asks for each next page by itself."""
    tasks = client.list_tasks(task_list_id=GIVEN["task_list_id"], page_size=GIVEN["page_size"])
    return {
        "task_ids": [task.id async for task in tasks],
        "made_up_token": await refused(page_of_made_up_token()),
    }


async def page_of_made_up_token() -> None:
    """Asks for a page through the stubs, since the client keeps its page tokens to itself."""
    request = ListTasksRequest(
        task_list_id=GIVEN["task_list_id"], page_size=GIVEN["page_size"], page_token=GIVEN["page_token"]
    )
    async with aio.insecure_channel(TARGET) as channel:
        try:
            await TaskServiceStub(channel).ListTasks(request, metadata=(("authorization", f"Bearer {TOKEN}"),))
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, TARGET) from error


async def feed(client: taskgrove.AsyncClient) -> Seen:
    """Watches the feed from its beginning until a task is finished."""
    fed = Fed()
    async with client.watch_events(after_sequence=0) as events:
        async for event in events:
            if fed.take(event):
                break
    return fed.seen()


async def diff(client: taskgrove.AsyncClient) -> Seen:
    """Reads what a task has changed."""
    return compared(await client.diff_worktree(GIVEN["task_id"]))


async def tls(client: taskgrove.AsyncClient) -> Seen:
    """Watches a task over TLS, and tries without."""
    async with taskgrove.AsyncClient(TARGET, token=TOKEN, tls=False) as unencrypted:
        return {
            "watch": await watched(client, GIVEN["task_id"]),
            "unencrypted": await refused(unencrypted.get_task(GIVEN["task_id"])),
            "refused_targets": [target for target in GIVEN["targets"] if not await is_taken(target)],
        }


async def is_taken(target: str) -> bool:
    """Tells whether a client can be made that does not encrypt; it calls nothing."""
    try:
        async with taskgrove.AsyncClient(target, token=TOKEN, tls=False):
            return True
    except ValueError:
        return False


async def watched(client: taskgrove.AsyncClient, task_id: str, after_line: int = 0) -> Seen:
    """Watches a task to its rest, and describes what came."""
    report = Watched(after_line)
    async for event in client.watch(task_id, after_line=after_line):
        report.take(event)
    return report.seen()


async def refused(call: Awaitable[object]) -> Seen:
    """Makes a call, and describes how it is refused."""
    try:
        await call
    except taskgrove.TaskgroveError as error:
        return refusal(error)
    raise AssertionError("A call succeeded that had to be refused.")


SCENARIOS: dict[str, Callable[[taskgrove.AsyncClient], Awaitable[Seen]]] = {
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


async def main() -> None:
    """Runs the scenario that the command line names."""
    async with taskgrove.AsyncClient(TARGET, token=TOKEN) as client:
        print(json.dumps(await SCENARIOS[sys.argv[1]](client)))


if __name__ == "__main__":
    asyncio.run(main())
