"""What lands is the work of the task: all of it, nothing besides, and nothing that stands half-way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.worktree_service_pb2 import CheckLandResponse

MERGE = taskgrove.LandStrategy.LAND_STRATEGY_MERGE
SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH
REBASE = taskgrove.LandStrategy.LAND_STRATEGY_REBASE
STRATEGIES = pytest.mark.parametrize("strategy", [MERGE, SQUASH, REBASE], ids=["merge", "squash", "rebase"])

#: Leaves a branch that conflicts with what follows it, as an agent does.
_OTHER = (
    "git checkout -qb other; echo other > README.md; git commit -qam Other; git checkout -q -; echo mine > README.md; "
    "git commit -qam Mine; "
)

#: Leaves a branch that goes another way without a conflict.
_TWO_SIDES = (
    "git checkout -qb other; echo b > b; git add .; git commit -qm B; git checkout -q -; echo a > a; git add .; "
    "git commit -qm A; "
)

#: What agents leave half-done, and the word for it.
UNFINISHED = {
    "merge": f"{_OTHER} git merge -q other; true",
    "merge without a conflict": "git checkout -qb other; git commit -qm x --allow-empty; git checkout -q -; "
    "git merge -q --no-commit --no-ff other",
    "rebase": f"{_OTHER} git rebase -q other; true",
    "rebase that is edited": "for n in 1 2; do echo $n > f$n; git add .; git commit -qm $n; done; "
    "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i HEAD~2; true",
    "am": f"{_OTHER} git format-patch -q -1 other; git am -q 0001-Other.patch; true",
    "cherry-pick": f"{_OTHER} git cherry-pick other; true",
    "revert": f"{_OTHER} echo more > README.md; git commit -qam More; git revert --no-edit HEAD~; true",
    "bisect": f"{_OTHER} git bisect start HEAD HEAD~; true",
    "conflicts": "echo stashed > README.md; git stash -q; echo mine > README.md; git commit -qam Mine; "
    "git stash pop; true",
}


@pytest.fixture(scope="module")
def served() -> Iterator[RunningServer]:
    with RunningServer("--slots", "4") as server:
        yield server


@pytest.fixture
def project(served: RunningServer, tmp_path: Path) -> Iterator[Project]:
    with served.client() as client:
        yield Project(client, tmp_path / "project")


def shell(command: str) -> int:
    """Runs a command as a person does who was advised to; returns its exit status."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    people = {f"GIT_{who}_{what}": "grace@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**own, **people, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_EDITOR": "true"}
    return subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, check=False).returncode


@pytest.mark.parametrize("left", UNFINISHED)
def test_what_an_agent_leaves_unfinished_is_a_failure_and_is_not_committed(project: Project, left: str) -> None:
    before = project.git("rev-parse", "main")
    task = project.run(UNFINISHED[left])
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORK_UNFINISHED
    assert task.failure.retryable
    assert left.split(maxsplit=1)[0] in task.failure.message
    path = task.worktree.path
    standing = (repositories.git(path, "status", "--porcelain"), repositories.git(path, "rev-parse", "HEAD"))
    check = project.client.check_land(task.id)
    assert check.obstacle == CheckLandResponse.OBSTACLE_WORK_UNFINISHED
    for commit_uncommitted in (False, True):
        with pytest.raises(taskgrove.WorkUnfinished):
            project.client.land(task.id, commit_uncommitted=commit_uncommitted)
    assert (repositories.git(path, "status", "--porcelain"), repositories.git(path, "rev-parse", "HEAD")) == standing
    assert project.git("rev-parse", "main") == before
    # The agent, or a person, ends it.
    if left == "conflicts":
        repositories.git(path, "checkout", "-q", "--theirs", "README.md")
        repositories.git(path, "add", "README.md")
    else:
        assert shell(check.remedies[-1].command) == 0
    assert project.client.check_land(task.id).obstacle != CheckLandResponse.OBSTACLE_WORK_UNFINISHED


