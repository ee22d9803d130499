"""Agents reach for what a repository shares with their worktrees: the stash, the config, branches, hooks."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_feed, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from support.tasks_land import IDENTITY, Project
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.task_pb2 import Task

SECRET = "hunter2-is-secret"


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "my project")


@pytest.fixture
def stashed(project: Project) -> list[str]:
    """Three entries in the stash of the person, as git lists them."""
    for number in range(3):
        (project.path / "README.md").write_text(f"work of mine {number}\n")
        project.git("stash", "push", "--quiet", "--message", f"mine {number}: ünfinished")
    return stash_of(project)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as made:
        yield made


def stash_of(project: Project) -> list[str]:
    return project.git("stash", "list", "--format=%H %gs").splitlines()


def told_of(project: Project, task: Task) -> list[str]:
    """Returns what the task's last run tells; the feed has to tell the same."""
    run = tasks_work.runs(project.client, task)[-1]
    told = list(run.repository_changes)
    events = project.client.read_events()
    mine = [event for event in events if event.task_id == task.id and event.kind == Event.KIND_REPOSITORY_CHANGED]
    assert [list(event.repository_changes) for event in mine if event.run_number == run.number] == [told] * bool(told)
    return told


def the_one(told: list[str], *parts: str) -> str:
    """Returns the only sentence that is told, which has some parts."""
    assert len(told) == 1, told
    assert [part for part in parts if part not in told[0]] == [], told
    return told[0]


def follow(sentence: str) -> None:
    """Does what a sentence advises, word by word."""
    command = sentence.partition("To bring it back: ")[2]
    subprocess.run(shlex.split(command), check=True, capture_output=True, cwd="/")


def no_refs_of_runs(project: Project) -> bool:
    return project.git("for-each-ref", "refs/taskgrove/stash/") == ""


@pytest.mark.parametrize(
    ("command", "gone"),
    [
        ("git stash; git stash pop", [0]),
        ("git stash pop; git add -A; git commit -qm 'Mine now'", [0]),
        ("git stash drop 'stash@{1}'", [1]),
        ("git stash drop 'stash@{2}'; git stash drop", [0, 2]),
        ("git stash clear", [0, 1, 2]),
        ("git stash clear; git reflog expire --expire=now --all; git gc --quiet --prune=now", [0, 1, 2]),
        ("git update-ref -d refs/stash", [0, 1, 2]),
        ("git stash clear; exit 1", [0, 1, 2]),
    ],
)
def test_stash_entries_come_back(project: Project, stashed: list[str], command: str, gone: list[int]) -> None:
    task = project.run(command)
    assert stash_of(project) == stashed
    told = told_of(project, task)
    assert len(told) == len(gone)
    for number, sentence in zip(gone, told, strict=True):
        assert f"'On main: mine {2 - number}: ünfinished' was gone after the run, and was put back." in sentence
    assert no_refs_of_runs(project)
    project.git("stash", "apply", "--quiet", "stash@{2}")
    assert (project.path / "README.md").read_text() == "work of mine 0\n"


def test_times_of_stash_entries_stay(project: Project, stashed: list[str]) -> None:
    before = project.git("stash", "list", "--date=raw")
    assert len(stashed) == 3
    project.run("git stash drop 'stash@{1}'")
    assert project.git("stash", "list", "--date=raw") == before


def test_an_entry_that_the_agent_leaves_stays(project: Project, stashed: list[str]) -> None:
    task = project.run("git stash drop 'stash@{1}' -q; echo x > README.md; git stash push -q -m left; echo y > y")
    found = stash_of(project)
    assert found[1:] == stashed
    told = told_of(project, task)
    assert "was put back" in told[0]
    the_one(told[1:], f"'On {task.worktree.branch}: left' is new in the repository.")


def test_an_agents_own_entry_may_go(project: Project, stashed: list[str]) -> None:
    task = project.run(
        '[ "$TASKGROVE_RESUMES" = 1 ] && exec git stash pop; echo x > README.md; git stash -q; echo y > y'
    )
    assert len(stash_of(project)) == 4
    commit = project.git("rev-parse", "refs/stash")
    project.client.continue_task(task.id, "Go on")
    task = tasks_work.rest(project.client, task.id)
    assert stash_of(project) == stashed
    ref = f"refs/taskgrove/kept/{task.id}/1"
    the_one(told_of(project, task), "made in a task's worktree, is gone", ref)
    assert project.git("rev-parse", ref) == commit


