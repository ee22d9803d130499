"""What git's conversions make of files: line endings, filters, encodings.

Some files differ from what git has of them from the moment they are checked out, since what git would store of them is
not what it has stored: a blob with CRLF under `*.txt text`, a raw file under `filter=lfs`. Nobody has changed them.
"""

from __future__ import annotations

import filecmp
import os
import stat
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.worktrees import commands, git_dirs

#: The attributes by which git converts files. Settings alone, as core.autocrlf, leave a file as it is stored.
_CONVERTING = ("text", "crlf", "eol", "filter", "ident", "working-tree-encoding")

_FILES = ("100644", "100755")


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of a commit in a directory of their own, as a checkout would have them, with an index of that commit."""

    directory: str
    #: Makes git work in that directory, and with that index.
    environment: Mapping[str, str]


@contextmanager
def checked_out(git: commands.Git, checkout: str, tree: str, files: Sequence[str]) -> Generator[Copy]:
    """Yields a copy of some files of a tree or commit. Raises GitFailed.

    `checkout` is where git finds the attributes. Filters are left out, because they may fetch gigabytes: the copy of a
    file that was stored raw is raw all the same. Links are links; submodules are left out.
    """
    off = [part for name in _filters(git, checkout, files) for part in _off(name)]
    with tempfile.TemporaryDirectory(prefix="taskgrove-") as scratch:
        index = {"GIT_INDEX_FILE": f"{scratch}/index"}
        git(checkout, "read-tree", tree, environment=index)
        place = f"{scratch}/files"
        Path(place).mkdir()
        arguments = ("checkout-index", "--quiet", "--force", f"--prefix={place}/", "-z", "--stdin")
        git(checkout, *off, *arguments, environment=index, stdin=_joined(files))
        yield Copy(place, {**index, "GIT_DIR": git_dirs.find(git, checkout).own, "GIT_WORK_TREE": place})


def same_as(git: commands.Git, checkout: str, tree: str, files: Sequence[str]) -> set[str]:
    """Returns those files of a checkout that are byte for byte what a checkout of the tree would have there."""
    if not files:
        return set()
    with checked_out(git, checkout, tree, files) as copy:
        return {name for name in files if is_same(f"{checkout}/{name}", f"{copy.directory}/{name}")}


def only_converted(git: commands.Git, checkout: str, files: Sequence[str]) -> set[str]:
    """Returns those of the modified files of a checkout that only git's conversions make differ from its HEAD."""
    return same_as(git, checkout, "HEAD", _with_conversions(git, checkout, files))


def keep(git: commands.Git, checkout: str, environment: Mapping[str, str] | None = None) -> None:
    """Takes out of the index what git's conversions have changed in it and nobody else has. Raises GitFailed.

    Where HEAD has a file with other line endings than a commit would store now, and it was edited, it is staged as it
    is: otherwise each of its lines would count as changed.
    """
    compare = ("diff-index", "--cached", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=M", "-z")
    try:
        fields = git(checkout, *compare, "HEAD", "--", environment=environment).split("\0")
    except commands.GitFailed:
        # Asked only now: nearly all checkouts have a commit.
        if git.ask(checkout, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
            return
        raise
    staged = {path: entry[1:].split(" ") for entry, path in zip(fields[::2], fields[1::2], strict=False)}
    files = [path for path, entry in staged.items() if entry[0] in _FILES and entry[1] in _FILES]
    converted = _with_conversions(git, checkout, files)
    if not converted:
        return
    entries: list[str] = []
    with checked_out(git, checkout, "HEAD", converted) as copy:
        edited = [path for path in converted if not is_same(f"{checkout}/{path}", f"{copy.directory}/{path}")]
        entries += [f"{staged[path][0]} {staged[path][2]}\t{path}" for path in converted if path not in edited]
        # Not what passes through a filter, such as one that encrypts: it alone may say what is stored.
        filtered = {path for path, _, _ in _attributes(git, checkout, edited, "filter")}
        raw = _stored_raw(git, copy, {path: staged[path][2] for path in edited if path not in filtered})
    stored = _hashes(git, checkout, raw)
    entries += [f"{staged[path][1]} {stored[path]}\t{path}" for path in stored]
    stdin = "".join(f"{entry}\0" for entry in entries).encode(errors="surrogateescape")
    git(checkout, "update-index", "-z", "--index-info", environment=environment, stdin=stdin)


def _stored_raw(git: commands.Git, copy: Copy, blobs: Mapping[str, str]) -> list[str]:
    """Returns the files that are stored as they are checked out, and that git would store otherwise now."""
    if not blobs:
        return []
    place, environment = copy.directory, copy.environment
    # The index remembers nothing of the files, so that each is looked at.
    git(place, "update-index", "-z", "--stdin", environment=environment, stdin=_joined(blobs))
    compare = ("diff-index", "--cached", "--name-only", "--no-renames", "-z", "HEAD", "--")
    otherwise = [path for path in git(place, *compare, environment=environment).split("\0") if path in blobs]
    asis = _hashes(git, place, otherwise, environment)
    return [path for path in otherwise if asis.get(path) == blobs[path]]


def _hashes(
    git: commands.Git, directory: str, files: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Stores files as they are, and returns the ids; those whose names cannot be a line are left out."""
    # Git takes what begins with a quotation mark for a name in C's notation, and drops a carriage return at the end.
    named = [name for name in files if "\n" not in name and not name.startswith('"') and not name.endswith("\r")]
    if not named:
        return {}
    stdin = b"".join(os.fsencode(name) + b"\n" for name in named)
    arguments = ("hash-object", "-w", "--no-filters", "--stdin-paths")
    return dict(zip(named, git(directory, *arguments, stdin=stdin, environment=environment).split(), strict=True))


def _filters(git: commands.Git, checkout: str, files: Sequence[str]) -> set[str]:
    """Returns the names of the filters that files pass through."""
    return {value for _, name, value in _attributes(git, checkout, files, "filter") if name == "filter"}


def _off(name: str) -> tuple[str, ...]:
    """Returns the settings by which a filter does nothing."""
    values = {"smudge": "", "process": "", "required": "false"}
    return tuple(part for key, value in values.items() for part in ("-c", f"filter.{name}.{key}={value}"))


def _with_conversions(git: commands.Git, checkout: str, files: Sequence[str]) -> list[str]:
    """Returns those files that have an attribute by which git may convert them."""
    found = {path for path, _, _ in _attributes(git, checkout, files, *_CONVERTING)}
    return [path for path in files if path in found]


def _attributes(git: commands.Git, checkout: str, files: Sequence[str], *names: str) -> Iterator[tuple[str, str, str]]:
    """Yields file, name and value of those attributes that are set."""
    if not files:
        return
    answer = git(checkout, "check-attr", "-z", "--stdin", *names, stdin=_joined(files))
    fields = answer.split("\0")
    for path, name, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if value not in ("unspecified", "unset"):
            yield path, name, value


def is_same(one: str, other: str) -> bool:
    """Tells whether two files have the same kind, content and right to be executed."""
    try:
        first, second = os.lstat(one), os.lstat(other)
        if stat.S_ISLNK(first.st_mode) and stat.S_ISLNK(second.st_mode):
            return os.readlink(one) == os.readlink(other)  # noqa: PTH115 - as a string, like the other
        if not (stat.S_ISREG(first.st_mode) and stat.S_ISREG(second.st_mode)):
            return False
        return bool(first.st_mode & 0o100) == bool(second.st_mode & 0o100) and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _joined(files: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in files)
