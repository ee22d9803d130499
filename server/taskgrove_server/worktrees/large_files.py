"""Brings what Git LFS keeps of commits to a remote repository, which a push of the commits alone does not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from taskgrove_server.worktrees import commands, git_dirs

#: Blobs that are read together, each smaller than this many bytes, as Git LFS has its pointers.
_BATCH = 5000
_LARGEST = 1024

_VERSION, _OID = b"version ", b"\noid sha256:"

_ATTRIBUTES = ":(top,glob)**/.gitattributes"


def push(git: commands.Git, repository: str, remote: str, commit: str) -> None:
    """Brings the contents that a commit's new history has in Git LFS to a remote; none for most repositories.

    New is what no remote-tracking branch of the remote has. Raises GitFailed, with what to do.
    """
    new = (commit, "--not", f"--remotes={remote}")
    if not _has_pointers(git, repository, new) or not _is_used(git, repository, commit, new):
        return
    if len(commands.rows(git(repository, "remote", "get-url", "--push", "--all", remote))) > 1:
        raise commands.GitFailed(
            "It holds files whose contents are kept by Git LFS, which brings them to the first of a remote's addresses "
            "alone, and this remote has several. Nothing was pushed: push to a remote that has one."
        )
    # No likeness of a command that is missing.
    settings = ("-c", "help.autoCorrect=never", "-c", "lfs.allowIncompletePush=false")
    heard = git.hear(repository, *settings, "lfs", "push", remote, commit)
    if heard.status:
        why = heard.words
        if "is not a git command" in why:
            why = "git-lfs is not installed on the server, where it has to be."
        raise commands.GitFailed(
            f"It holds files whose contents are kept by Git LFS, and these could not be brought there: {why} "
            "Nothing was pushed.",
            heard.status,
        )


def _has_pointers(git: commands.Git, repository: str, new: tuple[str, ...]) -> bool:
    """Tells whether a history has blobs that stand for contents that Git LFS keeps."""
    # Of what was left at a partial clone's remote, nothing has to be brought there.
    options = ("--objects", "--no-object-names", "--exclude-promisor-objects")
    kinds = f"--filter=combine:object:type=blob+blob:limit={_LARGEST}"
    names = git.lines(repository, "rev-list", *options, kinds, *new)
    while batch := b"".join(islice(names, _BATCH)):
        found = git.raw(repository, "cat-file", "--batch", "--buffer", stdin=batch)
        if any(content.startswith(_VERSION) and _OID in content for content in _blobs(found)):
            return True
    return False


def _blobs(answer: bytes) -> Iterator[bytes]:
    """Yields the contents of the blobs among what git-cat-file(1) answers."""
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        fields = answer[at:end].split()
        at = end + 1
        if len(fields) == 3:
            size = int(fields[2])
            if fields[1] == b"blob":
                yield answer[at : at + size]
            at += size + 1


def _is_used(git: commands.Git, repository: str, commit: str, new: tuple[str, ...]) -> bool:
    """Tells whether the repository keeps files by Git LFS: pointers may as well be there to test something."""
    if Path(git_dirs.find(git, repository).common, "lfs").is_dir():
        return True
    changed = git(repository, "rev-list", "--full-history", *new, "--", _ATTRIBUTES).split()
    options = ("--quiet", "--fixed-strings", "--full-name", "--no-recurse-submodules", "-e", "filter=lfs")
    return git.ask(repository, "grep", *options, commit, *changed, "--", _ATTRIBUTES) is not None