def test_of_two_agents_at_once_each_tells_what_happened(
    project: Project, stashed: list[str], gate: Gate, client: taskgrove.Client
) -> None:
    waits = client.enqueue(project.task_list.id, "B", overrides=tasks_work.shell(gate.pass_through))
    gate.wait_for_arrivals()
    task = project.run("git stash; git stash pop")
    assert stash_of(project) == stashed
    assert len(told_of(project, task)) == 1
    gate.open()
    assert told_of(project, tasks_work.rest(client, waits.id)) == []
    assert stash_of(project) == stashed


def test_many_agents_at_once_lose_no_entry(project: Project, stashed: list[str], client: taskgrove.Client) -> None:
    commands = ["git stash pop", "git stash drop", "git stash clear", "git stash drop 'stash@{1}'"] * 2
    tasks = [client.enqueue(project.task_list.id, one, overrides=tasks_work.shell(f"{one}; :")) for one in commands]
    told = [sentence for task in tasks for sentence in told_of(project, tasks_work.rest(client, task.id))]
    assert stash_of(project) == stashed
    assert len(told) >= 3
    assert [sentence for sentence in told if "was put back" not in sentence] == []
    assert no_refs_of_runs(project)


def test_an_entry_that_was_away_when_another_began_is_not_told_as_new(
    project: Project, stashed: list[str], gate: Gate, tmp_path: Path, client: taskgrove.Client
) -> None:
    with Gate(tmp_path / "other") as other:
        command = f"git stash pop -q; git config core.bare true; {gate.pass_through}"
        first = client.enqueue(project.task_list.id, "A", overrides=tasks_work.shell(command))
        gate.wait_for_arrivals()
        # Begins with an entry less, and with a setting that is wrong.
        second = client.enqueue(project.task_list.id, "B", overrides=tasks_work.shell(other.pass_through))
        other.wait_for_arrivals()
        gate.open()
        told = told_of(project, tasks_work.rest(client, first.id))
        assert [part in one for part, one in zip(("core.bare", "stash entry"), told, strict=True)] == [True, True]
        other.open()
        assert told_of(project, tasks_work.rest(client, second.id)) == []
    assert stash_of(project) == stashed
    assert project.git("config", "--local", "core.bare") == "false"


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("git config core.bare true", "core.bare"),
        ("git config core.bare nonsense", "core.bare"),
        ("git config --unset core.bare", "core.bare"),
        ("git config core.worktree /nonexistent/place", "core.worktree"),
        ("git config core.worktree ..", "core.worktree"),
        ("git config core.repositoryformatversion 99", "core.repositoryformatversion"),
        ("git config extensions.objectFormat sha256", "extensions.objectformat"),
        ("git config extensions.unknown true", "extensions.unknown"),
    ],
)
def test_settings_that_break_a_repository_are_put_back(project: Project, command: str, setting: str) -> None:
    before = project.git("config", "--local", "--list")
    task = project.run(f"{command}; echo x > x")
    assert sorted(project.git("config", "--local", "--list").splitlines()) == sorted(before.splitlines())
    the_one(told_of(project, task), f"setting {setting},", "was put back")
    assert task.state == Task.STATE_SUCCEEDED
    assert project.git("show", f"{task.worktree.branch}:x") == "x"


@pytest.mark.parametrize(
    "command",
    [
        'echo "[broken" > "$c"',
        'rm "$c"',
        ': > "$c"',
        'printf "\\000\\001" > "$c"',
        "git config core.compression nonsense",
        "git config core.abbrev nonsense",
        'echo "[broken" > "$c.included"; git config include.path config.included',
    ],
)
def test_a_config_that_git_cannot_read_is_put_back(project: Project, command: str) -> None:
    project.git("config", "user.email", "me@example.org")
    config = project.path / ".git/config"
    before, mode = config.read_bytes(), config.stat().st_mode
    task = project.run(f'c="$(git rev-parse --path-format=absolute --git-common-dir)/config"; {command}; echo x > x')
    assert (config.read_bytes(), config.stat().st_mode) == (before, mode)
    the_one(told_of(project, task), "put back")
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    project.git("status")