def test_an_unfinished_rebase_can_be_finished_as_advised_and_lands_whole(project: Project) -> None:
    task = project.run(
        "for n in 1 2 3; do echo $n > f$n; git add .; git commit -qm $n; done; "
        "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i HEAD~3"
    )
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORK_UNFINISHED
    check = project.client.check_land(task.id)
    assert shell(check.remedies[0].command) == 0
    assert project.client.check_land(task.id).can_land
    project.client.land(task.id)
    assert {"f1", "f2", "f3"} <= set(project.files())


def test_what_merges_hold_is_not_lost_by_a_rebase(project: Project) -> None:
    task = project.run(
        f"{_OTHER} git merge -q other; echo both > README.md; echo only here > evil; git add .; git commit -qm Both"
    )
    check = project.client.check_land(task.id, strategy=REBASE)
    assert check.obstacle == CheckLandResponse.OBSTACLE_MERGES_NOT_REBASABLE
    with pytest.raises(taskgrove.MergesNotRebasable):
        project.client.land(task.id, strategy=REBASE)
    project.client.land(task.id, strategy=MERGE)
    assert (project.path / "README.md").read_text() == "both\n"
    assert (project.path / "evil").read_text() == "only here\n"


def test_files_that_only_a_merge_without_conflicts_has_are_not_lost_by_a_rebase(project: Project) -> None:
    task = project.run(f"{_TWO_SIDES} git merge -q --no-commit other; echo evil > evil; git add .; git commit -qm Both")
    with pytest.raises(taskgrove.MergesNotRebasable):
        project.client.land(task.id, strategy=REBASE)
    project.client.land(task.id, strategy=SQUASH)
    assert {"a", "b", "evil"} <= set(project.files())


def test_merges_that_hold_nothing_are_left_out_by_a_rebase(project: Project) -> None:
    task = project.run(f"{_TWO_SIDES} git merge -q --no-edit other")
    project.commit("mine", "mine")
    project.client.land(task.id, strategy=REBASE)
    assert {"a", "b", "mine"} <= set(project.files())
    assert project.git("rev-list", "--merges", "--count", "main") == "0"


@STRATEGIES
def test_the_advice_after_a_conflict_leads_out_of_it(project: Project, strategy: taskgrove.LandStrategy) -> None:
    task = project.run("echo theirs > README.md")
    project.commit("README.md", "mine\n")
    check = project.client.check_land(task.id, strategy=strategy)
    assert check.obstacle == CheckLandResponse.OBSTACLE_CONFLICT
    # It stops at the conflict, as it says.
    assert shell(check.remedies[0].command) == 1
    assert project.client.check_land(task.id).obstacle == CheckLandResponse.OBSTACLE_WORK_UNFINISHED
    repositories.commit(task.worktree.path, {"README.md": "both\n"}, "Both")
    if strategy == REBASE:
        assert project.client.check_land(task.id, strategy=REBASE).obstacle == (
            CheckLandResponse.OBSTACLE_MERGES_NOT_REBASABLE
        )
        strategy = MERGE
    project.client.land(task.id, strategy=strategy)
    assert (project.path / "README.md").read_text() == "both\n"


def test_a_conflict_is_gone_once_the_task_is_done_anew(project: Project) -> None:
    task = project.run("echo line >> README.md")
    project.commit("README.md", "mine\n")
    assert project.client.check_land(task.id).obstacle == CheckLandResponse.OBSTACLE_CONFLICT
    project.client.retry_task(task.id)
    tasks_work.rest(project.client, task.id)
    project.client.land(task.id)
    assert (project.path / "README.md").read_text() == "mine\nline\n"


_CONFLICTS = {
    "tag": "git tag main",
    "tag elsewhere": "git tag main main~",
    "fast-forward only": "git config merge.ff only",
    "no commit": "git config branch.main.mergeOptions --no-commit",
    "option": "git update-ref refs/heads/-x HEAD; git symbolic-ref HEAD refs/heads/-x",
    "characters": 'git checkout -qb "it\'s;a&b"',
}


