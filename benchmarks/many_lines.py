"""What a million lines leave behind in the server: memory, descriptors and threads."""

from __future__ import annotations

import tempfile
from concurrent import futures
from pathlib import Path

from benchmarks import fake_claude, sampling
from benchmarks.report import Report, Target
from benchmarks.sampling import Usage
from support import repositories, tasks_raw
from support.server import RunningServer
from support.tasks_gates import PATIENCE, until
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

#: How many tasks run between two looks at the server.
STEP = 10

SLOTS = 4

#: Bytes of a line.
LINE = 300

MIB = 1 << 20

#: After how many tasks all pools have their threads and all caches are full.
WARM = 2 * STEP

#: What the server may have in memory after all tasks, as a ratio to what it had when it was warm.
GROWTH = 1.1

COLUMNS = ("tasks", "lines", "resident MiB", "descriptors", "threads", "CPU s")


def run(*, quick: bool) -> Report:
    """Runs tasks that print many lines, each watched by one client, and looks at the server between them."""
    report = Report("many_lines", "The server after many lines", COLUMNS)
    tasks, lines = (WARM, 100) if quick else (10 * STEP, 10_000)
    with tempfile.TemporaryDirectory(prefix="tgb-") as scratch:
        root = Path(scratch)
        program = _program(root, lines)
        repository = repositories.make_repository(root / "repository")
        with (
            RunningServer("--slots", str(SLOTS), "--claude", str(program)) as server,
            server.client() as client,
            tasks_raw.stub(server) as stub,
            futures.ThreadPoolExecutor(STEP) as watchers,
        ):
            task_list = client.create_task_list("Many lines", working_dir=repository).id
            looks = {0: sampling.usage(server.pid)}
            for done in range(STEP, tasks + 1, STEP):
                queued = [client.enqueue(task_list, f"Task {done - index}").id for index in range(STEP)]
                watched = [watchers.submit(_watch, stub, task, lines) for task in queued]
                report.failures += [failure for future in watched if (failure := future.result())]
                looks[done] = _look(server)
    _tell(report, looks, lines)
    report.notes.append(f"Each task prints {lines} lines of {LINE} bytes and has a watcher; {SLOTS} run at once.")
    return report


def _program(root: Path, lines: int) -> Path:
    words = fake_claude.message(LINE)
    log = root / "log.ndjson"
    log.write_text("\n".join([fake_claude.INIT, *[words] * (lines - 2), fake_claude.RESULT, ""]), encoding="utf-8")
    return fake_claude.write(root / "claude", f"exec cat {log}")


def _watch(stub: TaskServiceStub, task_id: str, lines: int) -> str:
    """Watches a task to its end; returns what went wrong."""
    seen = 0
    state = Task.STATE_UNSPECIFIED
    try:
        for message in tasks_raw.watch(stub, task_id):
            seen += message.lines.count
            state = message.rested.task.state
    except Exception as error:  # noqa: BLE001 - told in the report
        return f"a watch ended after {seen} lines: {error!r}"
    if seen == lines and state == Task.STATE_SUCCEEDED:
        return ""
    return f"a task ended as {Task.State.Name(state)} with {seen} of {lines} lines seen"


def _look(server: RunningServer) -> Usage:
    """Returns what the server uses once the last runs' directories are gone."""
    until(lambda: not any((server.data / "runs").iterdir()), "no run left", patience=PATIENCE)
    return sampling.usage(server.pid)


def _tell(report: Report, looks: dict[int, Usage], lines: int) -> None:
    for done, look in looks.items():
        memory = look.resident / MIB
        report.rows.append((str(done), done * lines, memory, look.descriptors, look.threads, look.cpu))
    report.samples["resident MiB"] = [look.resident / MIB for look in looks.values()]
    last, warm = looks[max(looks)], looks[WARM]
    report.targets += [
        Target(f"resident memory, to that after {WARM} tasks", last.resident / warm.resident, GROWTH),
        Target(f"descriptors more than after {WARM} tasks", last.descriptors - warm.descriptors, 0),
        Target(f"threads more than after {WARM} tasks", last.threads - warm.threads, 0),
    ]