@pytest.mark.parametrize("command", ["echo nonsense > HEAD", "rm HEAD", ": > HEAD"])
def test_a_head_that_git_cannot_read_is_put_back(project: Project, command: str) -> None:
    task = project.run(f'cd "$(git rev-parse --path-format=absolute --git-common-dir)"; {command}')
    the_one(told_of(project, task), "HEAD", "was put back")
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_what_a_broken_config_held_is_kept(project: Project) -> None:
    task = project.run('echo "[mine" > "$(git rev-parse --path-format=absolute --git-common-dir)/config"')
    the_one(told_of(project, task), f"'config.{task.id}'")
    assert (project.path / f".git/config.{task.id}").read_text() == "[mine\n"


def test_other_settings_are_told_by_their_names_alone(project: Project, server: RunningServer) -> None:
    project.git("config", "user.name", "Me")
    project.git("remote", "add", "old", "/nowhere")
    command = (
        f"git config user.email {SECRET}; git config --unset user.name; git remote remove old; "
        f"git remote add evil https://me:{SECRET}@example.org/x.git; "
        f"git config http.https://me:{SECRET}@example.org/.extraHeader {SECRET}"
    )
    task = project.run(command)
    assert sorted(told_of(project, task)) == [
        "The remote 'evil' of the repository is new.",
        "The remote 'old' of the repository is gone.",
        "The repository's setting http.https://***@example.org/.extraheader is new.",
        "The repository's setting user.email is new.",
        "The repository's setting user.name is gone.",
    ]
    assert project.git("config", "--local", "user.email") == SECRET
    assert SECRET not in server.log.read_text()
    for run in tasks_work.runs(project.client, task):
        assert SECRET not in str(list(run.repository_changes))


def test_secrets_of_a_config_lie_about_for_nobody_else(project: Project, server: RunningServer, gate: Gate) -> None:
    project.git("config", "http.extraHeader", SECRET)
    task = project.client.enqueue(project.task_list.id, "Do it", overrides=tasks_work.shell(gate.pass_through))
    gate.wait_for_arrivals()
    (run,) = (server.data / "runs").iterdir()
    assert (run / "repository.json").stat().st_mode & 0o777 == 0o600
    gate.open()
    tasks_work.rest(project.client, task.id)
    assert not run.exists()


def test_branches_that_were_deleted_are_kept(project: Project) -> None:
    project.git("checkout", "-q", "-b", "mine's")
    commit = project.commit("mine", "mine")
    project.git("checkout", "-q", "main")
    project.git("branch", "same")
    task = project.run('git branch -D "mine\'s"; git branch -D same')
    kept, same = sorted(told_of(project, task))
    ref = f"refs/taskgrove/kept/{task.id}/1"
    assert ref in kept
    assert project.git("rev-parse", ref) == commit
    assert "'same' was deleted" in same
    assert project.git("for-each-ref", "--format=%(refname)", "refs/taskgrove/kept/") == ref
    follow(kept)
    follow(same)
    assert project.git("rev-parse", "mine's") == commit
    assert project.git("rev-parse", "same") == project.git("rev-parse", "main")


@pytest.mark.parametrize("checked_out", [False, True])
def test_branches_that_were_set_back_are_kept(project: Project, *, checked_out: bool) -> None:
    base = project.git("rev-parse", "main")
    project.git("checkout", "-q", "-b", "mine")
    commit = project.commit("mine", "mine")
    if not checked_out:
        project.git("checkout", "-q", "main")
    task = project.run(f"git reset -q --hard {base}; git update-ref refs/heads/mine {base}")
    told = the_one(told_of(project, task), "The branch 'mine' was moved", f"refs/taskgrove/kept/{task.id}/1")
    if checked_out:
        # As git has it: the files are those of the commit still.
        project.git("reset", "-q", "--hard")
    follow(told)
    assert project.git("rev-parse", "mine") == commit
    assert project.git("status", "--porcelain") == ""