@pytest.mark.parametrize("kind", _CONFLICTS)
def test_the_advice_after_a_conflict_holds_for_every_branch_and_setting(project: Project, kind: str) -> None:
    project.commit("older", "older")
    assert shell(f"cd {project.path}; {_CONFLICTS[kind]}") == 0
    task = project.run("echo theirs > README.md")
    project.commit("README.md", "mine\n")
    check = project.client.check_land(task.id)
    assert check.obstacle == CheckLandResponse.OBSTACLE_CONFLICT
    assert shell(check.remedies[0].command) == 1
    assert repositories.git(task.worktree.path, "diff", "--name-only", "--diff-filter=U") == "README.md"
    repositories.commit(task.worktree.path, {"README.md": "both\n"}, "Both")
    project.client.land(task.id)
    assert (project.path / "README.md").read_text() == "both\n"


@STRATEGIES
def test_a_history_of_its_own_is_refused_and_merged_as_advised(
    project: Project, strategy: taskgrove.LandStrategy
) -> None:
    task = project.run("git checkout -q --orphan fresh; git rm -rqf .; echo z > z; git add z; git commit -qm Fresh")
    before = project.git("rev-parse", "main")
    check = project.client.check_land(task.id, strategy=strategy)
    assert check.obstacle == CheckLandResponse.OBSTACLE_CONFLICT
    assert not check.conflicting_files
    with pytest.raises(taskgrove.LandConflict) as caught:
        project.client.land(task.id, strategy=strategy)
    assert check.message == caught.value.message
    assert "no history in common" in check.message
    assert project.git("rev-parse", "main") == before
    assert shell(check.remedies[0].command) == 0
    if strategy == REBASE:
        again = project.client.check_land(task.id, strategy=REBASE)
        assert again.obstacle == CheckLandResponse.OBSTACLE_MERGES_NOT_REBASABLE
        strategy = MERGE
    project.client.land(task.id, strategy=strategy)
    assert project.files() == ["README.md", "src/main.py", "z"]


def test_another_history_that_was_merged_is_not_lost_by_a_rebase(project: Project, tmp_path: Path) -> None:
    other = repositories.make_repository(tmp_path / "other", {"other": "other"})
    task = project.run(f"git fetch -q {other} main; git merge -q --allow-unrelated-histories -m Other FETCH_HEAD")
    project.commit("mine", "mine")
    with pytest.raises(taskgrove.MergesNotRebasable):
        project.client.land(task.id, strategy=REBASE, include_other_commits=True)
    project.client.land(task.id, strategy=SQUASH, include_other_commits=True)
    assert {"mine", "other"} <= set(project.files())


#: Author lines of commits, and what they are made again as.
_AUTHORS = {
    "A <a@example.org> 0 +0000": "A <a@example.org> 0 +0000",
    "A <a@example.org> 12345 -0330": "A <a@example.org> 12345 -0330",
    "A <a@example.org> 19991231 +0200": "A <a@example.org> 19991231 +0200",
    "A <a@example.org> 99999999999 +0000": "A <a@example.org> 99999999999 +0000",
    "A <a@example.org> 1700000000 +51800": "A <a@example.org> 1700000000 +0000",
    "A <a@example.org> 99999999999999999999999 +0000": "A <a@example.org> 0 +0000",
    "A <a@example.org>": "A <a@example.org> 4000000000 +0000",
    " <a@example.org> 1700000000 +0000": "a@example.org <a@example.org> 1700000000 +0000",
    " <> 1700000000 +0000": "unknown <> 1700000000 +0000",
    ". <.> 1700000000 +0000": "unknown <> 1700000000 +0000",
    "A <> 1700000000 +0000": "A <> 1700000000 +0000",
}


@pytest.mark.parametrize("author", _AUTHORS)
def test_whatever_author_a_commit_has_it_can_be_rebased(project: Project, author: str) -> None:
    script = project.path.parent / "commit.sh"
    # The committer's time is later than the task's beginning, so that the commit is its own.
    script.write_text(
        "echo a > a; git add a\n"
        "printf 'tree %s\\nparent %s\\nauthor %s\\ncommitter A <a@example.org> 4000000000 +0000\\n\\nOdd\\n' "
        f"$(git write-tree) $(git rev-parse HEAD) '{author}' > ../commit\n"
        "git reset -q --hard $(git hash-object -t commit -w --literally ../commit)\n"
    )
    task = project.run(f"sh {script}")
    project.commit("mine", "mine")
    assert project.client.check_land(task.id, strategy=REBASE).can_land
    project.client.land(task.id, strategy=REBASE)
    made = project.git("cat-file", "commit", "main").splitlines()
    assert made[2] == f"author {_AUTHORS[author]}"
    assert made[-1] == "Odd"
    assert {"a", "mine"} <= set(project.files())


