"""Shows work: the files that it changes, its diff, its commits. Reads, and changes no branch and no worktree."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from taskgrove_server.worktrees import branches, commands, staging, work
from taskgrove_server.worktrees.work import Work

#: Files beyond this many bytes are taken for binary: their diff would be for nobody.
_LARGEST = "16m"

#: What git does of itself, said aloud: the user's own settings, and those of a repository's .gitmodules, must not
#: change what programs read.
_PLAIN = (
    *("--no-color", "--no-ext-diff", "--no-textconv", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/"),
    *("--diff-algorithm=default", "--indent-heuristic", "--inter-hunk-context=0", "--ws-error-highlight=none"),
    # -l as git has it: beyond so many new files, which were renamed is not looked for.
    *("--find-renames", "-l1000", "--submodule=short", "--ignore-submodules=none", "-r", "--no-commit-id"),
)

#: The same for what has no option.
_SETTINGS = (
    *("-c", f"core.bigFileThreshold={_LARGEST}", "-c", "core.quotePath=false", "-c", "core.abbrev=auto"),
    *("-c", "diff.suppressBlankEmpty=false"),
)

#: What is read of a commit: plumbing, in which neither log.* nor a mailmap matters. A message ends at its first NUL.
_COMMIT = ("%H", "%P", "%an", "%ae", "%at", "%ct", "%s", "%b")

#: The first and the last second that datetime knows, of which a commit may name others.
_TIMES = (-62_135_596_800, 253_402_300_799)

_ABSENT = "000000"


class ChangeKind(StrEnum):
    """What happened to a file; the values mean what change.proto says."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"
    RENAMED = "R"
    TYPE_CHANGED = "T"


