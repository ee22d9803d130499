"""A task's whole life in a repository whose owner has a setting of git: what the service says and does is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import taskgrove
from support import git_settings, repositories, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.change_pb2 import ChangedFile
from taskgrove.v1.task_pb2 import Task

STRATEGIES = (
    taskgrove.LandStrategy.LAND_STRATEGY_MERGE,
    taskgrove.LandStrategy.LAND_STRATEGY_SQUASH,
    taskgrove.LandStrategy.LAND_STRATEGY_REBASE,
)

BASE = {
    "README.md": "# A project\n",
    "src/main.py": "".join(f"print({number})\n" if number != 8 else "\n" for number in range(1, 21)),
    "gone.txt": "goes\n",
    "old-name.txt": "".join(f"line {number}\n" for number in range(1, 11)),
}

#: The agent's own git is not the service's: it commits whatever its owner's settings are.
OWN_GIT = "git -c core.hooksPath=/dev/null -c commit.gpgSign=false -c diff.orderFile=/dev/null"

#: Puts a signature into the commit at HEAD, which git asks a program about when it is to be shown.
SIGN = f"""
    {{
        {OWN_GIT} cat-file commit HEAD | sed '/^$/,$d'
        printf 'gpgsig -----BEGIN PGP SIGNATURE-----\\n \\n AAAA\\n -----END PGP SIGNATURE-----\\n'
        {OWN_GIT} cat-file commit HEAD | sed -n '/^$/,$p'
    }} | {OWN_GIT} hash-object -t commit -w --stdin | xargs {OWN_GIT} update-ref HEAD
"""

#: Changes a file and commits that itself; then adds, deletes, renames and changes files. Adds another when it goes on.
WORK = f"""
    if [ "$TASKGROVE_RESUMES" = 1 ]; then echo later > later.txt; exit; fi
    sed -i 's/^print(10)/print("ten")/' src/main.py
    {OWN_GIT} commit -q --cleanup=strip -m 'Say ten' -m 'In words.' src/main.py || exit 1
    {SIGN}
    echo new > 'grün.txt'; rm gone.txt; mv old-name.txt new-name.txt; echo more >> README.md
"""

#: What git shows of the file that the agent commits. An unchanged line is empty but for the space before it.
PATCH = [
    *(b"diff --git a/src/main.py b/src/main.py", b"--- a/src/main.py", b"+++ b/src/main.py"),
    *(b"@@ -7,7 +7,7 @@ print(6)", b" print(7)", b" ", b" print(9)", b"-print(10)", b'+print("ten")'),
    *(b" print(11)", b" print(12)", b" print(13)"),
]

#: What the user's checkout holds once the work has landed beside a change of the user's.
AFTER = {
    "README.md": "# A project\nmore\n",
    "grün.txt": "new\n",
    "new-name.txt": BASE["old-name.txt"],
    "src/main.py": BASE["src/main.py"].replace("print(10)", 'print("ten")'),
    "theirs.txt": "theirs\n",
}


@pytest.fixture(scope="module")
def shared_server() -> Iterator[RunningServer]:
    """One server for all settings."""
    with RunningServer("--slots", "2", "--retry-pause", "0.1") as running:
        yield running


@pytest.fixture(scope="module")
def shared_client(shared_server: RunningServer) -> Iterator[taskgrove.Client]:
    with shared_server.client() as connected:
        yield connected


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds what settings name."""
    made = tmp_path_factory.mktemp("scratch")
    git_settings.prepare(made)
    return made


@pytest.fixture
def home_config(shared_server: RunningServer) -> Iterator[Path]:
    """The config of the server's home directory, for as long as the test takes."""
    path = shared_server.home / ".gitconfig"
    yield path
    path.unlink(missing_ok=True)


def _named(lines: Sequence[str]) -> str:
    return "+".join(lines)