def test_branches_that_go_forward_are_told(project: Project) -> None:
    project.git("branch", "mine")
    task = project.run("echo x > x; git add x; git commit -qm x; git update-ref refs/heads/mine HEAD; git branch new")
    moved, new = told_of(project, task)
    assert moved.startswith("The branch 'mine' was moved forward from ")
    assert new == "The branch 'new' is new in the repository."
    assert project.git("for-each-ref", "refs/taskgrove/kept/") == ""


def test_a_branch_that_is_checked_out_is_kept_when_its_ref_is_deleted(project: Project) -> None:
    commit = project.commit("mine", "mine")
    task = project.run("git checkout -q --orphan away; git commit -qm away; git update-ref -d refs/heads/main")
    lost = next(one for one in told_of(project, task) if "'main' was deleted" in one)
    follow(lost)
    assert project.git("rev-parse", "HEAD") == commit
    assert project.git("status", "--porcelain") == ""


def test_a_branch_that_was_renamed_is_told(project: Project) -> None:
    project.git("branch", "mine")
    lost, new = told_of(project, project.run("git branch -m mine theirs"))
    assert "'mine' was deleted" in lost
    assert "'theirs' is new" in new
    follow(lost)
    assert project.git("rev-parse", "mine") == project.git("rev-parse", "main")


def test_tags_are_kept(project: Project) -> None:
    project.git("tag", "-a", "v1", "-m", "One")
    project.git("tag", "v2")
    v1 = project.git("rev-parse", "v1")
    task = project.run("git tag -d v1; git commit -q --allow-empty -m x; git tag -f v2; git tag v3")
    first, second, third = told_of(project, task)
    assert "'v1' was deleted" in first
    assert "'v2' was moved" in second
    assert third == "The tag 'v3' is new in the repository."
    follow(first)
    follow(second)
    assert project.git("rev-parse", "v1") == v1
    assert project.git("rev-parse", "v2") == project.git("rev-parse", "main")


def test_hooks_and_excludes_are_told(project: Project) -> None:
    hooks = project.path / ".git/hooks"
    (hooks / "commit-msg").write_text("#!/bin/sh\n")
    (hooks / "post-merge").write_text("#!/bin/sh\n")
    command = (
        'd="$(git rev-parse --path-format=absolute --git-common-dir)"; cd "$d"; printf "#!/bin/sh" > hooks/pre-commit; '
        "chmod +x hooks/pre-commit hooks/commit-msg; rm hooks/post-merge; echo '*.secret' >> info/exclude"
    )
    task = project.run(command)
    assert told_of(project, task) == [
        "The hook 'commit-msg' of the repository was changed.",
        "The hook 'post-merge' of the repository is gone.",
        "The hook 'pre-commit' of the repository is new.",
        "The file 'info/exclude' of the repository was changed.",
    ]
    assert (hooks / "pre-commit").exists()


@pytest.mark.parametrize(
    ("command", "now"),
    [("checkout -q other", "on the branch 'other'"), ("checkout -q --detach", "at the commit")],
)
def test_a_checkout_in_the_main_checkout_is_told(project: Project, command: str, now: str) -> None:
    project.git("branch", "other")
    task = project.run(f"git -C {shlex.quote(str(project.path))} {command}")
    the_one(told_of(project, task), "was on the branch 'main' before the run, and is", now)


def test_landings_are_not_told(project: Project, gate: Gate, client: taskgrove.Client) -> None:
    landed = project.run("echo x > x")
    loose = project.run("echo y > y")
    project.git("branch", "aside")
    waits = client.enqueue(project.task_list.id, "B", overrides=tasks_work.shell(gate.pass_through))
    gate.wait_for_arrivals()
    client.land(landed.id, target_branch="main")
    client.land(loose.id, target_branch="aside")
    client.discard_worktree(landed.id)
    gate.open()
    assert told_of(project, tasks_work.rest(client, waits.id)) == []


def test_nothing_is_told_of_an_ordinary_run(project: Project, stashed: list[str]) -> None:
    task = project.run("echo x > x; git stash push -qu; git stash pop -q; git add -A; git commit -qm x; git status")
    assert told_of(project, task) == []
    assert stash_of(project) == stashed
    assert no_refs_of_runs(project)


