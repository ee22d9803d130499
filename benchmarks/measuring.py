"""One run: some watchers receive one stream, and what that takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks import sampling, serving
from benchmarks.peers.plan import Plan
from benchmarks.receiving import Received, Receiver, ReceiverFailed
from benchmarks.serving import Emission, Server, Taskgroved


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of a run in which every watcher got every line in order."""

    received: Received
    #: Seconds of processor time, from the requests to the last receipt.
    server_cpu: float

    @property
    def rate(self) -> float:
        """Returns deliveries a second, from the first receipt to the last."""
        # One receipt alone takes no time: a run that short is only to show that everything works.
        return self.received.deliveries / (self.received.seconds or 1.0)

    @property
    def server_microseconds(self) -> float:
        """Returns the server's processor time for a delivery."""
        return 1e6 * self.server_cpu / self.received.deliveries

    @property
    def client_microseconds(self) -> float:
        """Returns the client's processor time for a delivery."""
        return 1e6 * self.received.cpu / self.received.deliveries


def measure(server: Server, plan: Plan, emission: Emission | None = None) -> Sample:
    """Carries out a plan, and lets an emitter write as soon as all watch; raises ReceiverFailed."""
    with Receiver(plan) as receiver:
        receiver.connect()
        before = sampling.processor_time(server.pid)
        receiver.request().open()
        if emission:
            emission.start()
        received = receiver.result()
        used = sampling.processor_time(server.pid) - before
    if received.faults:
        raise ReceiverFailed(f"{received.short} of {plan.watchers} watchers lack lines: {received.faults[0]}")
    return Sample(received, used)


class Measure(Protocol):
    """Measures a server that streams to some watchers what an emitter writes meanwhile."""

    def __call__(self, lines: int, watchers: int, *, rate: float = 0.0, latencies: bool = False) -> Sample:
        """Returns the sample; raises ReceiverFailed."""
        ...


class LiveServers:
    """Streams what an emitter writes while it is watched, once with each server."""

    def __init__(self, ours: Taskgroved) -> None:
        self._ours = ours
        self._gate = str(ours.directory / "gate")
        self._path = ours.directory / "peer_emission.json"

    def ours(self, lines: int, watchers: int, *, rate: float = 0.0, latencies: bool = False) -> Sample:
        """Measures taskgroved."""
        emission = Emission(lines, rate, self._gate)
        task_id = self._ours.emit(emission)
        try:
            return measure(self._ours, self._ours.plan(task_id, lines, watchers, latencies=latencies), emission)
        finally:
            self._ours.cancel(task_id)

    def bare(self, lines: int, watchers: int, *, rate: float = 0.0, latencies: bool = False) -> Sample:
        """Measures the bare stream."""
        emission = Emission(lines, rate, self._gate)
        with serving.bare_stream({}, emission.write(self._path)) as server:
            return measure(server, server.plan("live", lines, watchers, latencies=latencies), emission)

    def sse(self, lines: int, watchers: int, *, rate: float = 0.0, latencies: bool = False) -> Sample:
        """Measures server-sent events, a line each."""
        emission = Emission(lines, rate, self._gate)
        with serving.sse({}, emission.write(self._path)) as server:
            return measure(server, server.plan("live", lines, watchers, latencies=latencies), emission)
