"""`taskgroved backup` and `taskgroved restore`: what is saved beside a server at work can be gone on with elsewhere."""

from __future__ import annotations

import functools
import json
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

import taskgrove
from support import backups, repositories, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.task_pb2 import Task
from taskgrove_server.backups.progress import Progress

#: Prints some lines, and leaves files of every kind in its directory.
WORK = r"""
seq 5; mkdir -p deep/er empty; echo secret > deep/er/file; chmod 640 deep/er/file; touch program; chmod 755 program
ln -s deep/er/file link; ln -s /etc/passwd outside; mkfifo pipe; touch "$(printf 'name-\377')"
"""


@pytest.fixture
def place(server: RunningServer) -> Path:
    """Where the backup goes."""
    return server.root / "backup"


@pytest.fixture
def elsewhere(server: RunningServer) -> Path:
    """Where it is restored to; a short path, for its socket."""
    return server.root / "some" / "place"


def lose(server: RunningServer) -> None:
    """Ends a server, and takes its data directory away, as by the loss of its disk."""
    server.kill()
    shutil.rmtree(server.data)


def counted(lines: list[bytes]) -> list[int]:
    """Returns the numbers that a task has printed, of lines of which each holds one."""
    texts = [json.loads(line).get("text") for line in lines]
    return [int(text) for text in texts if text is not None]


def grown(found: set[str], before: int) -> bool:
    return len(found) > before + 2


def test_what_rested_is_restored_with_its_lines_and_files(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path
) -> None:
    task = tasks_work.run(client, WORK)
    lines = backups.lines(client, task.id)
    said = backups.back_up(server.data, place)
    assert said.startswith("Saved 1 task with 1 run (")
    assert f" to {place}\n" in said
    lose(server)
    said = backups.restore(place, elsewhere)
    assert said.startswith("Restored 1 task with 1 run, as of ")
    assert said.endswith(f"Next: taskgroved --data-dir {elsewhere}\n")
    sandbox = elsewhere / "sandboxes" / task.id
    assert len(list(sandbox.iterdir())) == 6
    assert (sandbox / "deep" / "er" / "file").read_text() == "secret\n"
    assert stat.S_IMODE((sandbox / "deep" / "er" / "file").stat().st_mode) == 0o640
    assert os.access(sandbox / "program", os.X_OK)
    assert (sandbox / "link").readlink() == Path("deep/er/file")
    assert (sandbox / "outside").readlink() == Path("/etc/passwd")
    assert (sandbox / "empty").is_dir()
    assert Path(os.fsdecode(os.fsencode(sandbox) + b"/name-\xff")).is_file()
    with backups.served(elsewhere) as restored:
        assert restored.get_task(task.id).state == Task.STATE_SUCCEEDED
        assert backups.lines(restored, task.id) == lines
        restored.continue_task(task.id, "Go on")
        again = tasks_work.rest(restored, task.id)
        assert (again.run_count, again.directory) == (2, str(sandbox))
        assert backups.lines(restored, task.id)[: len(lines)] == lines


def test_a_worktree_is_made_again_from_its_branch(
    server: RunningServer, client: taskgrove.Client, repository: Path, place: Path, elsewhere: Path
) -> None:
    task_list = tasks_work.make_list(client, "cat made 2>/dev/null; echo work >> made", repository)
    going_on, landed, discarded = (client.enqueue(task_list.id, f"Task {number}").id for number in range(3))
    for task_id in (going_on, landed, discarded):
        assert tasks_work.rest(client, task_id).state == Task.STATE_SUCCEEDED
    said = backups.back_up(server.data, place)
    assert f"Not in it: what is not committed in 3 worktrees below {server.data / 'worktrees'}" in said
    lose(server)
    backups.restore(place, elsewhere)
    with backups.served(elsewhere) as restored:
        restored.continue_task(going_on, "Go on")
        again = tasks_work.rest(restored, going_on)
        assert (again.state, again.failure.message) == (Task.STATE_SUCCEEDED, "")
        assert Path(again.worktree.path, "made").read_text() == "work\nwork\n"
        assert Path(again.worktree.path).is_relative_to(elsewhere)
        assert '"text":"work"' in backups.lines(restored, going_on)[-2].decode()
        assert "+work" in restored.diff_worktree(landed).text
        restored.land(landed)
        assert (repository / "made").read_text() == "work\n"
        restored.discard_worktree(discarded)
        assert discarded not in repositories.git(repository, "branch", "--list", "--all")
        restored.delete_task(landed, discard_worktree=True)