def test_a_killed_server_leaves_it_to_the_next(
    project: Project, stashed: list[str], server: RunningServer, gate: Gate, client: taskgrove.Client
) -> None:
    command = f"git stash clear; git config core.bare true; {gate.pass_through}"
    task = client.enqueue(project.task_list.id, "Do it", overrides=tasks_work.shell(command))
    gate.wait_for_arrivals()
    server.kill()
    server.start()
    gate.open()
    rested = tasks_work.rest(client, task.id)
    assert len(told_of(project, rested)) == 4
    assert stash_of(project) == stashed
    assert no_refs_of_runs(project)


def test_a_run_that_ends_without_a_server_is_compared_by_the_next(
    project: Project, stashed: list[str], server: RunningServer, gate: Gate, client: taskgrove.Client
) -> None:
    task = client.enqueue(
        project.task_list.id, "Do it", overrides=tasks_work.shell(f"{gate.pass_through}; git stash clear")
    )
    gate.wait_for_arrivals()
    server.kill()
    gate.open()
    tasks_gates.until(lambda: not server.run_processes(), "the end of the run")
    server.start()
    assert len(told_of(project, tasks_work.rest(client, task.id))) == 3
    assert stash_of(project) == stashed


def test_a_cancelled_run_is_compared(
    project: Project, stashed: list[str], gate: Gate, client: taskgrove.Client
) -> None:
    command = f"git stash clear; {gate.pass_through}"
    task = client.enqueue(project.task_list.id, "Do it", overrides=tasks_work.shell(command))
    gate.wait_for_arrivals()
    client.cancel(task.id)
    rested = tasks_work.rest(client, task.id)
    assert rested.state == Task.STATE_CANCELLED
    assert len(told_of(project, rested)) == 3
    assert stash_of(project) == stashed


def test_each_run_is_compared_by_itself(project: Project, stashed: list[str], client: taskgrove.Client) -> None:
    task = project.run('git stash drop -q; [ "$TASKGROVE_RESUMES" = 1 ] || exit 75')
    assert [len(run.repository_changes) for run in tasks_work.runs(client, task)] == [1, 1]
    assert stash_of(project) == stashed
    client.continue_task(task.id, "Go on")
    rested = tasks_work.rest(client, task.id)
    assert len(told_of(project, rested)) == 1
    assert stash_of(project) == stashed


def test_what_cannot_be_compared_is_told(project: Project, client: taskgrove.Client) -> None:
    task = project.run('echo nonsense > "$(git rev-parse --path-format=absolute --git-common-dir)/packed-refs"')
    the_one(told_of(project, task), "could not be compared")
    (project.path / ".git/packed-refs").unlink()
    assert told_of(project, project.run("true")) == []


def test_a_repository_whose_config_somebody_holds_locked(project: Project) -> None:
    task = project.run(
        'git config core.bare true; touch "$(git rev-parse --path-format=absolute --git-common-dir)/config.lock"'
    )
    the_one(told_of(project, task), "was put back")
    assert project.git("config", "core.bare") == "false"


def test_a_list_of_changes_has_an_end(project: Project) -> None:
    for number in range(70):
        project.git("tag", f"v{number}")
    told = told_of(project, project.run("git tag -d $(git tag)"))
    assert len(told) == 50
    assert told[-1] == "The repository has 21 more changes."
    feed = list(project.client.read_events())
    assert "REPOSITORY_CHANGED" in tasks_feed.kinds(feed)


def test_a_bare_layout_is_compared_too(client: taskgrove.Client, tmp_path: Path) -> None:
    bare = repositories.make_bare_repository(tmp_path / "project/.bare")
    repositories.git(bare, "worktree", "add", "-q", "../main", "main")
    (tmp_path / "project/main/README.md").write_text("mine")
    repositories.git(tmp_path / "project/main", "stash", "-q")
    task_list = client.create_task_list("Bare", working_dir=tmp_path / "project/main")
    task = client.enqueue(
        task_list.id, "Do it", overrides=tasks_work.shell(f"{IDENTITY} git stash pop; git config core.bare false")
    )
    told = list(tasks_work.runs(client, tasks_work.rest(client, task.id))[-1].repository_changes)
    assert ["put back" in one for one in told] == [True, True]
    assert "mine" in repositories.git(bare, "diff", "main", "refs/stash")
    assert repositories.git(bare, "config", "core.bare") == "true"
