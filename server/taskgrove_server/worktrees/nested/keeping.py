"""Keeps what is in the repositories inside a worktree that is about to be removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import SavedRepository
from taskgrove_server.worktrees import commands, git_dirs, saving
from taskgrove_server.worktrees.nested import flagged, guarded, listing, shadow, state, tips
from taskgrove_server.worktrees.nested.repositories import Nested


@dataclass(frozen=True, slots=True)
class _Keeper:
    git: commands.Git
    repository: str
    #: Where the objects of the task's repository are.
    objects: str
    object_format: str
    task_id: TaskId


def keep(
    git: commands.Git, repository: str, task_id: TaskId, found: Sequence[Nested], around: Iterable[str]
) -> tuple[SavedRepository, ...]:
    """Saves what only repositories inside a worktree have, under refs of the task's repository.

    That is the head of each with what is not committed on top, and its branches, tags and stashes; and the commits to
    which `around`, commits and trees of the task, link. Raises WorkNotSaved for one of which that cannot be done.
    """
    if not found:
        return ()
    objects = f"{git_dirs.find(git, repository).common}/objects"
    object_format = git(repository, "rev-parse", "--show-object-format")
    keeper = _Keeper(git, repository, objects, object_format, task_id)
    saved: list[SavedRepository] = []
    linked = _linked(git, repository, None, found, around)
    for nested in found:
        try:
            linked |= _linked(git, nested, nested, found, linked.get(nested.path, ()))
            kept = _keep(keeper, nested, found, linked.get(nested.path, ()))
        except (commands.GitFailed, OSError) as error:
            raise errors.WorkNotSaved(task_id, nested.path, str(error)) from error
        if kept:
            saved.append(kept)
    return tuple(saved)


def _linked(
    git: commands.Git, place: str | Nested, inside: Nested | None, found: Sequence[Nested], around: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Returns the commits to which commits or trees of one repository link in those right inside it, by path."""
    children = {child.name: child.path for child in found if child.inside is inside and not child.is_shared}
    links: dict[str, tuple[str, ...]] = {}
    for one in around:
        for name, commit in listing.links_of(git, place, one, list(children)).items():
            links[children[name]] = (*links.get(children[name], ()), commit)
    return links


def _keep(keeper: _Keeper, nested: Nested, found: Sequence[Nested], linked: Iterable[str]) -> SavedRepository | None:
    git = keeper.git
    standing = state.of(git, nested)
    own = tips.of(git, nested, standing.head, {one for one in linked if one != standing.head})
    children = {child.name for child in found if child.inside is nested}
    changed = any(change.path.rstrip("/") not in children for change in standing.changes)
    if not (own.has_head or own.refs or changed):
        return None
    if guarded.run(git, nested, "rev-parse", "--show-object-format") != keeper.object_format:
        raise commands.GitFailed("its objects have another format than those of the repository")
    with shadow.over(git, nested, keeper.objects) as environment:
        lacking = tips.lacks_history(nested)
        head = standing.head
        refs = dict(own.refs)
        if lacking:
            head = _without_history(keeper, nested, environment, head) if head else None
            refs = {name: _without_history(keeper, nested, environment, value) for name, value in refs.items()}
        commit = head
        if changed:
            commit = _snapshot(keeper, nested, environment, head, children)
        if commit is None:
            empty = ("hash-object", "-t", "tree", "-w", "--stdin")
            tree = guarded.run(git, nested, *empty, environment=environment, stdin=b"")
            commit = _commit(keeper, nested, environment, tree, [])
        tree = guarded.run(git, nested, "rev-parse", f"{commit}^{{tree}}", environment=environment)
        if f"{nested.dirs.common}/objects" != keeper.objects:
            _copy_objects(keeper, nested, environment, [commit, *refs.values()])
    return SavedRepository(nested.path, _record(keeper, nested, commit, tree, refs), commit)


def _snapshot(
    keeper: _Keeper, nested: Nested, environment: Mapping[str, str], head: str | None, children: set[str]
) -> str:
    """Returns a commit of what is in the files, on top of the head and of what is in the index, where that differs."""
    git = keeper.git
    parents = [head] if head else []
    staged = None
    # In the middle of a merge it is no tree, and has nothing that the files and the merged commits have not.
    with suppress(commands.GitFailed):
        staged = guarded.run(git, nested, "write-tree", environment=environment)
    exclude = (f":(exclude,literal){name}" for name in children)
    options = ("--all", "--sparse", "--", ".", *exclude)
    flagged.clear(git, nested, nested.flagged, environment)
    guarded.run(git, nested, "add", *options, environment=environment)
    tree = guarded.run(git, nested, "write-tree", environment=environment)
    known = guarded.run(git, nested, "rev-parse", f"{head}^{{tree}}", environment=environment) if head else ""
    if staged not in (None, tree, known):
        parents.append(_commit(keeper, nested, environment, str(staged), parents, "What was staged"))
    return _commit(keeper, nested, environment, tree, parents)


def _without_history(keeper: _Keeper, nested: Nested, environment: Mapping[str, str], commit: str) -> str:
    tree = guarded.run(keeper.git, nested, "rev-parse", f"{commit}^{{tree}}", environment=environment)
    told = f"Commit {commit}, without its history: the clone had not all of it"
    return _commit(keeper, nested, environment, tree, [], told)


def _commit(
    keeper: _Keeper,
    nested: Nested,
    environment: Mapping[str, str],
    tree: str,
    parents: Sequence[str],
    subject: str = "What was not committed",
) -> str:
    options = [part for parent in parents for part in ("-p", parent)]
    text = f"{subject}\n\nTaskgrove-Task: {keeper.task_id}\nTaskgrove-Repository: {nested.path}\n"
    stdin = text.encode(errors="surrogateescape")
    arguments = ("commit-tree", tree, *options, "-F", "-")
    return guarded.run(keeper.git, nested, *arguments, environment=environment, stdin=stdin)


def _copy_objects(keeper: _Keeper, nested: Nested, environment: Mapping[str, str], wanted: Sequence[str]) -> None:
    """Copies objects, by a pack and not by `git fetch`, whose other side runs what the repository's config names."""
    stdin = "".join(f"{one}\n" for one in wanted).encode()
    options = ("pack-objects", "--quiet", "--revs", "--delta-base-offset", "--non-empty")
    target = f"{keeper.objects}/pack/pack"
    guarded.run(keeper.git, nested, *options, target, environment=environment, stdin=stdin)


def _record(keeper: _Keeper, nested: Nested, commit: str, tree: str, refs: Mapping[str, str]) -> str:
    """Makes the refs, after a look at whether all is there, and reads them back; returns that of the commit."""
    git, repository = keeper.git, keeper.repository
    wanted = "".join(f"{one}\n" for one in (commit, *refs.values()))
    git(repository, "rev-list", "--objects", "--quiet", "--stdin", "--not", "--all", stdin=wanted.encode())
    ref = saving.next_ref(git, repository, keeper.task_id)
    zeros = "0" * len(commit)
    created = {ref: commit, **{f"{ref}-refs/{name}": value for name, value in refs.items()}}
    lines = "".join(f"update {name} {value} {zeros}\n" for name, value in created.items())
    options = ("--create-reflog", "-m", f"taskgrove: {nested.path}")
    git(repository, "update-ref", *options, "--stdin", stdin=lines.encode(errors="surrogateescape"))
    if git(repository, "rev-parse", "--verify", f"{ref}^{{tree}}") != tree:
        raise commands.GitFailed(f"what was saved at {ref} is not what was there")
    return ref