@pytest.mark.parametrize("lines", git_settings.SETTINGS, ids=_named)
def test_a_whole_life_under_a_setting_of_the_repository(
    shared_client: taskgrove.Client, tmp_path: Path, scratch: Path, lines: Sequence[str]
) -> None:
    project = _project(shared_client, tmp_path)
    git_settings.configure(project.path / ".git" / "config", lines, scratch)
    _live(project, tmp_path, STRATEGIES[git_settings.SETTINGS.index(tuple(lines)) % 3])


@pytest.mark.parametrize("lines", git_settings.OF_A_HOME, ids=_named)
def test_a_whole_life_under_a_setting_of_the_home(
    shared_client: taskgrove.Client, tmp_path: Path, scratch: Path, home_config: Path, lines: Sequence[str]
) -> None:
    project = _project(shared_client, tmp_path)
    git_settings.configure(home_config, lines, scratch)
    _live(project, tmp_path, STRATEGIES[git_settings.OF_A_HOME.index(tuple(lines)) % 3])


def _project(client: taskgrove.Client, tmp_path: Path) -> Project:
    project = Project(client, tmp_path / "project")
    repositories.commit(project.path, BASE, "Base")
    repositories.git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    project.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    return project


def _live(project: Project, tmp_path: Path, strategy: taskgrove.LandStrategy) -> None:
    task = project.run(WORK, title="Do it")
    assert task.state == Task.STATE_SUCCEEDED, task
    _is_shown(project, task)
    project.commit("theirs.txt", "theirs\n")
    _lands(project, task, strategy, AFTER)
    _goes_on(project, task)
    _lands(project, task, strategy, {**AFTER, "later.txt": "later\n"})
    _is_pushed(project, task, tmp_path / "remote.git")
    _is_saved(project)


def _is_shown(project: Project, task: Task) -> None:
    """Everything that is told of the work is as without the setting."""
    client, worktree = project.client, task.worktree
    status = client.get_worktree_status(task.id)
    assert (status.target_branch, status.ahead, status.behind, status.uncommitted_files) == ("main", 2, 0, 0)
    assert (status.head_commit, status.landed) == (worktree.head_commit, False)
    files = list(client.list_changed_files(task.id))
    assert {file.path: ChangedFile.Kind.Name(file.kind).removeprefix("KIND_") for file in files} == {
        "README.md": "MODIFIED",
        "gone.txt": "DELETED",
        "grün.txt": "ADDED",
        "new-name.txt": "RENAMED",
        "src/main.py": "MODIFIED",
    }
    assert [file.path for file in files] == sorted(file.path for file in files)
    diff = client.diff_worktree(task.id)
    assert [part.file for part in diff.files] == files
    assert (diff.summary.insertions, diff.summary.deletions) == (3, 2)
    patches = {part.file.path: part.patch for part in diff.files}
    assert [line for line in patches["src/main.py"].split(b"\n") if not line.startswith(b"index ")] == [*PATCH, b""]
    newest, oldest = client.list_commits(task.id)
    assert (newest.id, newest.subject, list(newest.parent_ids)) == (worktree.head_commit, "Do it", [oldest.id])
    assert (newest.author_name, newest.author_email) == ("Taskgrove", "taskgrove@localhost")
    assert (oldest.author_name, oldest.author_email) == ("Agent", "agent@example.org")
    assert (oldest.subject, oldest.body) == ("Say ten", "In words.")
    assert list(oldest.parent_ids) == [worktree.base_commit]


