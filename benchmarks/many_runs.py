"""Many runs at once that write a little each, with one watcher each, beside the same emitters read by bare asyncio."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import taskgrove
from benchmarks import sampling
from benchmarks.receiving import ROOT
from benchmarks.report import Report, Target
from support import tasks_processes
from support.server import RunningServer
from support.tasks_gates import Gate, until

#: Lines a second of each run.
RATE = 20

#: MiB of memory that a run may take beside the server and its agent.
BOUND = 3.0

#: Seconds within which all have to have been started, and a client to be done.
PATIENCE = 180.0

COLUMNS = (
    "server",
    "server CPU s",
    "resident MiB",
    "threads",
    "descriptors",
    "p50 ms",
    "p99 ms",
    "lines",
    "of",
    "out of order or short",
    "supervisors' PSS MiB",
)

#: Writes lines as the emitter of the peers does, but in Perl, of which many start and fit at once. It writes from a
#: random moment on, so that not all write at the same time.
_EMITTER = r"""#!/usr/bin/perl
use Fcntl ":flock";
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);
$| = 1;
my ($lines, $rate, $gate, $arrivals) = (@LINES@, @RATE@, "@GATE@", "@ARRIVALS@");
open(my $note, ">>", $arrivals) or die; syswrite($note, "arrived\n"); close $note;
open(my $door, "<", $gate) or die; flock($door, LOCK_SH) or die; close $door;
my $start = clock_gettime(CLOCK_MONOTONIC) + rand() / $rate;
for my $n (1 .. $lines) {
    my $wait = $start + $n / $rate - clock_gettime(CLOCK_MONOTONIC);
    sleep $wait if $wait > 0;
    my $last = $n == $lines;
    my $head = sprintf('{"seq":"%09d","ns":"%019d', $n, clock_gettime(CLOCK_MONOTONIC) * 1e9) . ($last
        ? '","type":"result","subtype":"success","is_error":false,"result":"'
        : '","type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"');
    my $tail = $last ? "\"}\n" : "\"}]}}\n";
    syswrite(STDOUT, $head . "x" x (300 - length($head) - length($tail)) . $tail);
}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one server."""

    used: float
    #: In the middle of it all.
    usage: sampling.Usage
    received: dict[str, Any]
    #: Bytes that all supervisors hold, and what they are forked from: of what is shared, each its share.
    supervisors: int = 0


def run(*, quick: bool) -> Report:
    """Measures taskgroved and the bare server, one after the other."""
    report = Report("many_runs", "Many runs at once, each with a watcher", COLUMNS)
    runs, seconds = (10, 3) if quick else (300, 15)
    expected = runs * RATE * seconds
    samples: dict[str, Sample] = {}
    for name, measure in (("ours", _ours), ("bare asyncio and grpc.aio", _bare)):
        try:
            samples[name] = sample = measure(runs, seconds)
        except Exception as error:  # noqa: BLE001 - told in the report
            report.failures.append(f"{name}: {error!r}")
            continue
        got, faults, usage = sample.received, sample.received["faults"], sample.usage
        if faults or got["lines"] != expected:
            report.failures.append(f"{name}: {got['lines']} of {expected} lines, {len(faults)} faults: {faults[:3]}")
        figures = (sample.used, usage.resident / 2**20, float(usage.threads), float(usage.descriptors))
        held = sample.supervisors / 2**20 if sample.supervisors else None
        report.rows.append((name, *figures, got["p50"], got["p99"], got["lines"], expected, len(faults), held))
        report.samples[name] = [*figures, got["p50"], got["p99"]]
    if len(samples) > 1:
        ours, bare = samples.values()
        report.targets.append(
            Target("lines of ours to those expected", ours.received["lines"] / expected, 1, at_least=True)
        )
        report.targets.append(Target("MiB of PSS for the supervisor of a run", ours.supervisors / 2**20 / runs, BOUND))
        report.notes.append(f"Server CPU, ours to bare: {ours.used / bare.used:.3g}.")
    report.notes += [
        f"{runs} runs of {RATE} lines/s for {seconds} s, of 300 bytes each; all watchers are in one client process.",
        "CPU is from the first line till all streams have ended; bare keeps lines in memory, ours in files and with",
        "a supervisor for each run, of whose memory PSS counts what is shared once. Nothing is pinned to a core.",
    ]
    return report


def _ours(runs: int, seconds: int) -> Sample:
    with _emitters(seconds) as (program, gate):
        flags = ("--slots", str(runs), "--claude", str(program))
        with RunningServer(*flags, tcp=True) as server, server.client() as client:
            task_list = client.create_task_list("Lines", defaults=taskgrove.run_config(agent="claude"))
            names = [client.enqueue(task_list.id, "Write lines").id for _ in range(runs)]
            until(gate.arrived(runs), f"{runs} emitters", patience=PATIENCE)
            port = int(server.target.rpartition(":")[2])
            token = (server.data / "token").read_text().strip()
            plan = {"port": port, "token": token, "lines": RATE * seconds, "names": names}
            return _measure(server.pid, plan, gate, seconds, lambda: _supervisors(server))


def _supervisors(server: RunningServer) -> list[int]:
    return [*tasks_processes.supervisors(server), *tasks_processes.fork_servers(server)]


def _bare(runs: int, seconds: int) -> Sample:
    with _emitters(seconds) as (program, gate):
        command = [sys.executable, "-m", "benchmarks.peers.many_streams", str(runs), str(program)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                port = int(_hear(process))
                until(gate.arrived(runs), f"{runs} emitters", patience=PATIENCE)
                names = [str(number) for number in range(runs)]
                plan = {"port": port, "token": "", "lines": RATE * seconds, "names": names}
                return _measure(process.pid, plan, gate, seconds, list)
            finally:
                process.kill()


@contextlib.contextmanager
def _emitters(seconds: int) -> Generator[tuple[Path, Gate], None, None]:
    """Writes the emitter, which waits at the gate. The gate being opened, all end by themselves: a pipe breaks."""
    with tempfile.TemporaryDirectory(prefix="tgb-") as scratch, Gate(Path(scratch) / "gate") as gate:
        program = Path(scratch) / "emitter"
        values = {"LINES": RATE * seconds, "RATE": RATE, "GATE": gate.path, "ARRIVALS": f"{gate.path}.arrivals"}
        text = _EMITTER
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        program.write_text(text, encoding="utf-8")
        program.chmod(0o700)
        yield program, gate


def _measure(
    pid: int, plan: Mapping[str, object], gate: Gate, seconds: int, supervisors: Callable[[], Sequence[int]]
) -> Sample:
    command = [sys.executable, "-m", "benchmarks.peers.many_receiver"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdin is not None
            client.stdin.write(json.dumps(plan).encode() + b"\n")
            client.stdin.flush()
            assert _hear(client) == "opened"
            before = sampling.processor_time(pid)
            gate.open()
            time.sleep(seconds / 2)
            usage = sampling.usage(pid)
            held = sum(sampling.proportional(supervisor) for supervisor in supervisors())
            received: dict[str, Any] = json.loads(_hear(client))
            return Sample(sampling.processor_time(pid) - before, usage, received, held)
        finally:
            client.kill()


def _hear(process: subprocess.Popen[bytes]) -> str:
    """Returns the next line of a process that prints one at a time."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], PATIENCE)[0]:
        raise RuntimeError(f"silent for {PATIENCE:g} s: {process.args!r}")
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"ended early: {process.args!r}")
    return line.decode().strip()
