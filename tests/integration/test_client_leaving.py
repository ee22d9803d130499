"""Leaving a watch: by break, by close from elsewhere, by cancellation; nothing stays behind."""

from __future__ import annotations

import asyncio
import threading

import pytest

import taskgrove
from support import scripted_service
from support.scripted_service import Log, ScriptedServer, Step
from taskgrove import resuming
from taskgrove.v1.task_service_pb2 import WatchTaskRequest

pytestmark = pytest.mark.asyncio

LOG = Log([b"1\n", b"2\n", b"3\n", b"4\n"])
START = WatchTaskRequest()
#: Sends the lines and then nothing more.
ENDLESS: list[Step] = [*list(LOG(START))[:-1], scripted_service.hang]


async def everything(watch: taskgrove.AsyncWatch) -> list[taskgrove.WatchEvent]:
    return [event async for event in watch]


async def test_leaving_the_loop_ends_the_stream_and_iterating_again_goes_on_blocking() -> None:
    async with ScriptedServer() as server:
        with taskgrove.Client(server.target) as client:
            server.service.watches += [ENDLESS, LOG]
            watch = client.watch("t")

            def first_lines() -> list[int]:
                taken: list[int] = []
                for event in watch:
                    if isinstance(event, taskgrove.Line):
                        taken.append(event.number)
                    if watch.last_line == 2:
                        break
                return taken

            assert await asyncio.to_thread(first_lines) == [1, 2]
            assert watch.task == LOG.running
            async with asyncio.timeout(10):
                await server.service.abandoned.wait()
            rest = await asyncio.to_thread(lambda: list(watch))
    assert rest == [taskgrove.Line(3, 1, b"3\n"), taskgrove.Line(4, 1, b"4\n"), taskgrove.Rested(LOG.result)]
    assert server.service.requests("WatchTask")[1].after_line == 2


async def test_leaving_the_loop_ends_the_stream_and_iterating_again_goes_on_asyncio() -> None:
    async with ScriptedServer() as server, taskgrove.AsyncClient(server.target) as client:
        server.service.watches += [ENDLESS, LOG]
        watch = client.watch("t")
        async for _ in watch:
            if watch.last_line == 2:
                break
        assert watch.task == LOG.running
        async with asyncio.timeout(10):
            await server.service.abandoned.wait()
        rest = await everything(watch)
    assert rest == [taskgrove.Line(3, 1, b"3\n"), taskgrove.Line(4, 1, b"4\n"), taskgrove.Rested(LOG.result)]
    assert server.service.requests("WatchTask")[1].after_line == 2


async def test_leaving_the_lines_ends_the_stream_blocking() -> None:
    async with ScriptedServer() as server:
        with taskgrove.Client(server.target) as client:
            server.service.watches.append(ENDLESS)

            def first_line() -> taskgrove.Line | None:
                for line in client.lines("t"):
                    return line
                return None

            assert await asyncio.to_thread(first_line) == taskgrove.Line(1, 1, b"1\n")
            async with asyncio.timeout(10):
                await server.service.abandoned.wait()


async def test_leaving_the_lines_ends_the_stream_asyncio() -> None:
    async with ScriptedServer() as server, taskgrove.AsyncClient(server.target) as client:
        server.service.watches.append(ENDLESS)
        async for line in client.lines("t"):
            assert line == taskgrove.Line(1, 1, b"1\n")
            break
        async with asyncio.timeout(10):
            await server.service.abandoned.wait()


async def test_another_thread_may_close_a_watch() -> None:
    async with ScriptedServer() as server:
        with taskgrove.Client(server.target) as client:
            server.service.watches.append(ENDLESS)
            shown_all = asyncio.Event()
            loop = asyncio.get_running_loop()
            with client.watch("t") as watch:

                def follow() -> list[taskgrove.WatchEvent]:
                    events: list[taskgrove.WatchEvent] = []
                    for event in watch:
                        events.append(event)
                        if watch.last_line == 4:
                            loop.call_soon_threadsafe(shown_all.set)
                    return events

                following = asyncio.create_task(asyncio.to_thread(follow))
                await shown_all.wait()
                watch.close()
                async with asyncio.timeout(10):
                    assert len(await following) == 5
            assert list(watch) == []
            async with asyncio.timeout(10):
                await server.service.abandoned.wait()


