"""What the command line advises for each obstacle to landing, followed word by word, leads to a landing."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import repositories
from support.cli_shell import PROGRAM, Shell

_WHO = ("AUTHOR", "COMMITTER")

COMMIT = "export " + " ".join(f"GIT_{who}_{what}=a@example.org" for who in _WHO for what in ("NAME", "EMAIL")) + "; "


@dataclass(frozen=True, slots=True)
class Case:
    """What an agent does, what a person does before and after, how it is landed, and which advice is followed."""

    work: str
    before: Callable[[Path], object] = lambda _: None
    after: Callable[[Path], object] = lambda _: None
    options: tuple[str, ...] = ()
    advice: int = 0
    #: What the advised command leaves to the person, in the task's worktree.
    by_hand: Callable[[Path], object] | None = None


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda repository: (repository / name).write_text(text)


def ignored(repository: Path) -> None:
    repositories.commit(repository, {".gitignore": ".env\nbuild\n"}, "Ignore")
    (repository / ".env").write_text("SECRET=1\n")
    (repository / "build").mkdir()
    (repository / "build" / "out").write_text("mine\n")


def hidden(repository: Path) -> None:
    repositories.git(repository, "update-index", "--skip-worktree", "README.md")
    (repository / "README.md").write_text("local\n")


def bisected(repository: Path) -> None:
    repositories.commit(repository, {"more": "more\n"}, "More")
    repositories.git(repository, "bisect", "start", "HEAD", "HEAD~")


def twice(repository: Path) -> None:
    repositories.git(repository, "worktree", "add", "-q", "--force", str(repository.parent / "second place"), "main")


def gone(repository: Path) -> None:
    elsewhere = repository.parent / "elsewhere"
    repositories.git(repository, "worktree", "add", "-q", "-b", "release", str(elsewhere))
    elsewhere.rename(repository.parent / "renamed")


def on_a_branch(repository: Path) -> None:
    repositories.git(repository, "checkout", "-q", "-b", "feature")
    repositories.commit(repository, {"wip": "wip\n"}, "WIP")


def back_on_main(repository: Path) -> None:
    repositories.git(repository, "checkout", "-q", "main")


def mine(repository: Path) -> None:
    repositories.commit(repository, {"README.md": "mine\n"}, "Mine")


def resolve(worktree: Path) -> None:
    repositories.commit(worktree, {"README.md": "both\n"}, "Both")


#: A file in the way, and those that it was moved to before.
MOVED = ("new", "new.mine", "new.mine.mine")

CONFLICT = "echo theirs > README.md"
SIDES = (
    f"{COMMIT} git checkout -qb side; echo b > README.md; git commit -qam B; git checkout -q -; echo a > README.md; "
    "git commit -qam A; git merge -q side; echo both > README.md; git commit -qam Both"
)
STOPPED = (
    f"{COMMIT} for n in 1 2; do echo $n > f$n; git add .; git commit -qm $n; done; "
    "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i HEAD~2"
)


def edited(name: str, text: str = "mine\n") -> Callable[[Path], object]:
    """Has a person edit a file of a name that a terminal would not show, or git take for a pattern."""
    return lambda repository: (repository / os.fsdecode(name.encode("latin-1"))).write_text(text)


def committed(name: str) -> Callable[[Path], object]:
    def commit(repository: Path) -> None:
        edited(name, "before\n")(repository)
        repositories.commit(repository, {}, "Names")

    return commit


def taken_out(repository: Path) -> None:
    repositories.git(repository, "rm", "-q", "--cached", "README.md")


def intended(repository: Path) -> None:
    (repository / "new").write_text("mine\n")
    repositories.git(repository, "add", "-N", "new")


def same_tag(repository: Path) -> None:
    repositories.git(repository, "tag", "main")


def forward_only(repository: Path) -> None:
    repositories.git(repository, "config", "merge.ff", "only")


CASES = {
    "ignored file": Case("echo theirs > .env; git add -f .env", before=ignored),
    "ignored directory": Case("rm .gitignore; echo theirs > build", before=ignored),
    "edited": Case("echo more >> README.md", after=write("README.md", "mine\n")),
    "hidden edit": Case("echo more >> README.md", after=hidden),
    "lock": Case("echo x > x", after=lambda repository: (repository / ".git/index.lock").touch()),
    "bisected": Case("echo x > x", before=bisected, options=("--onto", "main")),
    "checked out twice": Case("echo x > x", after=twice),
    "checkout gone": Case("echo x > x", before=gone, options=("--onto", "release")),
    "other commits": Case("echo x > x", before=on_a_branch, after=back_on_main, advice=1),
    "other commits, squashed": Case(
        "echo x > x", before=on_a_branch, after=back_on_main, advice=1, options=("--squash",)
    ),
    "conflict, by hand": Case(CONFLICT, after=mine, advice=1, by_hand=resolve),
    "merges to be rebased": Case(SIDES, options=("--rebase",)),
    "merges to be rebased, squashed": Case(SIDES, options=("--rebase",), advice=1),
    "unfinished rebase": Case(STOPPED),
    "unfinished rebase, aborted": Case(STOPPED, advice=1),
    "moved before": Case("echo theirs > new", after=lambda repository: [edited(name)(repository) for name in MOVED]),
    "not UTF-8": Case("echo theirs > $(printf 'caf\\351')", after=edited("caf\xe9")),
    "not UTF-8, edited": Case("echo x >> $(printf 'caf\\351')", before=committed("caf\xe9"), after=edited("caf\xe9")),
    "line break": Case("echo theirs > $(printf 'a\\nb').c", after=edited("a\nb.c")),
    "magic": Case("echo theirs > :x", before=committed(":x"), after=edited(":x")),
    "out of the index": Case("echo theirs > README.md", after=taken_out, before=committed("other")),
    "intended": Case("echo theirs > new", after=intended),
    "conflict, with a tag": Case(CONFLICT, before=same_tag, after=mine, advice=1, by_hand=resolve),
    "conflict, fast-forward only": Case(CONFLICT, before=forward_only, after=mine, advice=1, by_hand=resolve),
    "another history": Case(
        f"{COMMIT} git checkout -q --orphan fresh; git rm -rqf .; echo z > z; git add z; git commit -qm Z", advice=1
    ),
    "uncommitted": Case("echo x > x; exit 1", advice=1),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_advised_leads_out(served: Shell, repository: Path, case: Case) -> None:
    case.before(repository)
    if "bisected" not in str(case.before):
        assert repositories.git(repository, "status", "--porcelain") == ""
    task_id = served.work(case.work)
    case.after(repository)
    refused = served.run("land", task_id, *case.options)
    assert refused.returncode == 1, refused
    checked = served.run("land", task_id, "--check", *case.options)
    assert (checked.returncode, checked.stdout) == (1, refused.stderr.removeprefix(b"taskgrove: "))
    advised = commands(refused.stderr.decode())
    followed = person(served, repository, advised[case.advice])
    if case.by_hand:
        case.by_hand(worktree_of(repository, task_id))
    else:
        assert followed.returncode == 0, (advised, followed)
    if not advised[case.advice].startswith("taskgrove land"):
        landed = served.run("land", task_id, *case.options)
        assert landed.returncode == 0, (advised, landed)
    assert "landed" in served.text("show", task_id)


def commands(told: str) -> list[str]:
    """Returns the commands that are advised: each the indented line below one that ends with a colon."""
    lines = told.splitlines()
    # The first line may end so as well: what follows it are files or commits.
    pairs = itertools.pairwise(lines[1:])
    return [line.strip() for before, line in pairs if before.endswith(":") and line.startswith("  ")]


def person(served: Shell, repository: Path, command: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a command as it was printed, in the shell of a person who has `taskgrove` on PATH and an editor."""
    environment = {
        "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}",
        "HOME": str(served.place.home),
        "TASKGROVE_DATA_DIR": str(served.place.data),
        "GIT_EDITOR": "true",
        **{f"GIT_{who}_{what}": "g@example.org" for who in _WHO for what in ("NAME", "EMAIL")},
    }
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=repository, env=environment, capture_output=True, check=False, timeout=60
    )


def worktree_of(repository: Path, task_id: str) -> Path:
    return next(Path(path) for path in repositories.worktree_paths(repository) if task_id in path)


def test_a_task_that_conflicts_is_done_anew_as_advised(served: Shell, repository: Path) -> None:
    task_id = served.work("echo more >> README.md")
    mine(repository)
    advised = commands(served.run("land", task_id).stderr.decode())
    assert advised[0] == f"taskgrove retry {task_id}"
    assert person(served, repository, advised[0]).returncode == 0
    served.run("watch", task_id)
    served.text("land", task_id)
    assert (repository / "README.md").read_text() == "mine\nmore\n"
