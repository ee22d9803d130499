"""What a server says of its troubles, and what it may be short of."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import taskgrove
from support import tasks_gates, tasks_work
from support.api_services import SERVICES
from taskgrove.v1.task_pb2 import Task

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

#: Seconds that a call may take.
TIMEOUT = 20


def told(client: taskgrove.Client) -> dict[str, str]:
    """Returns the messages of the server's troubles by their names."""
    return {trouble.name: trouble.message for trouble in client.get_server_info().troubles}


class Health:
    """A connection over which a server is asked for its health; it is there from the start, and stays."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)
        self._stub: Any = health_pb2_grpc.HealthStub(self._channel)  # its stub has no types
        self.states()

    def states(self) -> set[int]:
        """Returns how the server and each of its services are."""
        names = ["", *(service.full_name for service in SERVICES)]
        return {self._stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT).status for name in names}

    def wait_for(self, state: int) -> None:
        """Waits until all are so."""
        tasks_gates.until(lambda: self.states() == {state}, "health")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


@contextlib.contextmanager
def short_of(kind: str, pid: int, count: int, *through: str) -> Generator[None]:
    """Grants a process no more than it has of something, until it is left; `through` is who may do that."""
    set_limit = [*through, "prlimit", f"--pid={pid}"]
    ask = [*set_limit, f"--{kind}", "--raw", "--noheadings", "--output=SOFT"]
    before = subprocess.run(ask, capture_output=True, check=True, text=True).stdout.strip()
    subprocess.run([*set_limit, f"--{kind}={count}:"], check=True)
    try:
        yield
    finally:
        subprocess.run([*set_limit, f"--{kind}={before}:"], check=True)


def check_well(client: taskgrove.Client, health: Health) -> None:
    """Checks that the server has no trouble left, and does all that it is for."""
    tasks_gates.until(lambda: not told(client), "the end of all troubles")
    health.wait_for(SERVING)
    assert tasks_work.run(client, "seq 10").state == Task.STATE_SUCCEEDED