def _lands(project: Project, task: Task, strategy: taskgrove.LandStrategy, files: Mapping[str, str]) -> None:
    """The branch moves to what is said, and the checkout follows."""
    before = repositories.head(project.path, "main")
    check = project.client.check_land(task.id, strategy=strategy)
    assert check.can_land, check
    landing = project.client.land(task.id, strategy=strategy).worktree.landing
    after = repositories.head(project.path, "main")
    assert landing.commit == after != before
    assert repositories.head(project.path) == after
    kinds = [line.split(" ")[0] for line in project.git("cat-file", "commit", after).split("\n\n")[0].splitlines()]
    assert kinds.count("parent") == (2 if strategy == STRATEGIES[0] else 1)
    committed = _entries(project.git("ls-tree", "-r", "-z", after))
    assert set(committed) == set(files)
    assert _entries(project.git("ls-files", "--stage", "-z")) == committed
    # Newlines as universal: some settings change those of a checkout.
    assert {name: (project.path / name).read_text(encoding="utf-8") for name in files} == files
    # Fails where a file differs from the index. No setting is believed that says that none can.
    project.git("-c", "core.fsmonitor=false", "update-index", "--really-refresh")
    assert project.client.get_worktree_status(task.id).landed


def _goes_on(project: Project, task: Task) -> None:
    project.client.continue_task(task.id, "Go on")
    assert tasks_work.rest(project.client, task.id).state == Task.STATE_SUCCEEDED
    assert [file.path for file in project.client.list_changed_files(task.id)] == ["later.txt"]


def _is_pushed(project: Project, task: Task, remote: Path) -> None:
    head = project.client.get_task(task.id).worktree.head_commit
    for force in (False, True):
        branch = f"review/{force}"
        assert project.client.push_branch(task.id, remote_branch=branch, force=force).commit == head
        assert repositories.head(remote, branch) == head
    assert repositories.branches(remote) == ["review/False", "review/True"]
    assert repositories.git(remote, "tag", "--list") == ""


def _is_saved(project: Project) -> None:
    """What a discarded task had is read back out of the ref."""
    task = project.run('if [ "$TASKGROVE_RESUMES" = 1 ]; then exec test -f kept.txt; fi; echo kept > kept.txt; exit 1')
    removal = project.client.discard_worktree(task.id).removal
    assert removal.uncommitted_files == 1
    assert removal.saved_ref
    assert project.git("cat-file", "blob", f"{removal.saved_ref}:kept.txt") == "kept"
    assert not Path(task.worktree.path).exists()
    project.client.continue_task(task.id, "Go on")
    assert tasks_work.rest(project.client, task.id).state == Task.STATE_SUCCEEDED


def _entries(listed: str) -> dict[str, str]:
    """Returns the object of each name in a tree or an index."""
    entries = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
    return {name: next(field for field in fields.split() if len(field) >= 40) for fields, name in entries}


@pytest.mark.parametrize(
    "lines",
    [
        ("diff.ignoreSubmodules=all",),
        ("submodule.lib.ignore=all",),
        ("diff.submodule=log",),
        ("diff.submodule=diff", "submodule.recurse=true"),
        ("status.submoduleSummary=true", "diff.external={scratch}/broken"),
    ],
    ids=_named,
)
def test_a_submodule_is_shown_as_a_link(
    shared_client: taskgrove.Client, tmp_path: Path, scratch: Path, lines: Sequence[str]
) -> None:
    project = _project(shared_client, tmp_path)
    library = repositories.make_repository(tmp_path / "library")
    before = repositories.head(library)
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    project.git("config", "--file", ".gitmodules", "submodule.lib.ignore", "all")
    project.git("add", ".gitmodules")
    project.git("commit", "--quiet", "--message", "Add a library")
    after = repositories.commit(library, {"new": "new\n"}, "More")
    git_settings.configure(project.path / ".git" / "config", lines, scratch)
    task = project.run(f"git update-index --cacheinfo 160000,{after},lib && {OWN_GIT} commit -qm Move --allow-empty")
    (file,) = shared_client.list_changed_files(task.id, committed_only=True)
    assert (file.path, file.kind, file.old_mode, file.mode) == ("lib", ChangedFile.KIND_MODIFIED, "160000", "160000")
    (part,) = shared_client.diff_worktree(task.id, committed_only=True).files
    assert part.patch.splitlines()[-2:] == [
        f"-Subproject commit {before}".encode(),
        f"+Subproject commit {after}".encode(),
    ]
