"""The repository is one with repositories inside: all that is in a worktree is work, and none of it is lost."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import repositories
from support.cli_shell import Shell
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.change_pb2 import NestedRepository
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.worktree_service_pb2 import CheckLandResponse, Removal

#: Lets git fetch submodules from this machine, which it does not without being told.
LOCAL = "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=protocol.file.allow GIT_CONFIG_VALUE_0=always; "

SUBMODULE = NestedRepository.KIND_SUBMODULE
REPOSITORY = NestedRepository.KIND_REPOSITORY
WORKTREE = NestedRepository.KIND_WORKTREE

NO_TIME = timedelta()


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


@pytest.fixture
def library(project: Project, tmp_path: Path) -> Path:
    """Makes a repository that the project has as its submodule `sub`."""
    origin = repositories.make_bare_repository(tmp_path / "library.git")
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(origin), "sub")
    project.git("commit", "--quiet", "--message", "A submodule")
    return origin


def saved_file(project: Project, revision: str) -> str:
    return project.git("cat-file", "blob", revision)


def discard(project: Project, task_id: str) -> Removal:
    """Discards, and checks that the repository has everything to which it leads."""
    removal = project.client.discard_worktree(task_id).removal
    assert not Path(removal.path).exists()
    project.git("fsck", "--strict", "--connectivity-only")
    return removal


def test_uncommitted_and_committed_work_in_a_submodule_survives_a_discard(project: Project, library: Path) -> None:
    task = project.run(
        f"{LOCAL} git submodule --quiet update --init; cd sub; git checkout -q -b work;"
        "echo one > one; git add .; git commit -qm One; echo stashed > README.md; git stash -q; git tag mine"
    )
    place = Path(task.worktree.path, "sub")
    (place / "two").write_text("two\n", encoding="utf-8")
    status = project.client.get_worktree_status(task.id)
    assert status.uncommitted_files == 1
    nested = status.nested_repositories[0]
    assert (nested.path, nested.kind, nested.branch, nested.uncommitted_files) == ("sub", SUBMODULE, "work", 1)
    assert nested.commits == 1
    paths = [file.path for file in project.client.list_changed_files(task.id)]
    assert paths == ["sub", "sub/one", "sub/two"]
    planned = project.client.discard_worktree(task.id, dry_run=True).removal
    assert [one.path for one in planned.nested_repositories] == ["sub"]
    assert planned.uncommitted_files == 1
    (saved,) = discard(project, task.id).saved_repositories
    assert saved.path == "sub"
    assert saved_file(project, f"{saved.saved_ref}:two") == "two"
    assert saved_file(project, f"{saved.saved_ref}~:one") == "one"
    assert saved_file(project, f"{saved.saved_ref}-refs/heads/work:one") == "one"
    assert saved_file(project, f"{saved.saved_ref}-refs/tags/mine:one") == "one"
    assert saved_file(project, f"{saved.saved_ref}-refs/stash/0:README.md") == "stashed"


def test_edits_in_a_submodule_are_committed_at_the_end_of_a_run(project: Project, library: Path) -> None:
    task = project.run(f"{LOCAL} git submodule --quiet update --init; echo changed > sub/README.md")
    place = Path(task.worktree.path, "sub")
    assert repositories.head(place) == project.git("rev-parse", f"{task.worktree.branch}:sub")
    parts = list(project.client.iterate_diff(task.id))
    assert b"+++ b/sub/README.md" in b"".join(getattr(part, "patch", b"") for part in parts)
    (saved,) = discard(project, task.id).saved_repositories
    assert saved_file(project, f"{saved.saved_ref}:README.md") == "changed"


def test_a_repository_that_the_agent_made_lands_as_files(project: Project) -> None:
    task = project.run(
        "git init -q frontend; cd frontend; echo app > app.js; git add .; git commit -qm App;"
        "git branch other; echo more > more.js"
    )
    assert [file.path for file in project.client.list_changed_files(task.id)] == ["frontend/app.js", "frontend/more.js"]
    status = project.client.get_worktree_status(task.id)
    assert [(one.path, one.kind) for one in status.nested_repositories] == [("frontend", REPOSITORY)]
    project.client.land(task.id)
    assert saved_file(project, "main:frontend/more.js") == "more"
    (saved,) = discard(project, task.id).saved_repositories
    assert saved_file(project, f"{saved.saved_ref}:more.js") == "more"
    assert saved_file(project, f"{saved.saved_ref}~:app.js") == "app"
    assert saved_file(project, f"{saved.saved_ref}-refs/heads/other:app.js") == "app"
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("ignored", [True, False], ids=["ignored", "not ignored"])
def test_the_worktree_of_a_sub_agent(project: Project, ignored: bool) -> None:
    if ignored:
        project.commit(".gitignore", ".claude/\n")
    task = project.run(
        "git worktree add -q -b sub-agent .claude/worktrees/x; cd .claude/worktrees/x;"
        "echo one > one; git add .; git commit -qm One; echo two > two; cd -; echo mine > mine"
    )
    assert [file.path for file in project.client.list_changed_files(task.id)] == ["mine"]
    (nested,) = project.client.get_worktree_status(task.id).nested_repositories
    assert (nested.path, nested.kind, nested.branch) == (".claude/worktrees/x", WORKTREE, "sub-agent")
    assert (nested.commits, nested.uncommitted_files) == (1, 1)
    check = project.client.check_land(task.id)
    assert check.can_land
    assert [one.path for one in check.nested_repositories] == [".claude/worktrees/x"]
    project.client.land(task.id)
    assert [name for name in project.files() if name != ".gitignore"] == ["README.md", "mine", "src/main.py"]
    removal = discard(project, task.id)
    assert removal.uncommitted_files == 1
    (saved,) = removal.saved_repositories
    assert saved_file(project, f"{saved.saved_ref}:two") == "two"
    assert saved_file(project, "sub-agent:one") == "one"
    assert repositories.worktree_paths(project.path) == []


def test_a_repository_in_an_ignored_place_survives_a_prune(project: Project) -> None:
    project.commit(".gitignore", "build/\n")
    task = project.run(
        "git init -q build/deep/tool; cd build/deep/tool; git init -q inner; echo a > a; echo b > inner/b"
    )
    response = project.client.prune_worktrees(rested_for=NO_TIME)
    (removal,) = response.removals
    assert removal.task_id == task.id
    saved = {one.path: one.saved_ref for one in removal.saved_repositories}
    assert sorted(saved) == ["build/deep/tool", "build/deep/tool/inner"]
    assert saved_file(project, f"{saved['build/deep/tool']}:a") == "a"
    assert saved_file(project, f"{saved['build/deep/tool/inner']}:b") == "b"


def test_nothing_that_its_config_names_is_run(project: Project, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = f"touch {ran}; cat"
    task = project.run(
        "git init -q inner; cd inner; echo '* filter=evil diff=evil' > .gitattributes; git add .; git commit -qm One;"
        "echo more > more"
    )
    inner = Path(task.worktree.path, "inner")
    for name in (
        *("core.fsmonitor", "uploadpack.packObjectsHook", "diff.external", "core.sshCommand", "core.pager"),
        *("filter.evil.clean", "filter.evil.process", "filter.evil.smudge", "diff.evil.textconv", "diff.evil.command"),
    ):
        repositories.git(inner, "config", name, f"sh -c '{program}'")
    for hook in ("post-index-change", "reference-transaction", "pre-commit", "post-commit"):
        file = inner / ".git/hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        file.chmod(0o755)
    (inner / "new").write_text("new\n", encoding="utf-8")
    (saved,) = discard(project, task.id).saved_repositories
    assert saved_file(project, f"{saved.saved_ref}:new") == "new"
    assert not ran.exists()


def test_a_shallow_clone_is_saved_without_its_history(project: Project, tmp_path: Path) -> None:
    origin = repositories.make_repository(tmp_path / "origin")
    repositories.commit(origin, {"second": "second\n"}, "Second")
    task = project.run(
        f"{LOCAL} git clone -q --depth=1 'file://{origin}' vendor; cd vendor; echo own > own; git add .;"
        "git commit -qm Own; echo more > more"
    )
    (saved,) = discard(project, task.id).saved_repositories
    assert saved_file(project, f"{saved.saved_ref}:more") == "more"
    assert saved_file(project, f"{saved.saved_ref}~:own") == "own"
    assert "without its history" in project.git("cat-file", "commit", f"{saved.saved_ref}~")


def test_what_cannot_be_saved_is_not_removed(project: Project) -> None:
    task = project.run("git init -q --object-format=sha256 inner; echo more > inner/more")
    other = project.run("echo other > other")
    assert task.worktree.path
    with pytest.raises(taskgrove.WorkNotSaved, match="another format") as refused:
        project.client.discard_worktree(task.id)
    assert refused.value.metadata["path"] == "inner"
    assert Path(task.worktree.path, "inner/more").read_text(encoding="utf-8") == "more\n"
    pruned = project.client.prune_worktrees(rested_for=NO_TIME)
    assert pruned.failures == 1
    assert [removal.task_id for removal in pruned.removals] == [other.id]
    Path(task.worktree.path, "inner").rename(project.path.parent / "moved")
    project.client.discard_worktree(task.id)


UPDATE = f"{LOCAL} git submodule --quiet update --init;"


def test_a_commit_of_a_submodule_that_nobody_else_has_lands_only_when_told(project: Project, library: Path) -> None:
    task = project.run(f"{UPDATE} echo changed > sub/README.md")
    check = project.client.check_land(task.id)
    assert check.obstacle == CheckLandResponse.OBSTACLE_UNPUBLISHED_SUBMODULE
    commit = project.git("rev-parse", f"{task.worktree.branch}:sub")
    assert [(one.path, one.head_commit) for one in check.nested_repositories] == [("sub", commit)]
    before = project.git("rev-parse", "main")
    with pytest.raises(taskgrove.SubmoduleUnpublished, match="no remote repository") as refused:
        project.client.land(task.id)
    assert refused.value.metadata["path"] == "sub"
    assert refused.value.metadata["commit"] == commit
    assert project.git("rev-parse", "main") == before
    project.client.land(task.id, include_unpublished_submodules=True)
    assert project.git("rev-parse", "main:sub") == commit
    # It is there for the person although the worktree goes.
    discard(project, task.id)
    project.git("-c", "protocol.file.allow=never", "submodule", "--quiet", "update")
    assert (project.path / "sub/README.md").read_text(encoding="utf-8") == "changed\n"
    assert project.git("status", "--porcelain") == ""


def test_the_advice_for_it_leads_out_of_it(
    project: Project, library: Path, server: RunningServer, tmp_path: Path
) -> None:
    task = project.run(f"{UPDATE} echo changed > sub/README.md")
    shell = Shell(server, tmp_path)
    refused = shell.run("land", task.id, "--check")
    assert refused.returncode == 1
    advice = [line.strip() for line in refused.stdout.decode().splitlines() if line.startswith("  git ")]
    subprocess.run(advice[0], shell=True, check=True, capture_output=True, timeout=60)
    assert project.client.check_land(task.id).can_land
    project.client.land(task.id)
    assert repositories.git(library, "cat-file", "-t", project.git("rev-parse", "main:sub")) == "commit"


def test_edits_in_one_of_many_submodules_land_with_the_rest(project: Project, library: Path) -> None:
    for number in range(30):
        url = str(library)
        project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, f"libraries/{number}")
    project.git("commit", "--quiet", "--message", "Thirty")
    task = project.run(f"{UPDATE} echo work > work; sleep 0")
    (Path(task.worktree.path) / "libraries/17/README.md").write_text("edited\n", encoding="utf-8")
    assert project.client.check_land(task.id).obstacle == CheckLandResponse.OBSTACLE_WORKTREE_DIRTY
    with pytest.raises(taskgrove.WorktreeDirty):
        project.client.land(task.id)
    project.client.land(task.id, commit_uncommitted=True, include_unpublished_submodules=True)
    commit = project.git("rev-parse", "main:libraries/17")
    assert repositories.git(project.path / "libraries/17", "show", f"{commit}:README.md") == "edited"


def test_what_the_command_line_tells_of_them(project: Project, server: RunningServer, tmp_path: Path) -> None:
    task = project.run(
        "git init -q frontend; echo a > frontend/a; git worktree add -q -b sub-agent agents/x; echo two > agents/x/two"
    )
    shell = Shell(server, tmp_path)
    told = "agents/x (worktree of the same repository, branch sub-agent, 1 uncommitted file)"
    assert told in " ".join(shell.text("show", task.id).split())
    assert told in shell.text("discard", "--dry-run", task.id)
    left_out = "What was made in agents/x (branch sub-agent, 1 uncommitted file) is not part of it."
    assert left_out in shell.text("land", task.id, "--check")
    assert left_out in shell.text("land", task.id)
    saved = shell.text("discard", "--yes", task.id)
    assert "what was in agents/x is saved at refs/taskgrove/saved/" in saved


@pytest.mark.parametrize("place", ["a link", "a .git file"])
def test_what_leads_to_the_persons_own_submodule_is_not_committed_there(
    project: Project, library: Path, place: str
) -> None:
    lib = project.path / "sub"
    (lib / ".env").write_text("SECRET")
    before = (repositories.git(lib, "rev-parse", "HEAD"), repositories.git(lib, "status", "--porcelain"))
    if place == "a link":
        work = f"rmdir sub; ln -s '{lib}' sub; echo x > x"
    else:
        work = f"cp -r '{lib}/.' sub; echo 'gitdir: {project.path}/.git/modules/sub' > sub/.git; echo x > sub/x"
    task = project.run(work)
    assert (repositories.git(lib, "rev-parse", "HEAD"), repositories.git(lib, "status", "--porcelain")) == before
    assert (task.state == Task.STATE_SUCCEEDED) == (place == "a link")
    project.client.discard_worktree(task.id)
    assert (repositories.git(lib, "rev-parse", "HEAD"), repositories.git(lib, "status", "--porcelain")) == before


def test_a_rebase_that_is_unfinished_in_a_submodule_is_not_committed_over(project: Project, library: Path) -> None:
    task = project.run(
        f"{LOCAL} git submodule --quiet update --init; cd sub; "
        "for n in 1 2 3; do echo $n > $n; git add .; git commit -qm $n; done; "
        "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i HEAD~3"
    )
    assert task.state == Task.STATE_FAILED
    assert "stands in the middle of a rebase" in task.failure.message