@pytest.mark.timeout(300)
def test_a_backup_under_load_holds_every_line_that_the_database_speaks_of(
    server: RunningServer, client: taskgrove.Client
) -> None:
    count = 2000
    task_list = tasks_work.make_list(client, f"seq {count}; echo file > file")
    stopped = threading.Event()
    deleted: set[str] = set()

    def enqueue_and_delete() -> None:
        with server.client() as other:
            while not stopped.is_set():
                for _ in range(4):
                    other.enqueue(task_list.id, "More")
                rested = [task.id for task in other.list_tasks(states=[Task.STATE_SUCCEEDED])]
                for task_id in rested[::3]:
                    other.delete_task(task_id, discard_worktree=True)
                    deleted.add(task_id)
                stopped.wait(0.05)

    load = threading.Thread(target=enqueue_and_delete)
    load.start()
    places = [server.root / f"backup-{number}" for number in range(2)]
    try:
        for place in places:
            before = len(deleted)
            tasks_gates.until(functools.partial(grown, deleted, before), "tasks come and go")
            backups.back_up(server.data, place)
    finally:
        stopped.set()
        load.join()
    ends = set[int]()
    for place in places:
        data = server.root / f"restored-{place.name}"
        backups.restore(place, data)
        with backups.served(data, "--slots", "1") as restored:
            for task in restored.list_tasks():
                if task.state == Task.STATE_SUCCEEDED:
                    assert counted(backups.lines(restored, task.id)) == list(range(1, count + 1))
                    # Of a task that is just being deleted, it may have gone first.
                    file = data / "sandboxes" / task.id / "file"
                    assert task.id in deleted or file.read_text() == "file\n"
                elif task.state == Task.STATE_FAILED:
                    assert task.failure.kind == FailureKind.FAILURE_KIND_INTERRUPTED
                    found = counted(backups.lines(restored, task.id))
                    assert found == list(range(1, len(found) + 1))
                ends.add(task.state)
    assert Task.STATE_SUCCEEDED in ends
    assert server.log.read_text().count("In trouble") == 0


def test_what_was_at_work_is_interrupted_and_what_waited_waits(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"seq 3; {gate.pass_through}; echo 4")
        tasks = [client.enqueue(task_list.id, f"Task {number}").id for number in range(5)]
        gate.wait_for_arrivals(4)
        tasks_gates.until(lambda: all(len(backups.lines(client, task)) == 3 for task in tasks[:4]), "their lines")
        backups.back_up(server.data, place)
        said = backups.restore(place, elsewhere)
        assert "4 tasks that had been at work failed with it (interrupted)" in said
        assert f"1 task in the queue waits on. If {server.data} is still there, it is left to that" in said
        with backups.served(elsewhere) as restored:
            for task in tasks[:4]:
                cut_off = restored.get_task(task)
                assert cut_off.failure.kind == FailureKind.FAILURE_KIND_INTERRUPTED
                assert cut_off.run_count == 1
                assert counted(backups.lines(restored, task)) == [1, 2, 3]
            # The original goes on as if nothing had been.
            assert [client.get_task(task).state for task in tasks] == [*[Task.STATE_RUNNING] * 4, Task.STATE_QUEUED]
            gate.open()
            for task in tasks:
                assert tasks_work.rest(client, task).state == Task.STATE_SUCCEEDED
                assert counted(backups.lines(client, task)) == [1, 2, 3, 4]
            # What waited is left to it.
            assert restored.get_task(tasks[4]).failure.kind == FailureKind.FAILURE_KIND_INTERRUPTED
            restored.continue_task(tasks[0], "Go on")
            assert tasks_work.rest(restored, tasks[0]).state == Task.STATE_SUCCEEDED
            assert counted(backups.lines(restored, tasks[0])) == [1, 2, 3, 1, 2, 3, 4]