async def test_another_task_may_close_a_watch() -> None:
    async with ScriptedServer() as server, taskgrove.AsyncClient(server.target) as client:
        server.service.watches.append(ENDLESS)
        shown_all = asyncio.Event()
        async with client.watch("t") as watch:

            async def follow() -> int:
                count = 0
                async for _ in watch:
                    count += 1
                    if watch.last_line == 4:
                        shown_all.set()
                return count

            following = asyncio.create_task(follow())
            await shown_all.wait()
            await watch.close()
            async with asyncio.timeout(10):
                assert await following == 5
        assert await everything(watch) == []
        async with asyncio.timeout(10):
            await server.service.abandoned.wait()


async def test_closing_a_watch_ends_its_wait_for_the_next_attempt() -> None:
    with taskgrove.Client("127.0.0.1:1") as client:
        watch = client.watch("t", reconnect_timeout=None)
        following = asyncio.create_task(asyncio.to_thread(lambda: list(watch)))
        watch.close()
        async with asyncio.timeout(10):
            assert await following == []
    async with taskgrove.AsyncClient("127.0.0.1:1") as async_client:
        async_watch = async_client.watch("t", reconnect_timeout=None)
        retrying = asyncio.create_task(everything(async_watch))
        await asyncio.sleep(0)  # lets it begin
        await async_watch.close()
        async with asyncio.timeout(10):
            assert await retrying == []


async def test_cancelling_the_task_that_watches_is_a_cancellation_and_ends_the_stream() -> None:
    async with ScriptedServer() as server, taskgrove.AsyncClient(server.target) as client:
        sent_all = asyncio.Event()

        async def pause() -> None:
            sent_all.set()
            await scripted_service.hang()

        server.service.watches.append([*ENDLESS[:-1], pause])
        following = asyncio.create_task(everything(client.watch("t")))
        await sent_all.wait()
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        async with asyncio.timeout(10):
            await server.service.abandoned.wait()


async def test_a_server_that_sends_no_heartbeats_is_given_up_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "HEARTBEAT_INTERVAL", 0.1)
    async with ScriptedServer() as server, taskgrove.AsyncClient(server.target) as client:

        async def pauses_that_heartbeats_cover() -> None:
            await asyncio.sleep(0.2)

        covered = [step for _ in range(4) for step in (pauses_that_heartbeats_cover, scripted_service.heartbeat())]
        server.service.watches += [
            [scripted_service.opened(LOG.running), *covered, *list(LOG(START))[1:2], scripted_service.hang],
            LOG,
        ]
        async with asyncio.timeout(20):
            events = await everything(client.watch("t"))
    assert [event.number for event in events if isinstance(event, taskgrove.Line)] == [1, 2, 3, 4]
    assert [request.after_line for request in server.service.requests("WatchTask")] == [0, 4]


async def test_closed_clients_leave_no_task_and_no_thread() -> None:
    async with ScriptedServer() as server:
        server.service.watches += [LOG, ENDLESS] * 2
        threads = set(threading.enumerate())
        tasks = asyncio.all_tasks()

        def left_behind() -> set[asyncio.Task[object]]:
            # The server's own tasks are not the client's.
            return {task for task in asyncio.all_tasks() - tasks if "server.pyx" not in repr(task)}

        async with taskgrove.AsyncClient(server.target) as async_client:
            assert len([line async for line in async_client.lines("t")]) == 4
            async for _ in async_client.watch("t"):
                break
        if closing := left_behind():
            await asyncio.wait(closing, timeout=10)
        assert left_behind() == set()

        def use() -> None:
            with taskgrove.Client(server.target) as client:
                assert len(list(client.lines("t"))) == 4
                next(iter(client.watch("t")))

        user = threading.Thread(target=use)
        user.start()
        await asyncio.to_thread(user.join, 20)
        # Where to_thread runs things is asyncio's; gRPC's own thread ends with its last call.
        left = {thread for thread in set(threading.enumerate()) - threads if "asyncio" not in thread.name}
        for thread in left:
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive(), thread
