"""A server in whose data there is a reason to refuse each RPC for each of its documented errors."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import taskgrove
from support import repositories, tasks_gates, tasks_work
from support.api_calls import request
from support.api_server import NOBODY
from support.api_services import METHODS
from support.server import RunningServer
from support.tasks_land import IDENTITY, Project
from taskgrove.v1.task_pb2 import Task

#: Fields that a request needs besides those that name its subject.
_NEEDED: dict[str, Any] = {"title": "Title", "prompt": "Go on", "number": 1, "hold_id": "agent:nobody"}

Request = Callable[["World", str], Any]


class World:
    """Tasks and lists in all states that matter. What a property makes is made once."""

    def __init__(self, server: RunningServer, root: Path) -> None:
        self.server = server
        self.client = server.client()
        self.root = root
        self.project = Project(self.client, root / "project")
        self._tasks: dict[str, Task] = {}
        self._gates: list[tasks_gates.Gate] = []
        self.used_id = "used-elsewhere"
        self.client.create_task_list("Used an id", request_id=self.used_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for gate in self._gates:
            gate.open()
        self.client.close()

    def request(self, method: str, **fields: Any) -> Any:
        """Returns a request of a method that is right but for what `fields` say."""
        known = METHODS[method].input_type.fields_by_name
        given = {name: value for name, value in _NEEDED.items() if name in known}
        if not method.startswith(("List", "Prune")):
            if "task_id" in known and "task_id" not in fields:
                given["task_id"] = self.resting.id
            if "task_list_id" in known and "task_list_id" not in fields:
                given["task_list_id"] = self.project.task_list.id
        if method in ("ListRuns", "ListChangedFiles", "ListCommits") and "task_id" not in fields:
            given["task_id"] = self.resting.id
        return request(method, **{**given, **fields})

    def task(self, name: str, make: Callable[[], Task]) -> Task:
        """Returns the task of a name, made when it is first asked for."""
        if name not in self._tasks:
            self._tasks[name] = make()
        return self._tasks[name]

    @property
    def resting(self) -> Task:
        """A task that has done something."""
        return self.task("resting", lambda: self.project.run("echo x > x"))

    @property
    def running(self) -> Task:
        """A task that runs until the end of the tests."""

        def make() -> Task:
            gate = tasks_gates.Gate(self.root / "gate")
            task_list = self.project.task_list
            task = self.client.enqueue(task_list.id, "Runs", overrides=tasks_work.shell(gate.pass_through))
            gate.wait_for_arrivals()
            self._gates.append(gate)  # held for as long as this lives
            return self.client.get_task(task.id)

        return self.task("running", make)

    @property
    def sandboxed(self) -> Task:
        """A task without a repository, that has left something in its sandbox."""
        return self.task("sandboxed", lambda: tasks_work.run(self.client, "echo x > x"))

    @property
    def never_run(self) -> Task:
        """A task that rests without a run."""

        def make() -> Task:
            gone = self.client.create_task_list("Setup fails", working_dir=self.project.path)
            task = self.client.enqueue(
                gone.id, "Never", overrides=taskgrove.run_config(agent="command", command=["true"])
            )
            rested = tasks_work.rest(self.client, task.id)
            self.execute("DELETE FROM run WHERE task_id = ?", rested.id)
            self.execute("UPDATE task SET run_count = 0 WHERE id = ?", rested.id)
            return rested

        return self.task("never run", make)

    @property
    def sessionless(self) -> Task:
        """A task whose runs left no session."""

        def make() -> Task:
            task = tasks_work.run(self.client, "true")
            self.execute("UPDATE run SET session_id = NULL WHERE task_id = ?", task.id)
            return task

        return self.task("sessionless", make)

    @property
    def of_deleted_list(self) -> Task:
        """A task whose list and repository are gone, and that counts as queued to whoever edits it."""

        def make() -> Task:
            project = Project(self.client, self.root / "deleted")
            task = project.run("echo x > x")
            shutil.rmtree(project.path)
            self.client.delete_task_list(project.task_list.id)
            return task

        return self.task("of deleted list", make)

    @property
    def queued_without_list(self) -> Task:
        """A task that waits, and whose list somebody has removed behind the server's back."""

        def make() -> Task:
            task = tasks_work.run(self.client, "true")
            self.execute("DELETE FROM task_list WHERE id = ?", task.task_list_id)
            # A slot that there is not: nobody claims it, and to an edit it waits.
            self.execute("UPDATE task SET state = 'queued', queue_order = -1 WHERE id = ?", task.id)
            return task

        return self.task("queued without list", make)

    @property
    def logless(self) -> Task:
        """A task whose log was deleted."""

        def make() -> Task:
            task = tasks_work.run(self.client, "echo x")
            for run in self.client.list_runs(task.id):
                Path(run.log_path).unlink()
            return task

        return self.task("logless", make)

    @property
    def lineless(self) -> Task:
        """A task whose lines were removed by retention."""

        def make() -> Task:
            task = tasks_work.run(self.client, "echo x")
            self.execute("UPDATE task SET removed_lines = last_line WHERE id = ?", task.id)
            self.execute("UPDATE run SET log_removed = 1 WHERE task_id = ?", task.id)
            return task

        return self.task("lineless", make)

    @property
    def forgotten(self) -> Task:
        """A task of whose work git knows nothing any more."""

        def make() -> Task:
            project = Project(self.client, self.root / "forgotten")
            task = project.run("echo x > x")
            project.git("worktree", "remove", "--force", "--force", task.worktree.path)
            project.git("branch", "-D", task.worktree.branch)
            project.git("reflog", "expire", "--expire=now", "--all")
            project.git("gc", "-q", "--prune=now")
            return task

        return self.task("forgotten", make)

    @property
    def busy(self) -> Task:
        """A task on whose worktree a call works, to all appearances."""
        task = self.task("busy", lambda: self.project.run("echo busy > busy"))
        # Anew each time, for the server ends such notes of nobody's.
        note = '{"kind": "removing", "landing": null, "request": null}'
        self.execute("UPDATE worktree SET operation = ? WHERE task_id = ?", note, task.id)
        return task

    @property
    def dirty(self) -> Task:
        """A task that has left something uncommitted."""
        return self.task("dirty", lambda: self.project.run("echo dirty > dirty; exit 1"))

    @property
    def idle(self) -> Task:
        """A task that did nothing."""
        return self.task("idle", lambda: self.project.run("true"))

    @property
    def conflicting(self) -> Task:
        """A task that has changed what the target branch has changed too."""

        def make() -> Task:
            project = Project(self.client, self.root / "conflicting")
            task = project.run("echo theirs > README.md")
            project.commit("README.md", "mine")
            return task

        return self.task("conflicting", make)

    @property
    def of_dirty_checkout(self) -> Task:
        """A task whose target is checked out with changes."""

        def make() -> Task:
            project = Project(self.client, self.root / "edited")
            task = project.run("echo x >> README.md")
            (project.path / "README.md").write_text("being edited")
            return task

        return self.task("of dirty checkout", make)

    @property
    def with_files_in_the_way(self) -> Task:
        """A task whose target is checked out where an ignored file stands in the way."""

        def make() -> Task:
            project = Project(self.client, self.root / "in the way")
            task = project.run("echo theirs > x")
            (project.path / "x").write_text("mine")
            (project.path / ".git/info/exclude").write_text("x\n")
            return task

        return self.task("with files in the way", make)

    @property
    def of_bisected_target(self) -> Task:
        """A task whose target is being bisected."""

        def make() -> Task:
            project = Project(self.client, self.root / "bisected")
            project.commit("more", "more")
            task = project.run("echo x > x")
            project.git("bisect", "start", "HEAD", "HEAD~")
            project.git("checkout", "-q", "--detach")
            return task

        return self.task("of bisected target", make)

    @property
    def begun_elsewhere(self) -> Task:
        """A task that was begun on a branch with more than the target has."""

        def make() -> Task:
            project = Project(self.client, self.root / "elsewhere")
            project.git("checkout", "-qb", "feature")
            project.commit("wip", "wip")
            task = project.run("echo x > x")
            project.git("checkout", "-q", "main")
            return task

        return self.task("begun elsewhere", make)

    @property
    def unfinished(self) -> Task:
        """A task whose agent has left a merge unfinished."""
        other = "git checkout -qb other; git commit -qm Other --allow-empty; git checkout -q -"
        return self.task("unfinished", lambda: self.project.run(f"{other}; git merge --no-commit --no-ff other"))

    @property
    def merged(self) -> Task:
        """A task that has resolved a conflict in a merge."""

        def make() -> Task:
            project = Project(self.client, self.root / "merged")
            return project.run(
                "echo a > README.md; git commit -qam A; git checkout -qb other HEAD~; echo b > README.md; "
                "git commit -qam B; git checkout -q -; git merge -q other; echo both > README.md; git commit -qam Both"
            )

        return self.task("merged", make)

    @property
    def unpushable(self) -> Task:
        """A task whose remote refuses it."""

        def make() -> Task:
            project = Project(self.client, self.root / "unpushable")
            project.git("remote", "add", "origin", str(self.root / "no such repository"))
            return project.run(f"{IDENTITY} echo x > x")

        return self.task("unpushable", make)

    @property
    def unpublished(self) -> Task:
        """A task whose work leads to a commit of a submodule that is nowhere else."""

        def make() -> Task:
            project = Project(self.client, self.root / "unpublished")
            return project.run(
                "git init -q sub; cd sub; echo x > x; git add x; git commit -qm X; cd ..;"
                "git config -f .gitmodules submodule.sub.path sub; git config -f .gitmodules submodule.sub.url ./sub"
            )

        return self.task("unpublished", make)

    @property
    def unsavable(self) -> Task:
        """A task whose worktree has a repository inside that cannot be saved."""

        def make() -> Task:
            project = Project(self.client, self.root / "unsavable")
            return project.run("git init -q --object-format=sha256 inner; echo x > inner/x")

        return self.task("unsavable", make)

    @property
    def of_broken_repository(self) -> Task:
        """A task whose repository git cannot read any more."""

        def make() -> Task:
            project = Project(self.client, self.root / "broken")
            task = project.run("echo x > x")
            (project.path / ".git/HEAD").write_text("nonsense")
            return task

        return self.task("of broken repository", make)

    @property
    def of_missing_branch(self) -> str:
        """The id of a list from whose base branch no task can start any more."""
        settings = taskgrove.worktree_settings(base_branch="main")
        project = Project(self.client, self.root / "branchless", settings)
        project.git("branch", "--move", "main", "renamed")
        return project.task_list.id

    @property
    def of_empty_repository(self) -> str:
        """The id of a list whose repository has a branch without a commit checked out."""
        project = Project(self.client, self.root / "orphaned")
        project.git("checkout", "--quiet", "--orphan", "empty")
        return project.task_list.id

    def execute(self, statement: str, *values: object) -> None:
        """Changes the server's database behind its back."""
        database = sqlite3.connect(self.server.data / "taskgrove.db", timeout=tasks_gates.PATIENCE)
        with database:
            database.execute(statement, values)
        database.close()