def test_half_a_line_that_was_being_written_is_none(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"seq 3; {gate.pass_through}")
        task_id = client.enqueue(task_list.id, "Long").id
        gate.wait_for_arrivals()
        tasks_gates.until(lambda: len(backups.lines(client, task_id)) == 3, "its lines")
        (log,) = (server.data / "logs").glob("*.ndjson")
        with log.open("ab") as file:
            file.write(b'{"type":"output","text":"' + b"x" * 200_000)
        backups.back_up(server.data, place)
        backups.restore(place, elsewhere)
        with backups.served(elsewhere) as restored:
            assert counted(backups.lines(restored, task_id)) == [1, 2, 3]
            assert restored.get_task(task_id).last_line == 3


def test_a_task_cancelled_or_not_begun_at_that_moment(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path
) -> None:
    task = tasks_work.run(client, "seq 3")
    claimed = client.enqueue(tasks_work.make_list(client, "sleep 600").id, "Claimed").id
    tasks_gates.until(lambda: client.get_task(claimed).state == Task.STATE_RUNNING, "its run")
    client.cancel(claimed)
    tasks_work.rest_unwatched(client, claimed)
    server.terminate()
    with tasks_work.connected(server) as database:
        # As a server leaves them that is killed right after a claim, and after a cancel.
        database.execute("UPDATE task SET state = 'queued', slot = 1, finish_time = NULL WHERE id = ?", (task.id,))
        database.execute(
            "UPDATE task SET state = 'running', slot = 2, cancel_requested = 1, finish_time = NULL WHERE id = ?",
            (claimed,),
        )
        database.execute("UPDATE run SET state = 'running', finish_time = NULL WHERE task_id = ?", (claimed,))
    backups.back_up(server.data, place)
    said = backups.restore(place, elsewhere)
    assert "1 task in the queue" in said
    lose(server)
    with backups.served(elsewhere) as restored:
        assert restored.get_task(claimed).state == Task.STATE_CANCELLED
        assert tasks_work.rest(restored, task.id).state == Task.STATE_SUCCEEDED


class DeletesMeanwhile(Progress):
    """Deletes tasks once the database was copied, and before the logs are."""

    def __init__(self, client: taskgrove.Client, *tasks: str) -> None:
        super().__init__()
        self._client = client
        self._tasks = tasks

    def say(self, doing: str) -> None:
        if doing == "Copying files":
            for task in self._tasks:
                self._client.delete_task(task, discard_worktree=True)


class DeletesLater(DeletesMeanwhile):
    """Deletes tasks once all was copied."""

    def say(self, doing: str) -> None:
        super().say({"Checking the database": "Copying files"}.get(doing, ""))


class DeletesBetween(DeletesMeanwhile):
    """Deletes tasks once the first file was copied, which is the log of one of them."""

    def say(self, doing: str) -> None:
        pass

    def copied(self, size: int, *, files: int = 0) -> None:
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            self._client.delete_task(task, discard_worktree=True)


@pytest.mark.parametrize("deletes", [DeletesMeanwhile, DeletesBetween])
def test_a_task_that_is_deleted_meanwhile_is_not_in_the_backup(
    server: RunningServer,
    client: taskgrove.Client,
    place: Path,
    elsewhere: Path,
    deletes: type[DeletesMeanwhile],
) -> None:
    first, kept, last = (tasks_work.run(client, WORK).id for _ in range(3))
    progress = deletes(client, first, last)
    saved = backups.save(server.data, place, progress)
    assert (saved.manifest.tasks, saved.manifest.runs, saved.lost_logs) == (1, 1, 0)
    assert backups.names(place / "logs") == [f"{kept}_run1.ndjson"]
    assert backups.names(place / "sandboxes") == [kept]
    backups.restore(place, elsewhere)
    with backups.served(elsewhere) as restored:
        assert [task.id for task in restored.list_tasks()] == [kept]
        assert backups.lines(restored, kept) == backups.lines(client, kept)


def test_a_task_that_is_deleted_afterwards_is_in_the_backup(
    server: RunningServer, client: taskgrove.Client, place: Path
) -> None:
    task = tasks_work.run(client, WORK).id
    progress = DeletesLater(client, task)
    saved = backups.save(server.data, place, progress)
    assert (saved.manifest.tasks, saved.lost_logs) == (1, 0)
    assert (place / "logs" / f"{task}_run1.ndjson").is_file()


