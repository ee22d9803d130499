"""Work lands beside what a person has in the checkout, overwrites none of it, and says what to do where it cannot."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.worktree_service_pb2 import CheckLandResponse

MERGE = taskgrove.LandStrategy.LAND_STRATEGY_MERGE
SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH
REBASE = taskgrove.LandStrategy.LAND_STRATEGY_REBASE


@pytest.fixture(scope="module")
def served() -> Iterator[RunningServer]:
    with RunningServer("--slots", "4") as server:
        yield server


@pytest.fixture
def project(served: RunningServer, tmp_path: Path) -> Iterator[Project]:
    with served.client() as client:
        yield Project(client, tmp_path / "a project")


def shell(command: str) -> None:
    """Runs a command as a person does who was advised to."""
    subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, env=_environment())


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    people = {f"GIT_{who}_{what}": "grace@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**own, **people, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_EDITOR": "true"}


def aside(project: Project) -> Path:
    """Returns the directory that an advised command has moved files to."""
    (place,) = project.path.parent.glob(f"{project.path.name}-mine.*")
    return place


def refused(project: Project, task_id: str, error: type[taskgrove.TaskgroveError]) -> CheckLandResponse:
    """Returns what a check says of a landing that must be refused with nothing changed, the check saying the same."""
    before = tasks_work.snapshot(project.path)
    check = project.client.check_land(task_id)
    assert not check.can_land
    with pytest.raises(error) as caught:
        project.client.land(task_id)
    assert type(caught.value) is error
    assert check.message == caught.value.message
    assert tasks_work.snapshot(project.path) == before
    return check


def lands(project: Project, task_id: str, strategy: taskgrove.LandStrategy = MERGE) -> None:
    """Lands what a check must find possible."""
    assert project.client.check_land(task_id, strategy=strategy).can_land
    landed = project.client.land(task_id, strategy=strategy)
    assert project.git("rev-parse", "main") == landed.worktree.landing.commit
    assert project.git("rev-parse", "main^{tree}") == project.git("write-tree")


def ignore_by_gitignore(project: Project, name: str) -> None:
    project.commit(".gitignore", f"{name}\n")


def ignore_by_exclude(project: Project, name: str) -> None:
    (project.path / ".git/info/exclude").write_text(f"{name}\n")


def ignore_by_setting(project: Project, name: str) -> None:
    rules = project.path.parent / "rules"
    rules.write_text(f"{name}\n")
    project.git("config", "core.excludesFile", str(rules))


def ignore_nothing(_project: Project, _name: str) -> None:
    """Leaves the file untracked."""


@pytest.mark.parametrize(
    "ignore",
    [ignore_by_gitignore, ignore_by_exclude, ignore_by_setting, ignore_nothing],
    ids=lambda rule: rule.__name__,
)
@pytest.mark.parametrize("strategy", [MERGE, SQUASH, REBASE])
def test_an_ignored_file_is_not_overwritten(
    project: Project, ignore: Callable[[Project, str], None], strategy: taskgrove.LandStrategy
) -> None:
    ignore(project, ".env")
    secret = project.path / ".env"
    secret.write_text("SECRET=1\n")
    task = project.run("echo theirs > .env; git add -f .env; git commit -qm Env")
    check = refused(project, task.id, taskgrove.FilesInTheWay)
    assert check.obstacle == CheckLandResponse.OBSTACLE_FILES_IN_THE_WAY
    assert list(check.blocking_files) == [".env"]
    with pytest.raises(taskgrove.FilesInTheWay):
        project.client.land(task.id, strategy=strategy)
    assert secret.read_text() == "SECRET=1\n"
    shell(check.remedies[0].command)
    lands(project, task.id, strategy=strategy)
    assert secret.read_text() == "theirs\n"
    assert (aside(project) / ".env").read_text() == "SECRET=1\n"


@pytest.mark.parametrize(
    ("mine", "theirs", "named"),
    [
        ("build/output", "echo x > build", "build"),
        ("build", "mkdir build; echo x > build/output", "build"),
        ("a/b/c", "mkdir a; echo x > a/b", "a/b"),
        ("src/main.py/x", None, None),
    ],
)
def test_ignored_directories_and_files_in_place_of_directories_are_not_overwritten(
    project: Project, mine: str, theirs: str | None, named: str | None
) -> None:
    if theirs is None or named is None:
        # What is tracked becomes a directory, where nothing can be in the way.
        task = project.run("rm src/main.py; mkdir src/main.py; echo x > src/main.py/x")
        lands(project, task.id)
        return
    project.commit(".gitignore", "build\na\n")
    place = project.path / mine
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    task = project.run(f"rm .gitignore; {theirs}")
    check = refused(project, task.id, taskgrove.FilesInTheWay)
    assert list(check.blocking_files) == [named]
    assert place.read_text() == "mine"
    shell(check.remedies[0].command)
    lands(project, task.id)


def test_a_directory_that_becomes_a_file_keeps_what_is_ignored_in_it(project: Project) -> None:
    project.commit("src/.gitignore", "cache\n")
    (project.path / "src/cache").write_text("mine")
    task = project.run("rm -r src; echo x > src")
    check = refused(project, task.id, taskgrove.FilesInTheWay)
    assert list(check.blocking_files) == ["src"]
    (project.path / "src/cache").unlink()
    lands(project, task.id)


def test_a_link_in_place_of_a_directory_is_not_followed(project: Project, tmp_path: Path) -> None:
    ignore_by_exclude(project, "out")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project.path / "out").symlink_to(elsewhere)
    task = project.run("mkdir out; echo x > out/file; git add -f out")
    check = refused(project, task.id, taskgrove.FilesInTheWay)
    assert list(check.blocking_files) == ["out"]
    assert list(elsewhere.iterdir()) == []


def test_the_same_content_is_not_in_the_way(project: Project) -> None:
    ignore_by_exclude(project, ".env\n*.sh")
    (project.path / ".env").write_text("SAME=1\n")
    script = project.path / "run.sh"
    script.write_text("exit\n")
    script.chmod(0o755)
    (project.path / "README.md").write_text("the same edit\n")
    task = project.run(
        "echo SAME=1 > .env; echo exit > run.sh; chmod +x run.sh; git add -f .env run.sh; "
        "echo the same edit > README.md"
    )
    lands(project, task.id)
    assert project.git("status", "--porcelain") == ""
    assert not (project.path / ".git/taskgrove-giving-way").exists()
    assert os.access(script, os.X_OK)


def test_the_same_content_with_another_mode_is_in_the_way(project: Project) -> None:
    (project.path / "run.sh").write_text("exit\n")
    task = project.run("echo exit > run.sh; chmod +x run.sh")
    assert list(refused(project, task.id, taskgrove.FilesInTheWay).blocking_files) == ["run.sh"]


@pytest.mark.parametrize("change", ["edited", "deleted", "staged", "staged new", "intended", "untracked", "mode"])
def test_changes_elsewhere_in_the_checkout_stay_and_do_not_matter(project: Project, change: str) -> None:
    project.commit("mine", "mine")
    mine = project.path / "mine"
    if change == "deleted":
        mine.unlink()
    elif change == "mode":
        mine.chmod(0o755)
    elif change in ("staged new", "intended", "untracked"):
        (project.path / "new").write_text("new")
        if change != "untracked":
            project.git("add", *(("-N",) if change == "intended" else ()), "new")
    else:
        mine.write_text("edited")
        if change == "staged":
            project.git("add", "mine")
            mine.write_text("edited again")
    before = project.git("status", "--porcelain")
    content = {path: path.read_bytes() for path in (mine, project.path / "new") if path.exists()}
    task = project.run("echo theirs > theirs; echo more >> README.md")
    check = project.client.check_land(task.id)
    assert check.can_land
    project.client.land(task.id)
    assert project.git("status", "--porcelain") == before
    assert {path: path.read_bytes() for path in content} == content
    assert (project.path / "theirs").read_text() == "theirs\n"


#: Ways of a person to change what the landing changes too, each with "mine" for its content, if it has any.
EDITS = {
    "edited": "echo mine > README.md",
    "staged": "echo mine > README.md; git add README.md",
    "staged, and edited again": "echo mine > README.md; git add README.md; echo more >> README.md",
    "staged, and undone in the checkout": "echo mine > README.md; git add README.md; git show HEAD:./README.md > was; "
    "mv was README.md",
    "staged, and deleted": "echo mine > README.md; git add README.md; rm README.md",
    "deleted": "rm README.md",
    "deleted from the index": "git rm -q README.md",
    "deleted from the index alone": "git rm -q --cached README.md; echo mine > README.md",
    "a link": "rm README.md; ln -s mine README.md",
    "a link, staged": "rm README.md; ln -s mine README.md; git add README.md",
    "a directory": "rm README.md; mkdir README.md; echo mine > README.md/file",
    "a file in place of the directory": "rm -r src; echo mine > src",
    "a link in place of the directory": "mv src mine; echo mine > mine/main.py; ln -s mine src",
    "a new file": "echo mine > new; git add new",
    "a new file, edited again": "echo more > new; git add new; echo mine > new",
    "a new file, deleted again": "echo mine > new; git add new; rm new",
    "a new file that is intended": "echo mine > new; git add -N new",
    "a new file that is intended and gone": "touch new; git add -N new; rm new",
    "edited, with one that is intended": "echo own > own; git add -N own; echo mine > README.md",
    "edited, with one that is out of the index": "git rm -q --cached README.md; echo mine | tee README.md src/main.py",
    "assumed to be unchanged": "git update-index --assume-unchanged README.md; echo mine > README.md",
    "skipped": "git update-index --skip-worktree README.md; echo mine > README.md",
    "a directory that is skipped": "git update-index --skip-worktree README.md; rm README.md; mkdir README.md; "
    "echo mine > README.md/file",
    "outside a sparse checkout": "git sparse-checkout set --cone docs; mkdir -p src; echo mine > src/main.py",
    "inside a sparse checkout": "git sparse-checkout set --cone docs; echo mine > README.md",
    "skipped in a sparse checkout": "git sparse-checkout set --cone docs; git update-index --skip-worktree README.md; "
    "echo mine > README.md",
    "a staged directory in place of a new file": "mkdir fresh; echo mine > fresh/file; git add fresh",
    "a staged file in place of a new directory": "echo mine > place; git add place; rm place; echo more > place",
}


@pytest.mark.parametrize("edit", EDITS)
def test_changes_where_the_landing_has_some_are_set_aside_as_advised(project: Project, edit: str) -> None:
    project.commit("docs/other", "other")
    shell(f"cd '{project.path}' && {EDITS[edit]}")
    others = project.git("stash", "list")
    task = project.run(
        "git sparse-checkout disable; echo more >> README.md; echo more >> src/main.py; echo theirs > new; "
        "echo theirs > fresh; mkdir place; echo theirs > place/file"
    )
    for _ in range(2):
        check = project.client.check_land(task.id)
        if not check.can_land:
            shell(check.remedies[0].command)
    lands(project, task.id)
    assert others == ""
    assert not project.git("diff", "--cached", "--name-only")
    assert "mine" not in EDITS[edit] or has_mine(project)


def has_mine(project: Project) -> bool:
    """Tells whether a person's text is still to be found, in the stash or beside the checkout."""
    beside = [path for place in project.path.parent.glob(f"{project.path.name}-mine.*") for path in place.rglob("*")]
    links = [str(path.readlink()) for path in beside if path.is_symlink()]
    texts = [path.read_text() for path in beside if path.is_file()]
    stashed = project.git("stash", "show", "--patch", "--include-untracked") if project.git("stash", "list") else ""
    index = project.git("diff", "HEAD", "stash^2") if stashed else ""
    return any("mine" in text for text in (*links, *texts, stashed, index))