def _invalid(world: World, method: str) -> Any:
    known = METHODS[method].input_type.fields_by_name
    wrong = {"task_id": "x", "task_list_id": "x", "title": "", "page_size": -1, "after_sequence": -1, "hold_id": ""}
    name = next(name for name in wrong if name in known)
    return world.request(method, **{name: wrong[name]})


def _task_list_missing(world: World, method: str) -> Any:
    if method == "CreateTaskList":
        # A repeated call whose list was deleted since.
        created = world.client.create_task_list("Title", request_id="deleted-since")
        world.client.delete_task_list(created.id)
        return request(method, title="Title", request_id="deleted-since")
    if method == "UpdateTask":
        overrides = taskgrove.run_config(max_turns=1)
        return world.request(method, task_id=world.queued_without_list.id, overrides=overrides)
    if "task_id" in METHODS[method].input_type.fields_by_name:
        return world.request(method, task_id=world.of_deleted_list.id)
    return world.request(method, task_list_id=NOBODY)


def _path_not_allowed(world: World, method: str) -> Any:
    config = taskgrove.run_config(agent_path="/etc/agent.md")
    field = "overrides" if "overrides" in METHODS[method].input_type.fields_by_name else "defaults"
    return world.request(method, **{field: config})


def _branch_missing(world: World, method: str) -> Any:
    known = METHODS[method].input_type.fields_by_name
    if "target_branch" in known:
        return world.request(method, target_branch="nowhere")
    settings = taskgrove.worktree_settings(base_branch="nowhere")
    place = {"working_dir": str(world.project.path)} if method == "CreateTaskList" else {}
    return world.request(method, worktree_settings=settings, **place)