def test_logs_that_are_lost_already_are_told(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path
) -> None:
    lost, kept = (tasks_work.run(client, WORK).id for _ in range(2))
    (server.data / "logs" / f"{lost}_run1.ndjson").unlink()
    assert "The data directory itself has lost lines of 1 log" in backups.back_up(server.data, place)
    backups.restore(place, elsewhere)
    with backups.served(elsewhere) as restored:
        assert len(backups.lines(restored, kept)) == 6
        with pytest.raises(taskgrove.LogLost):
            backups.lines(restored, lost)


def test_a_server_that_was_killed_has_all_of_it_saved(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path
) -> None:
    task = tasks_work.run(client, "seq 3")
    server.kill()
    assert (server.data / "taskgrove.db-wal").stat().st_size > 0
    backups.back_up(server.data, place)
    backups.restore(place, elsewhere)
    with backups.served(elsewhere) as restored:
        assert restored.get_task(task.id).state == Task.STATE_SUCCEEDED


def test_the_token_is_saved_only_when_that_is_asked_for(server: RunningServer) -> None:
    token = (server.data / "token").read_text()
    assert "bearer token" in backups.back_up(server.data, server.root / "without")
    assert "bearer token" not in backups.back_up(server.data, server.root / "with", "--with-token")
    for name in ("without", "with"):
        backups.restore(server.root / name, server.root / f"restored-{name}")
        with backups.served(server.root / f"restored-{name}"):
            made = (server.root / f"restored-{name}" / "token").read_text()
            assert (made == token) is (name == "with")


def test_only_its_owner_can_read_it(server: RunningServer, client: taskgrove.Client, place: Path) -> None:
    tasks_work.run(client, f"umask 0; {WORK}")
    (server.data / "settings.toml").write_text("slots = 2\n")
    (server.data / "settings.toml").chmod(0o644)
    backups.back_up(server.data, place, "--with-token")
    for path in (place, *place.rglob("*")):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert (place / "settings.toml").read_text() == "slots = 2\n"
    assert backups.names(place) == [
        "files.ndjson",
        "identity.json",
        "logs",
        "manifest.json",
        "sandboxes",
        "settings.toml",
        "taskgrove.db",
        "token",
    ]


def test_a_backup_of_an_older_version_comes_to_the_new_schema(
    server: RunningServer, client: taskgrove.Client, place: Path, elsewhere: Path
) -> None:
    tasks_work.run(client, "seq 3")
    server.terminate()
    with tasks_work.connected(server) as database:
        # As before retention, and before holds: see the migrations.
        database.execute("DELETE FROM schema_migration WHERE name >= '0012'")
        database.execute("DROP TABLE obsolete_file")
        for index in ("task_finish_time", "task_with_logs"):
            database.execute(f"DROP INDEX {index}")
        for table, column in (("task", "removed_lines"), ("task", "has_logs"), ("run", "log_removed")):
            database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        database.execute("DROP TABLE hold")
        database.execute("DROP INDEX task_tries")
        database.execute("ALTER TABLE task DROP COLUMN hold_count")
        database.execute("ALTER TABLE task DROP COLUMN hold_time")
        database.execute("ALTER TABLE run DROP COLUMN answered")
    backups.back_up(server.data, place)
    backups.restore(place, elsewhere)
    with backups.served(elsewhere) as restored:
        (task,) = restored.list_tasks()
        assert counted(backups.lines(restored, task.id)) == [1, 2, 3]


def test_a_file_that_cannot_be_read_is_told_and_left_out(
    server: RunningServer, client: taskgrove.Client, place: Path
) -> None:
    # A path is too long for everybody, where root may read everything.
    deep = "for n in $(seq 20); do mkdir $(printf 'd%.0s' $(seq 200)); cd d*; done; touch file"
    task = tasks_work.run(client, f"touch kept; {deep}").id
    said = backups.back_up(server.data, place)
    assert f"Not saved, of directories of tasks: sandboxes/{task}/d" in said
    assert "(it lies too deep)" in said
    assert (place / "sandboxes" / task / "kept").is_file()