#: Names that mean something to git, to a shell or to a terminal.
NAMES = [
    *("a b", "it's", 'say "x"', "-x", "--", "line\nbreak", "end\n", "tab\t", "back\\slash", "$HOME", "`id`", "%s"),
    *("*", "[id].tsx", ":x", ":(top)x", ":!x", "!x", "#x", "~", "deep er/-x/y", "\u00fc", "\u202egnp", "n" * 255),
    *(os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\n\n")),
]


def prepare(directory: Path, text: str) -> None:
    for name in NAMES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def test_files_of_every_name_are_moved_away_as_advised(project: Project, tmp_path: Path) -> None:
    prepare(tmp_path / "theirs", "theirs")
    prepare(project.path, "mine")
    (project.path / "a b.mine").write_text("older")
    (project.path / "directory").mkdir()
    (project.path / "directory/file").write_text("mine")
    task = project.run(f"cp -R '{tmp_path}/theirs/.' .; echo x > directory")
    shell(refused(project, task.id, taskgrove.FilesInTheWay).remedies[0].command)
    lands(project, task.id)
    assert {(aside(project) / name).read_text() for name in [*NAMES, "directory/file"]} == {"mine"}
    assert {(project.path / name).read_text() for name in NAMES} == {"theirs"}


@pytest.mark.parametrize("way", ["edited", "deleted from the index alone"])
def test_changed_files_of_every_name_are_set_aside_as_advised(project: Project, tmp_path: Path, way: str) -> None:
    prepare(project.path, "before")
    (project.path / "i.tsx").write_text("before")
    repositories.commit(project.path, {}, "Names")
    prepare(tmp_path / "theirs", "theirs")
    task = project.run(f"cp -R '{tmp_path}/theirs/.' .")
    prepare(project.path, "mine")
    (project.path / "i.tsx").write_text("mine, and not the landing's")
    if way != "edited":
        project.git("rm", "-rq", "--cached", ".")
        project.git("add", "i.tsx", "README.md", "src")
    shell(refused(project, task.id, taskgrove.CheckoutDirty).remedies[0].command)
    assert project.client.check_land(task.id).can_land
    project.client.land(task.id)
    if way == "edited":
        assert {project.git("cat-file", "blob", f"stash@{{0}}:{name}") for name in NAMES} == {"mine"}
    else:
        assert {(aside(project) / name).read_text() for name in NAMES} == {"mine"}
    assert (project.path / "i.tsx").read_text() == "mine, and not the landing's"


def test_a_branch_whose_name_is_no_text_is_renamed_as_advised(project: Project) -> None:
    project.git("checkout", "-qb", os.fsdecode(b"caf\xe9"))
    task = project.run("echo x > x")
    before = project.git("rev-parse", "HEAD")
    check = project.client.check_land(task.id)
    assert check.obstacle == CheckLandResponse.OBSTACLE_TARGET_BUSY
    with pytest.raises(taskgrove.TargetBusy) as caught:
        project.client.land(task.id)
    assert check.message == caught.value.message
    assert project.git("rev-parse", "HEAD") == before
    assert project.client.diff_worktree(task.id).files
    shell(check.remedies[0].command)
    project.client.land(task.id)
    assert project.git("show", "HEAD:x") == "x"


def test_a_checkout_whose_path_is_no_text_is_told_and_followed(project: Project) -> None:
    place = project.path.parent / os.fsdecode(b"caf\xe9 x")
    project.git("worktree", "add", "-q", "-b", "release", str(place))
    (place / "x").write_text("mine")
    task = project.run("echo x > x")
    check = project.client.check_land(task.id, target_branch="release")
    assert check.obstacle == CheckLandResponse.OBSTACLE_FILES_IN_THE_WAY
    with pytest.raises(taskgrove.FilesInTheWay):
        project.client.land(task.id, target_branch="release")
    shell(check.remedies[0].command)
    project.client.land(task.id, target_branch="release")
    (kept,) = project.path.parent.glob("*-mine.*/x")
    assert kept.read_text() == "mine"


def test_what_cannot_be_moved_is_not_replaced(project: Project) -> None:
    (project.path / "name").write_text("mine")
    project.git("add", "-N", "name")
    readme = project.path / "README.md"
    project.git("rm", "-q", "--cached", "README.md")
    readme.write_text("mine")
    task = project.run("echo theirs | tee name README.md")
    command = refused(project, task.id, taskgrove.CheckoutDirty).remedies[0].command
    before = tasks_work.snapshot(project.path)
    with pytest.raises(subprocess.CalledProcessError):
        shell(f"mv() {{ return 1; }}; {command}")
    assert tasks_work.snapshot(project.path) == before


def test_edits_that_git_was_told_not_to_see_are_no_matter_elsewhere(project: Project) -> None:
    project.git("update-index", "--skip-worktree", "README.md")
    (project.path / "README.md").write_text("local\n")
    lands(project, project.run("echo x > x").id)
    assert (project.path / "README.md").read_text() == "local\n"


def test_a_lock_that_was_left_is_told_by_check_and_landing(project: Project) -> None:
    task = project.run("echo x > x")
    (project.path / ".git/index.lock").touch()
    check = refused_busy(project, task.id)
    shell(check.remedies[0].command)
    lands(project, task.id)


def refused_busy(project: Project, task_id: str) -> CheckLandResponse:
    check = project.client.check_land(task_id, target_branch="main")
    assert check.obstacle == CheckLandResponse.OBSTACLE_TARGET_BUSY
    before = project.git("rev-parse", "main")
    with pytest.raises(taskgrove.TargetBusy) as caught:
        project.client.land(task_id, target_branch="main")
    assert check.message == caught.value.message
    assert project.git("rev-parse", "main") == before
    return check


def test_a_checkout_that_was_removed_by_hand_is_forgotten_as_advised(project: Project, tmp_path: Path) -> None:
    project.git("worktree", "add", "-q", "-b", "release", str(tmp_path / "release"))
    task = project.run("echo x > x")
    (tmp_path / "release").rename(tmp_path / "elsewhere")
    check = project.client.check_land(task.id, target_branch="release")
    assert check.obstacle == CheckLandResponse.OBSTACLE_TARGET_BUSY
    with pytest.raises(taskgrove.TargetBusy):
        project.client.land(task.id, target_branch="release")
    shell(check.remedies[0].command)
    landed = project.client.land(task.id, target_branch="release")
    assert project.git("rev-parse", "release") == landed.worktree.landing.commit


def test_a_branch_that_is_checked_out_twice_is_left_in_one_as_advised(project: Project, tmp_path: Path) -> None:
    project.git("worktree", "add", "-q", "--force", str(tmp_path / "second"), "main")
    task = project.run("echo x > x")
    check = refused_busy(project, task.id)
    shell(check.remedies[0].command)
    lands(project, task.id)
    assert repositories.git(tmp_path / "second", "status", "--porcelain") == ""


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("what", ["rebase", "rebase --apply", "bisect"])
@pytest.mark.parametrize("way", ["finish", "abort"])
def test_a_branch_that_is_being_rebased_or_bisected_is_left_alone(
    project: Project, tmp_path: Path, where: str, what: str, way: str
) -> None:
    project.git("branch", "base")
    project.commit("mine", "mine\n")
    project.commit("more", "more\n")
    project.git("checkout", "-q", "base")
    project.commit("mine", "theirs\n")
    project.git("checkout", "-q", "main")
    task = project.run("echo x > x")
    project.git("checkout", "-q", "base")
    place = project.path
    if where == "elsewhere":
        place = tmp_path / "elsewhere"
        project.git("worktree", "add", "-q", str(place), "main")
    else:
        project.git("checkout", "-q", "main")
    before = project.git("rev-parse", "main")
    if what == "bisect":
        repositories.git(place, "bisect", "start", "main", "main~2")
    else:
        with pytest.raises(AssertionError):
            repositories.git(place, *what.split(), "base")
    check = refused_busy(project, task.id)
    if way == "finish" and what != "bisect":
        (place / "mine").write_text("both\n")
        repositories.git(place, "add", "mine")
        shell(check.remedies[0].command)
        assert project.git("rev-parse", "main~2") == project.git("rev-parse", "base")
    else:
        shell(check.remedies[-1].command)
        assert project.git("rev-parse", "main") == before
    now = project.client.check_land(task.id, target_branch="main")
    assert now.obstacle in (
        CheckLandResponse.OBSTACLE_UNSPECIFIED,
        # The commits that the task was begun on are others now.
        CheckLandResponse.OBSTACLE_OTHER_COMMITS,
    )


def test_files_that_are_dirty_from_their_checkout_on_do_not_block_a_landing(project: Project) -> None:
    for number in range(3):
        (project.path / f"{number}.txt").write_bytes(b"one\r\ntwo\r\n")
    project.git("-c", "core.autocrlf=false", "add", ".")
    project.git("commit", "-qm", "CRLF")
    (project.path / ".gitattributes").write_text("*.txt text\n")
    project.git("add", ".gitattributes")
    project.git("commit", "-qm", "Attributes")
    # As git sees them once it looks at their content again.
    for number in range(3):
        os.utime(project.path / f"{number}.txt", (1, 1))
    assert len(project.git("status", "--porcelain").splitlines()) == 3
    task = project.run("printf 'three\\r\\n' >> 1.txt; echo x > x")
    lands(project, task.id)
    assert (project.path / "1.txt").read_bytes() == b"one\r\ntwo\r\nthree\r\n"
    # A person's edit of one is an edit.
    (project.path / "2.txt").write_bytes(b"mine\r\n")
    edited = project.run("printf 'three\\r\\n' >> 2.txt")
    assert list(refused(project, edited.id, taskgrove.CheckoutDirty).blocking_files) == ["2.txt"]