def _prefix_taken(world: World, method: str) -> Any:
    settings = taskgrove.worktree_settings(branch_prefix="main/")
    place = {"working_dir": str(world.project.path)} if method == "CreateTaskList" else {}
    return world.request(method, worktree_settings=settings, **place)


def _directory(make: Callable[[Path], Path]) -> Request:
    def ask(world: World, method: str) -> Any:
        path = world.root / f"directory-{len(list(world.root.iterdir()))}"
        return world.request(method, working_dir=str(make(path)))

    return ask


def _plain_directory(path: Path) -> Path:
    path.mkdir()
    return path


def _subject(name: str) -> Request:
    return lambda world, method: world.request(method, task_id=getattr(world, name).id)


def _fields(**fields: Any) -> Request:
    return lambda world, method: world.request(method, **fields)


def _in_src(task_list_id: Callable[[World], str]) -> Request:
    return lambda world, method: world.request(method, task_list_id=task_list_id(world), subdirectory="src")


def _reused(world: World, method: str) -> Any:
    return world.request(method, request_id=world.used_id)


def _not_saved(world: World, method: str) -> Any:
    discarding = {"discard_worktree": True} if method == "DeleteTask" else {}
    return world.request(method, task_id=world.unsavable.id, **discarding)


def _trimmed(world: World, method: str) -> Any:
    assert world.resting
    world.execute("DELETE FROM event WHERE sequence < 3")
    return world.request(method, after_sequence=1)


