"""A server for many tests of the API, whose tasks wait for as long as a test wants."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import taskgrove
from support import api_snapshots
from support.api_calls import PATIENCE, Api, Refusal, request
from support.server import RunningServer
from taskgrove.v1.task_pb2 import Task

#: Ends as soon as it is started.
AT_ONCE = taskgrove.run_config(agent="command", command="true")

#: The id of nothing.
NOBODY = "a" * 12


class ApiServer:
    """A running server with its raw API, and a client for what a test only needs to get at its subject."""

    def __init__(self, running: RunningServer, api: Api, client: taskgrove.Client) -> None:
        self.running = running
        self.api = api
        self.client = client

    def refuse(self, message: Any, *checkouts: Path) -> Refusal:
        """Makes a call that is to be refused and to change nothing."""
        with self.unchanged(*checkouts):
            return self.api.refusal(message)

    def unchanged(self, *checkouts: Path) -> contextlib.AbstractContextManager[None]:
        """Fails the test when what is done inside changes anything."""
        return api_snapshots.unchanged(self.running.data, *checkouts)

    def resting_task(self, task_list_id: str, title: str = "Rests") -> Task:
        """Returns a task that has come to rest."""
        return self.client.wait(self.client.enqueue(task_list_id, title, overrides=AT_ONCE).id)

    def enqueue_gated(self, task_list_id: str, gate: Gate) -> Task:
        """Returns a task that runs until the gate is opened."""
        overrides = taskgrove.run_config(agent="command", command=gate.command)
        task = self.client.enqueue(task_list_id, "Waits", overrides=overrides)
        gate.wait_until_reached()
        return self.client.get_task(task.id)

    def call(self, method: str, **fields: Any) -> Any:
        """Calls a method with these fields."""
        return self.api.call(request(method, **fields))

    def reconnected(self) -> Api:
        """Returns the raw API of the server as it was started last."""
        return Api(self.running.target)


class Gate:
    """Holds up a command until it is opened, by two named pipes."""

    def __init__(self, directory: Path) -> None:
        self._reached = directory / "reached"
        self._opened = directory / "opened"
        os.mkfifo(self._reached)
        os.mkfifo(self._opened)

    @property
    def command(self) -> str:
        """Returns a shell line that tells that it runs, and ends when the gate is opened."""
        return f"echo reached > {self._reached}; cat {self._opened}"

    def wait_until_reached(self) -> None:
        """Waits for the command."""
        with os.fdopen(os.open(self._reached, os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
            poll = select.poll()
            poll.register(pipe, select.POLLIN)
            assert poll.poll(PATIENCE * 1000), "the command did not come to the gate"
            os.set_blocking(pipe.fileno(), True)
            assert pipe.read() == b"reached\n"

    def open(self) -> None:
        """Lets the command end."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                pipe = os.open(self._opened, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                # ENXIO: it has said that it is there, but does not read yet.
                if error.errno != errno.ENXIO or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                os.write(pipe, b"opened\n")
                os.close(pipe)
                return


@contextlib.contextmanager
def serve(*flags: str) -> Generator[ApiServer, None, None]:
    """Runs a server."""
    with (
        RunningServer("--retry-pause", "0.1", *flags) as running,
        Api(running.target) as api,
        running.client() as client,
    ):
        yield ApiServer(running, api, client)


@contextlib.contextmanager
def serve_busy(*flags: str) -> Generator[ApiServer, None, None]:
    """Runs a server whose only slot is taken, so that tasks stay queued."""
    with serve("--slots", "1", *flags) as server:
        blocker = server.client.create_task_list("Blocks")
        gate = Gate(server.running.root)
        server.enqueue_gated(blocker.id, gate)
        yield server
