"""What changes inside submodules, shown as files below their paths behind the links to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from taskgrove_server.worktrees import changes, commands
from taskgrove_server.worktrees.changes import ChangedFile, Compared, Patch
from taskgrove_server.worktrees.nested import finding, guarded, listing

_LINK = "160000"


@dataclass(frozen=True, slots=True)
class Compare:
    """Two trees, the repository that has them, and a checkout whose submodules are looked into."""

    repository: str
    checkout: str
    compared: Compared
    #: Where the repository lies in the task's worktree; empty for the worktree itself.
    inside: str = ""
    #: Keeps to these files and to what is below these directories; none means all.
    paths: tuple[str, ...] = ()


def changed_files(git: commands.Git, subject: Compare) -> list[ChangedFile]:
    """Returns the files that differ, ordered by path; raises GitFailed."""
    files = _own_files(git, subject)
    inner = _inner(git, subject, files)
    if not inner:
        return files
    found: list[ChangedFile] = []
    for file in files:
        found.append(file)
        if below := inner.get(file.path):
            found += changed_files(git, below)
    return found


def patches(
    git: commands.Git, subject: Compare, files: Sequence[ChangedFile], *, context_lines: int, longest: int
) -> Iterator[ChangedFile | Patch]:
    """Yields each of `files`, which must be all that `changed_files` returned, and after it its patch.

    Raises GitFailed.
    """
    inner: Mapping[str, Compare] = {}
    if any(_is_link(file) for file in files):
        files = _own_files(git, subject)
        inner = _inner(git, subject, files)
    pending: Compare | None = None

    def below() -> Iterator[ChangedFile | Patch]:
        if pending:
            yield from patches(git, pending, changed_files(git, pending), context_lines=context_lines, longest=longest)

    for item in changes.patches(
        git,
        subject.repository,
        subject.compared,
        files,
        paths=_paths(git, subject),
        context_lines=context_lines,
        longest=longest,
        inside=subject.inside,
    ):
        if isinstance(item, ChangedFile):
            yield from below()
            pending = inner.get(item.path)
        yield item
    yield from below()


def _own_files(git: commands.Git, subject: Compare) -> list[ChangedFile]:
    paths = _paths(git, subject)
    return changes.changed_files(git, subject.repository, subject.compared, paths, inside=subject.inside)


def _paths(git: commands.Git, subject: Compare) -> tuple[str, ...]:
    """Returns the paths to keep to, with the links that lie on the way to them."""
    parents = {str(parent) for path in subject.paths for parent in PurePath(path).parents} - {"."}
    return (*subject.paths, *listing.links_of(git, subject.repository, subject.compared.tree, sorted(parents)))


def _inner(git: commands.Git, subject: Compare, files: Sequence[ChangedFile]) -> dict[str, Compare]:
    """Returns what there is to compare inside the submodules whose links differ, by their paths."""
    start = f"{subject.inside}/" if subject.inside else ""
    names = [file.path.removeprefix(start) for file in files if _is_link(file)]
    old = listing.links_of(git, subject.repository, subject.compared.base, names)
    new = listing.links_of(git, subject.repository, subject.compared.tree, names)
    found: dict[str, Compare] = {}
    for name, commit in new.items():
        checkout = f"{subject.checkout}/{name}"
        # After the worktree is gone, what was saved of it is in the repository itself.
        for repository in (*([checkout] if finding.located(checkout) else []), subject.repository):
            base = _base(git, repository, old.get(name), commit)
            if base:
                compared = Compared(base, commit, has_uncommitted=False)
                found[start + name] = Compare(repository, checkout, compared, start + name, _below(name, subject.paths))
                break
    return found


def _below(name: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Returns the paths that lie inside a submodule, relative to it; none when all of it is wanted."""
    if any(name == path or name.startswith(f"{path.rstrip('/')}/") for path in paths):
        return ()
    return tuple(path.removeprefix(f"{name}/") for path in paths if path.startswith(f"{name}/"))


def _base(git: commands.Git, repository: str, old: str | None, new: str) -> str | None:
    """Returns what a commit of a submodule is compared with, None when it cannot be told."""
    asked = [one for one in (old, new) if one]
    stdin = "".join(f"{one}\n" for one in asked).encode()
    types = commands.rows(guarded.run(git, repository, "cat-file", "--batch-check=%(objecttype)", stdin=stdin))
    if types != ["commit"] * len(asked):
        return None
    if old:
        return old
    # A new submodule: what its remotes have is no work of the task.
    edges = guarded.run(git, repository, "rev-list", "--boundary", new, "--not", "--remotes", "--").split()
    if not edges:
        return new
    known = [edge[1:] for edge in edges if edge.startswith("-")]
    return known[0] if known else guarded.run(git, repository, "hash-object", "-t", "tree", "--stdin", stdin=b"")


def _is_link(file: ChangedFile) -> bool:
    return _LINK in (file.old_mode, file.mode)