#: By git's letters; an enumeration's own look-up takes longer than all the rest of a file.
_KINDS = {kind.value: kind for kind in ChangeKind}


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """How one file differs. Paths are as the system has them, undecodable bytes as surrogates."""

    path: str
    old_path: str | None
    kind: ChangeKind
    #: Empty when there is no such file on that side.
    old_mode: str
    mode: str
    #: None for binary files.
    insertions: int | None
    deletions: int | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Two trees that are compared, by full ids of them or of commits, so that what is read later is the same."""

    base: str
    tree: str
    has_uncommitted: bool


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of the diff of one file, in bytes as git prints it; the last one of a patch that was cut says so."""

    data: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a task."""

    id: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    author_time: datetime
    commit_time: datetime
    subject: str
    body: str


def compare(git: commands.Git, subject: Work, *, committed_only: bool) -> Compared:
    """Returns what there is to compare; raises GitFailed."""
    base = work.shown_base(git, subject)
    standing = work.standing(git, subject) if not committed_only else staging.Standing()
    if not standing.uncommitted:
        return Compared(base, subject.head, has_uncommitted=False)
    snapshot = staging.snapshot(git, subject.worktree, standing)
    committed = branches.tree(git, subject.repository, subject.head)
    return Compared(base, snapshot, has_uncommitted=snapshot != committed)


def changed_files(
    git: commands.Git, repository: str, compared: Compared, paths: Sequence[str] = (), *, inside: str = ""
) -> list[ChangedFile]:
    """Returns the files that differ, ordered by path; `inside` is where a submodule lies. Raises GitFailed."""
    answer = git(repository, *_diff(compared, "--raw", "--numstat", "-z", inside=inside), *_only(paths))
    fields = iter(answer.split("\0"))
    found: list[tuple[str, ChangeKind, str | None, str]] = []
    counts: dict[str, tuple[int | None, int | None]] = {}
    for field in fields:
        if field.startswith(":"):
            # Two modes, two ids and a letter, behind which a renamed one has how much of it is the same.
            kind = _KINDS[field[field.rindex(" ") + 1]]
            first = next(fields)
            found.append(
                (field, kind, first, next(fields)) if kind is ChangeKind.RENAMED else (field, kind, None, first)
            )
        elif field:
            added, deleted, path = field.split("\t", 2)
            if not path:
                next(fields)
                path = next(fields)
            counts[path] = (_number(added), _number(deleted))
    return [
        ChangedFile(
            path=f"{inside}/{path}" if inside else path,
            old_path=old_path,
            kind=kind,
            old_mode=_mode(modes[1:7]),
            mode=_mode(modes[8:14]),
            insertions=counts.get(path, (None, None))[0],
            deletions=counts.get(path, (None, None))[1],
        )
        for modes, kind, old_path, path in found
    ]


def patches(
    git: commands.Git,
    repository: str,
    compared: Compared,
    files: Sequence[ChangedFile],
    *,
    paths: Sequence[str] = (),
    context_lines: int,
    longest: int,
    inside: str = "",
) -> Iterator[ChangedFile | Patch]:
    """Yields each of `files`, which must be those that differ, and after it its patch, of `longest` bytes at most.

    Raises GitFailed.
    """
    lines = git.lines(
        repository, *_diff(compared, "--patch", f"--unified={context_lines}", inside=inside), *_only(paths)
    )
    waiting = iter(files)
    # Where a file becomes a link, git tells of the one's end and of the other's beginning.
    headers = left = 0
    cut = False
    for line in lines:
        # Nothing else begins so: lines of content have a character before them.
        if line.startswith(b"diff --git "):
            if headers == 0:
                file = next(waiting)
                yield file
                headers = 2 if file.kind is ChangeKind.TYPE_CHANGED else 1
                left, cut = longest, False
            headers -= 1
        if cut:
            continue
        if len(line) > left:
            cut = True
            yield Patch(b"", truncated=True)
            continue
        left -= len(line)
        yield Patch(line)
    # Git prints nothing for some, such as a file whose only change its attributes hide.
    yield from waiting


def commits(
    git: commands.Git, repository: str, head: str, excluded: Sequence[str], skip: int, most: int
) -> list[Commit]:
    """Returns up to `most` commits of `head` that are no part of `excluded`, the newest first, from behind `skip`."""
    form = "".join(f"{field}%x00" for field in _COMMIT)
    options = ("--encoding=UTF-8", "--no-commit-header", f"--format={form}", "--topo-order")
    bounds = (f"--skip={skip}", f"--max-count={most}")
    answer = git(repository, "rev-list", *options, *bounds, head, *(f"^{one}" for one in excluded), "--")
    fields = answer.split("\0")
    # A newline is between commits; with the last one's end gone, nothing but that can be left over.
    return [_commit(fields[at : at + len(_COMMIT)]) for at in range(0, len(fields) - 1, len(_COMMIT))]


def commits_of(git: commands.Git, repository: str, ids: Sequence[str]) -> list[Commit]:
    """Returns commits by their full ids, in that order."""
    return [commit for one in ids for commit in commits(git, repository, one, (), 0, 1)]


def _commit(fields: Sequence[str]) -> Commit:
    commit_id, parents, name, email, author_time, commit_time, subject, body = fields
    return Commit(
        id=commit_id.lstrip("\n"),
        parents=tuple(parents.split()),
        author_name=name,
        author_email=email,
        author_time=_moment(author_time),
        commit_time=_moment(commit_time),
        subject=subject,
        body=body.strip("\n"),
    )


def _moment(seconds: str) -> datetime:
    """Returns a time, the nearest that there is for one that no clock has; the epoch for a commit that names none."""
    return datetime.fromtimestamp(min(max(int(seconds or 0), _TIMES[0]), _TIMES[1]), UTC)


def _diff(compared: Compared, *options: str, inside: str = "") -> tuple[str, ...]:
    if inside:
        # Git puts no prefix before the names in "rename from".
        options = (*options, "--no-renames", f"--src-prefix=a/{inside}/", f"--dst-prefix=b/{inside}/")
    return (*_SETTINGS, "--literal-pathspecs", "diff-tree", *_PLAIN, *options, compared.base, compared.tree)


def _only(paths: Sequence[str]) -> tuple[str, ...]:
    return ("--", *paths) if paths else ()


def _mode(text: str) -> str:
    # Once each: many are kept for a while.
    return "" if text == _ABSENT else sys.intern(text)


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)


def text_of(path: str) -> tuple[str, bytes]:
    """Returns a path as text, and as bytes where it is no UTF-8, else none."""
    if path.isascii():
        # Nearly all are, of which there may be very many.
        return path, b""
    raw = os.fsencode(path)
    try:
        return raw.decode(), b""
    except UnicodeDecodeError:
        return raw.decode(errors="replace"), raw
