"""Whether others can get the commits of submodules to which the work of a task leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.domain.errors import Remedy
from taskgrove_server.worktrees import commands, git_dirs, ways_out
from taskgrove_server.worktrees.nested import finding, guarded, shadow
from taskgrove_server.worktrees.work import Work

_LINK = "160000"


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A commit of a submodule that no remote repository of that is known to have."""

    #: Relative to the top of the repository.
    path: str
    commit: str


def check(git: commands.Git, work: Work) -> None:
    """Raises SubmoduleUnpublished when the work leads to such commits, and GitFailed."""
    for one in unpublished(git, work):
        raise refusal(work, one)


def refusal(work: Work, one: Unpublished) -> errors.SubmoduleUnpublished:
    """Returns the error that tells of such a commit, with the way to push it where it is checked out."""
    place = f"{work.worktree.path}/{one.path}"
    remedies: list[Remedy] = []
    if finding.located(place):
        refspec = ways_out.word(f"{one.commit}:refs/heads/{work.worktree.branch}")
        push = f"git -C {ways_out.word(place)} push origin {refspec}"
        remedies.append(Remedy("Push it to its remote repository", push))
    return errors.SubmoduleUnpublished(work.task_id, one.path, one.commit, remedies)


def unpublished(git: commands.Git, work: Work) -> list[Unpublished]:
    """Returns such commits to which the work leads and its base does not; raises GitFailed."""
    # Of submodules in submodules as well: a clone needs them all.
    return list(_unpublished(git, work, work.repository, work.base, work.head, ""))


def bring(git: commands.Git, work: Work, found: Sequence[Unpublished]) -> None:
    """Brings commits into the submodules of the repository itself, as far as it has them; raises GitFailed.

    A ref there keeps each, without which `git submodule update` would ask the remote for it.
    """
    for one in found:
        sources = [dirs.common for place in _checkouts(work, one.path) if (dirs := finding.located(place))]
        for target in _clones(git, work, one.path):
            _copy(git, work, one.commit, [source for source in sources if source != target], target)


def _unpublished(
    git: commands.Git, work: Work, repository: str, base: str, head: str, prefix: str
) -> Iterator[Unpublished]:
    for name, old, commit in _moved_links(git, repository, base, head):
        path = prefix + name
        places = [place for place in _checkouts(work, path) if finding.located(place)]
        if not any(_is_on_remote(git, place, commit) for place in (*places, *_clones(git, work, path))):
            yield Unpublished(path, commit)
            own = next((place for place in places if _has(git, place, commit)), None)
            if own:
                known = old if old and _has(git, own, old) else _empty_tree(git, own)
                yield from _unpublished(git, work, own, known, commit, f"{path}/")


def _moved_links(git: commands.Git, repository: str, base: str, head: str) -> Iterator[tuple[str, str, str]]:
    """Yields path, old and new commit of the links that differ; the old one is empty for a new link."""
    options = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none", "--no-commit-id")
    answer = guarded.run(git, repository, "diff-tree", *options, base, head)
    # As a rule there is none; there may be very many files.
    fields = iter(answer.split("\0") if f" {_LINK} " in answer else ())
    for field in fields:
        if field.startswith(":"):
            old_mode, mode, old, new, _ = field[1:].split(" ")
            path = next(fields)
            if mode == _LINK:
                yield path, old if old_mode == _LINK else "", new


def _checkouts(work: Work, path: str) -> list[str]:
    """Returns where a submodule may be checked out: in the worktree, and in the checkout of the target branch."""
    tops = [work.worktree.path, *([work.target.checkout] if work.target and work.target.checkout else [])]
    return [f"{top}/{path}" for top in tops]


def _clones(git: commands.Git, work: Work, path: str) -> list[str]:
    """Returns the git directories of a submodule that belong to the person's own checkouts."""
    common = git_dirs.find(git, work.repository).common
    found: dict[str, None] = {}
    if work.target and work.target.checkout and (dirs := finding.located(f"{work.target.checkout}/{path}")):
        found[dirs.common] = None
    module = Path(common, "modules", _name(git, work, path))
    if (module / "objects").is_dir():
        found[str(module.resolve())] = None
    return list(found)


def _name(git: commands.Git, work: Work, path: str) -> str:
    """Returns the name that .gitmodules has for the submodule at a path."""
    question = ("config", "-z", "--blob", f"{work.head}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    try:
        answer = git.ask(work.repository, *question) or ""
    except commands.GitFailed:
        return path
    for entry in answer.split("\0"):
        key, _, value = entry.partition("\n")
        name = key.removeprefix("submodule.").removesuffix(".path")
        # It is a path below modules/.
        if value.rstrip("/") == path and ".." not in name.split("/"):
            return name
    return path


def _is_on_remote(git: commands.Git, place: str, commit: str) -> bool:
    try:
        options = ("for-each-ref", "--count=1", f"--contains={commit}", "refs/remotes")
        return bool(guarded.run(git, place, *options))
    except commands.GitFailed:
        # It has not even the commit.
        return False


def _has(git: commands.Git, place: str, commit: str) -> bool:
    return guarded.ask(git, place, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}") is not None


def _empty_tree(git: commands.Git, place: str) -> str:
    return guarded.run(git, place, "hash-object", "-t", "tree", "--stdin", stdin=b"")


def _copy(git: commands.Git, work: Work, commit: str, sources: Sequence[str], target: str) -> None:
    common = git_dirs.find(git, work.repository).common
    # What was saved of a worktree that is gone lies in the repository itself.
    lenders = [f"{source}/objects" for source in (*sources, common)]
    environment = {"GIT_DIR": target, "GIT_WORK_TREE": target, **shadow.lent(lenders)}
    try:
        guarded.run(git, target, "cat-file", "-e", f"{commit}^{{commit}}", environment=environment)
    except commands.GitFailed:
        return
    known = guarded.run(git, target, "for-each-ref", "--format=^%(objectname)", environment=environment)
    options = ("pack-objects", "--quiet", "--revs", "--delta-base-offset", "--non-empty", f"{target}/objects/pack/pack")
    stdin = f"{commit}\n{known}\n".encode()
    guarded.run(git, target, *options, environment=environment, stdin=stdin)
    own = {"GIT_DIR": target, "GIT_WORK_TREE": target}
    guarded.run(git, target, "update-ref", f"refs/taskgrove/landed/{work.task_id}", commit, environment=own)