#: For each reason, what to ask of a method in order to be refused for it.
ASK: dict[str, Request] = {
    "INVALID_FIELD": _invalid,
    "INVALID_PAGE_TOKEN": _fields(page_token="made up"),
    "REQUEST_ID_REUSED": _reused,
    "TASK_NOT_FOUND": _fields(task_id=NOBODY),
    "TASK_LIST_NOT_FOUND": _task_list_missing,
    "SUBTASK_NOT_FOUND": _fields(number=99),
    "TASK_ACTIVE": _subject("running"),
    "NO_PREVIOUS_RUN": _subject("never_run"),
    "SESSION_MISSING": _subject("sessionless"),
    "TASK_LIST_ACTIVE": lambda world, method: world.request(method, task_list_id=world.running.task_list_id),
    "TASK_NOT_QUEUED": _fields(),
    "ETAG_MISMATCH": _fields(etag="1"),
    "DIRECTORY_NOT_FOUND": _directory(lambda path: path),
    "NOT_A_REPOSITORY": _directory(_plain_directory),
    "REPOSITORY_BARE": _directory(repositories.make_bare_repository),
    "REPOSITORY_EMPTY": _directory(repositories.make_empty_repository),
    "PATH_NOT_ALLOWED": _path_not_allowed,
    "LINE_OUT_OF_RANGE": _fields(after_line=10**6),
    "LOG_LOST": _subject("logless"),
    "LOG_REMOVED": _subject("lineless"),
    "EVENTS_TRIMMED": _trimmed,
    "SEQUENCE_OUT_OF_RANGE": _fields(after_sequence=10**9),
    "NO_WORKTREE": _subject("sandboxed"),
    "WORK_MISSING": _subject("forgotten"),
    "WORKTREE_BUSY": _subject("busy"),
    "WORKTREE_PRESENT": _fields(),
    "WORKTREE_DIRTY": _subject("dirty"),
    "BRANCH_NOT_FOUND": _branch_missing,
    "BRANCH_PREFIX_TAKEN": _prefix_taken,
    "REMOTE_NOT_FOUND": _fields(remote="nowhere"),
    "NOTHING_TO_LAND": _subject("idle"),
    "LAND_CONFLICT": _subject("conflicting"),
    "MERGES_NOT_REBASABLE": lambda world, method: world.request(
        method, task_id=world.merged.id, strategy=taskgrove.LandStrategy.LAND_STRATEGY_REBASE
    ),
    "OTHER_COMMITS": _subject("begun_elsewhere"),
    "WORK_UNFINISHED": _subject("unfinished"),
    "CHECKOUT_DIRTY": _subject("of_dirty_checkout"),
    "FILES_IN_THE_WAY": _subject("with_files_in_the_way"),
    "TARGET_BUSY": lambda world, method: world.request(
        method, task_id=world.of_bisected_target.id, target_branch="main"
    ),
    "BRANCH_MOVED": _fields(expected_head="0" * 40),
    "PUSH_FAILED": _subject("unpushable"),
    "SUBMODULE_UNPUBLISHED": _subject("unpublished"),
    "WORK_NOT_SAVED": _not_saved,
    "GIT_FAILED": _subject("of_broken_repository"),
    "SETUP_LOG_NOT_FOUND": _fields(),
    "HOLD_NOT_FOUND": _fields(),
}


def _settings_of_broken(world: World, method: str) -> Any:
    settings = taskgrove.worktree_settings(base_branch="main")
    return world.request(method, task_list_id=world.of_broken_repository.task_list_id, worktree_settings=settings)


#: The same for a task that is to start in a directory of a repository.
ASK_OF_ENQUEUE: dict[str, Request] = {
    "DIRECTORY_NOT_FOUND": _fields(subdirectory="no/such/directory"),
    "BRANCH_NOT_FOUND": _in_src(lambda world: world.of_missing_branch),
    "REPOSITORY_EMPTY": _in_src(lambda world: world.of_empty_repository),
    "GIT_FAILED": _in_src(lambda world: world.of_broken_repository.task_list_id),
}


def ask(world: World, method: str, reason: str) -> Any:
    """Returns a request that is to be refused for a reason."""
    own = ASK_OF_ENQUEUE if method == "Enqueue" else {}
    if (method, reason) == ("UpdateTaskList", "GIT_FAILED"):
        return _settings_of_broken(world, method)
    message = own.get(reason, ASK[reason])(world, method)
    if method == "DeleteTask" and reason in ("GIT_FAILED", "WORKTREE_BUSY"):
        message.discard_worktree = True
    return message