@STRATEGIES
def test_commits_of_the_branch_that_a_task_was_begun_on_land_only_by_an_explicit_word(
    project: Project, strategy: taskgrove.LandStrategy
) -> None:
    project.git("checkout", "-qb", "feature")
    wip = [project.commit(f"wip{number}", "wip") for number in range(2)]
    task = project.run("echo x > x; git add .; git commit -qm Own")
    project.git("checkout", "-q", "main")
    before = project.git("rev-parse", "main")
    check = project.client.check_land(task.id, strategy=strategy)
    assert check.obstacle == CheckLandResponse.OBSTACLE_OTHER_COMMITS
    assert [commit.id for commit in check.other_commits] == wip[::-1]
    assert check.other_commit_count == 2
    with pytest.raises(taskgrove.OtherCommits) as caught:
        project.client.land(task.id, strategy=strategy)
    assert caught.value.metadata["count"] == "2"
    assert project.git("rev-parse", "main") == before
    assert project.client.check_land(task.id, target_branch="feature", strategy=strategy).can_land
    project.client.land(task.id, strategy=strategy, include_other_commits=True)
    assert {"wip0", "wip1", "x"} <= set(project.files())


def test_commits_that_were_undone_since_do_not_come_back(project: Project) -> None:
    project.commit("regretted", "regretted")
    task = project.run("echo x > x")
    project.git("reset", "-q", "--hard", "HEAD~")
    assert project.client.check_land(task.id).obstacle == CheckLandResponse.OBSTACLE_OTHER_COMMITS
    with pytest.raises(taskgrove.OtherCommits):
        project.client.land(task.id)
    assert "regretted" not in project.files()


@pytest.mark.parametrize(
    "how", ["git checkout -q feature", "git merge -q --no-edit feature", "git reset -q --hard feature"]
)
def test_a_branch_that_the_agent_has_taken_in_is_told(project: Project, how: str) -> None:
    project.git("checkout", "-qb", "feature")
    wip = repositories.commit(project.path, {"wip": "wip"}, "WIP")
    project.git("checkout", "-q", "main")
    # Git's clock has whole seconds: these must lie before the task's.
    project.git("branch", "-f", "feature", _older(project, wip))
    task = project.run(f"echo x > x; git add .; git commit -qm Own; {how}; echo y > y")
    check = project.client.check_land(task.id)
    assert check.obstacle == CheckLandResponse.OBSTACLE_OTHER_COMMITS
    assert [commit.subject for commit in check.other_commits] == ["WIP"]


def _older(project: Project, commit: str) -> str:
    environment = "GIT_AUTHOR_DATE='2020-01-01 00:00 +0000' GIT_COMMITTER_DATE='2020-01-01 00:00 +0000'"
    people = "-c user.name=Grace -c user.email=grace@example.org"
    made = f"{environment} git -C {project.path} {people} commit-tree -m WIP -p {commit}~ {commit}^{{tree}}"
    return subprocess.run(["/bin/sh", "-c", made], check=True, capture_output=True, text=True).stdout.strip()


def test_a_target_that_has_moved_on_and_a_task_that_goes_on_need_no_word(project: Project) -> None:
    task = project.run("date +%N >> log")
    project.commit("mine", "mine")
    project.client.land(task.id, strategy=SQUASH)
    project.client.continue_task(task.id, "Again")
    tasks_work.rest(project.client, task.id)
    project.commit("more", "more")
    assert project.client.check_land(task.id).can_land
    project.client.land(task.id)
    assert len((project.path / "log").read_text().splitlines()) == 2
