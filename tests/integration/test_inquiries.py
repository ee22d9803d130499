"""Questions to file systems that do not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import tasks_gates
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove_server.api import inquiries, offloading
from taskgrove_server.api.directories import Directories
from taskgrove_server.api.inquiries import Inquiries
from taskgrove_server.domain import errors
from taskgrove_server.worktrees.roots import AllowedRoots

pytestmark = pytest.mark.asyncio

#: Seconds after which a question is given up here.
BRIEF = 0.2


@pytest.fixture
def mounted() -> Iterator[threading.Event]:
    """A file system that hangs until this is set."""
    event = threading.Event()
    yield event
    event.set()


def nobody(_: int) -> None:
    """Interrupts nothing, as nothing can be done about a thread that hangs in the kernel."""


async def test_a_question_is_answered() -> None:
    ask = Inquiries(nobody)
    assert await ask("/x", str, 1) == "1"
    with pytest.raises(errors.PathNotAllowed):
        await ask("/x", AllowedRoots(["/nowhere"]).check, "/x")


async def test_what_hangs_is_given_up_and_told_with_what_it_was_about(mounted: threading.Event) -> None:
    ask = Inquiries(nobody, BRIEF)
    with pytest.raises(errors.RepositoryFailed, match=r"'/mnt/home' took longer than 0\.2 seconds"):
        await ask("/mnt/home", mounted.wait)


@pytest.mark.parametrize("error", [TimeoutError(110, "Connection timed out"), OSError(116, "Stale file handle")])
async def test_what_the_file_system_says_is_told(error: OSError) -> None:
    def look() -> None:
        raise error

    with pytest.raises(errors.RepositoryFailed, match=error.strerror):
        await Inquiries(nobody)("/mnt", look)


async def test_there_are_so_many_at_once_and_each_has_a_thread(mounted: threading.Event) -> None:
    ask = Inquiries(nobody, BRIEF)
    arrived = threading.Semaphore(0)

    def hang() -> None:
        arrived.release()
        mounted.wait()

    hanging = [asyncio.create_task(ask("/mnt", hang)) for _ in range(offloading.MOST)]
    for _ in range(offloading.MOST):
        assert await asyncio.to_thread(arrived.acquire, timeout=tasks_gates.PATIENCE)
    with pytest.raises(errors.TooManyCalls):
        await ask("/x", str, "x")
    # Given up, they still have their threads: nobody is let in before these are free.
    for result in await asyncio.gather(*hanging, return_exceptions=True):
        assert isinstance(result, errors.RepositoryFailed)
    with pytest.raises(errors.TooManyCalls):
        await ask("/x", str, "x")
    mounted.set()
    async with asyncio.timeout(tasks_gates.PATIENCE):
        while True:
            try:
                assert await ask("/x", str, "x") == "x"
                break
            except errors.TooManyCalls:
                await asyncio.sleep(0.01)


async def test_what_a_caller_has_left_is_interrupted_until_it_ends(mounted: threading.Event) -> None:
    interrupted: list[int] = []
    threads: list[int] = []
    begun = threading.Event()

    def interrupt(thread: int) -> None:
        interrupted.append(thread)
        # The first one comes between two commands, and ends nothing.
        if len(interrupted) > 1:
            mounted.set()

    def hang() -> None:
        threads.append(threading.get_ident())
        begun.set()
        mounted.wait()

    ask = Inquiries(interrupt)
    asking = asyncio.create_task(ask("/mnt", hang))
    assert await asyncio.to_thread(begun.wait, tasks_gates.PATIENCE)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asyncio.to_thread(mounted.wait, tasks_gates.PATIENCE)
    assert set(interrupted) == set(threads)
    await asyncio.to_thread(ask.close, tasks_gates.PATIENCE)


async def test_closing_leaves_what_hangs(mounted: threading.Event) -> None:
    ask = Inquiries(nobody, BRIEF)
    with pytest.raises(errors.RepositoryFailed):
        await ask("/mnt", mounted.wait)
    await asyncio.to_thread(ask.close, BRIEF)
    hanging = [thread for thread in threading.enumerate() if thread.name == "inquiry"]
    assert all(thread.daemon for thread in hanging)


async def test_without_a_thread_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ask = Inquiries(nobody)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(errors.TooManyCalls):
            await ask("/x", str, "x")
    assert await ask("/x", str, "x") == "x"


async def test_every_way_to_look_at_a_path_is_bounded(
    mounted: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def hang(path: str, *, strict: bool = False) -> str:
        del strict
        mounted.wait()
        return path

    directories = Directories(Inquiries(nobody, BRIEF), AllowedRoots([str(tmp_path)]), "taskgrove/")
    monkeypatch.setattr("os.path.realpath", hang)
    for look in (
        directories.canonical("/mnt"),
        directories.repository("/mnt"),
        directories.check_agent_path(RunConfig(agent_path="/mnt/agent.md")),
    ):
        with pytest.raises(errors.RepositoryFailed, match="/mnt"):
            await look
    assert inquiries.PATIENCE < 30  # what clients wait by default
