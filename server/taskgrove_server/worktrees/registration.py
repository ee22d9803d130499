"""The way from a task's worktree to its repository and back, which git keeps in files on both sides.

An agent may remove or replace its .git, a container may prune what it cannot see, a disk may lose a file. Before a
worktree is believed to be gone, its registration is looked for and repaired; files of the worktree are never touched.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import logging
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath

from taskgrove_server.domain import shortages
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree, WorktreeState
from taskgrove_server.worktrees import branches, commands, filters, git_dirs, own_repository, saving
from taskgrove_server.worktrees.locks import WorktreeFailed

log = logging.getLogger(__name__)

#: Why worktrees are locked, as git tells whoever would remove one.
REASON = "Taskgrove keeps a task's work here; discard the task to remove it"

#: Indexes of which it is remembered that they are whole: to read one of 100,000 files takes 10 ms.
_INDEXES = 4096

_HEAD = re.compile(r"(ref: refs/.+|[0-9a-f]{40}|[0-9a-f]{64})")


def occupied(path: str) -> bool:
    """Tells whether something is at a path, other than an empty directory."""
    place = Path(path)
    if not place.is_dir():
        return os.path.lexists(path)
    try:
        return any(place.iterdir())
    except PermissionError:
        # Somebody has shut it.
        return True


def is_sound(path: str, common_dir: str) -> bool:
    """Tells whether a worktree is registered as it should be. Reads a few files, and starts no process."""
    dirs = git_dirs.read(path)
    return (
        dirs is not None
        and dirs.linked
        and dirs.common == common_dir
        and _is_of(dirs.own, path)
        and _head_is_sound(dirs.own)
        and _index_is_sound(dirs.own)
    )


def has_branch(path: str, branch: str) -> bool:
    """Tells whether a branch is there if a worktree has it checked out. Reads a few files, and starts no process.

    It may be deleted all the same, as by `git update-ref`. What is committed then has no history.
    """
    dirs = git_dirs.read(path)
    ref = f"refs/heads/{branch}"
    if dirs is None or git_dirs.pointer(f"{dirs.own}/HEAD") != f"ref: {ref}":
        return True
    common = Path(dirs.common)
    if (common / ref).is_file() or (common / "reftable").is_dir():
        return True
    with shortages.suppressing_others():
        return f" {ref}\n".encode(errors="surrogateescape") in (common / "packed-refs").read_bytes()
    return False


def keep(path: str, common_dir: str) -> None:
    """Locks the registration of a worktree that is sound, and gives it what filters need; raises OSError.

    A lock keeps `git worktree prune` from it, as when a container prunes that does not see the directory.
    """
    dirs = git_dirs.read(path)
    if dirs is None or not dirs.linked:
        return
    lock = Path(dirs.own, "locked")
    if not os.path.lexists(lock):
        lock.write_text(f"{REASON}\n", encoding="utf-8")
    filters.share_state(common_dir, dirs.own)


def mend(git: commands.Git, repository: str, common_dir: str, worktree: Worktree, *, trusted: bool = False) -> bool:
    """Tells whether a worktree is there, registered anew if need be. Call it with the repository's lock.

    With `trusted`, whatever is at the path is what the task's agent has left. Raises WorktreeFailed if something else
    is there or git cannot take it over, or if somebody has moved the worktree; GitFailed, OSError.
    """
    path = worktree.path
    if not occupied(path):
        refuse_moved(repository, common_dir, worktree)
        return False
    if not is_sound(path, common_dir):
        if worktree.state is not WorktreeState.PRESENT:
            # It was removed: this is somebody's, or what could not be removed of it.
            raise _refusal(path, repository)
        own = _entry(git, repository, common_dir, worktree, trusted=trusted)
        _mend_submodules(git, own, path)
        _mend_pointers(own, path)
        _mend_head(git, repository, own, worktree)
        _mend_index(git, own, path)
        if not is_sound(path, common_dir):
            raise _refusal(path, repository)
        log.warning("The worktree %s has been registered with its repository again", path)
    if worktree.state is WorktreeState.PRESENT:
        _mend_branch(git, repository, worktree)
    keep(path, common_dir)
    return True


def refuse_moved(repository: str, common_dir: str, worktree: Worktree) -> None:
    """Raises WorktreeFailed if a worktree that should be there was moved elsewhere, as by `git worktree move`.

    What is not committed in it would be neither landed nor saved.
    """
    path = worktree.path
    if worktree.state is not WorktreeState.PRESENT or occupied(path):
        return
    for own in Path(common_dir, "worktrees").glob(f"{glob.escape(PurePath(path).name)}*"):
        # Git puts a number behind a name that was taken.
        number = own.name.removeprefix(PurePath(path).name)
        if (not number or number.isdecimal()) and _belongs_elsewhere(str(own), path):
            moved = _place(str(own)) or ""
            empty = f"rmdir {shlex.quote(path)} && " if Path(path).is_dir() else ""
            names = f"{shlex.quote(moved)} {shlex.quote(path)}"
            raise WorktreeFailed(
                f"The worktree {path!r} was moved to {moved!r}. Move it back and call again: "
                f"{empty}git -C {shlex.quote(repository)} worktree move --force --force {names}"
            )


def follow(git: commands.Git, common_dir: str | None, path: str, is_copy: Callable[[str], bool]) -> None:
    """Has a repository know the place of a worktree that was moved, unless its old place still leads there.

    What is there does not count if `is_copy` says so of its path. Changes a few files, and starts a process for each
    submodule alone. Raises OSError and GitFailed.
    """
    dirs = git_dirs.read(path)
    own = dirs.own if dirs is not None and dirs.linked else None
    if dirs is None and common_dir is not None and git_dirs.leads_to(path):
        # A relative path led there from the old place.
        own = next(_candidates(common_dir, path), None)
    if own is None or (_belongs_elsewhere(own, path) and not is_copy(_place(own) or "")):
        return
    _mend_submodules(git, own, path)
    if dirs is None:
        _link(path, own)
    _mend_pointers(own, path)


def forget(git: commands.Git, repository: str, path: str) -> None:
    """Removes the registration of a worktree whose directory is gone: git's own prune leaves one that is locked."""
    dirs = git_dirs.read(repository)
    if dirs is not None and not occupied(path) and _registered(dirs.common, path):
        with suppress(commands.GitFailed):
            git(repository, "worktree", "remove", "--force", "--force", "--", path)


def forget_gone(git: commands.Git, common_dir: str, worktree: Worktree) -> None:
    """Removes registrations of a worktree at places that are gone, as of a data directory that was restored elsewhere.

    Git would take its branch for checked out there.
    """
    for own in Path(common_dir, "worktrees").glob(f"{glob.escape(PurePath(worktree.path).name)}*"):
        place = _place(str(own))
        head = git_dirs.pointer(f"{own}/HEAD")
        if place is not None and not os.path.lexists(place) and head == f"ref: refs/heads/{worktree.branch}":
            forget(git, common_dir, place)


def _entry(git: commands.Git, repository: str, common_dir: str, worktree: Worktree, *, trusted: bool) -> str:
    """Returns the git directory of a worktree, made again if it is gone, to which its .git then leads."""
    path = worktree.path
    dirs = git_dirs.read(path)
    registered = _registered(common_dir, path)
    if Path(path).is_symlink() and not (dirs and dirs.common == common_dir and dirs.own == registered):
        raise _refusal(path, repository)
    if dirs is None or dirs.own == common_dir:
        own = registered or next(_candidates(common_dir, path), None)
        return _link(path, own) if own else _register(git, repository, worktree)
    if dirs.common == common_dir:
        if registered is not None:
            return registered if registered == dirs.own else _link(path, registered)
        if _belongs_elsewhere(dirs.own, path):
            raise _refusal(path, repository)
        return dirs.own
    if dirs.linked or registered is None:
        raise _refusal(path, repository)
    _mend_pointers(registered, path)
    _mend_head(git, repository, registered, worktree)
    if not trusted and not _has_its_files(git, registered, path):
        raise _refusal(path, repository)
    task_id = TaskId(re.split("[-.]", PurePath(path).name)[0])
    saved = own_repository.save(git, common_dir, task_id, path)
    own_repository.set_aside(path, registered)
    log.warning("The repository that was made in the worktree %s has been set aside; saved: %s", path, saved)
    return _link(path, registered)


def _registered(common_dir: str, path: str) -> str | None:
    """Returns the git directory that a repository has for the worktree at a path."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(Path(common_dir, "worktrees")) as entries:
        for entry in entries:
            if _is_of(entry.path, path):
                return entry.path
    return None


def _candidates(common_dir: str, path: str) -> Iterator[str]:
    """Yields the git directories that may be a worktree's, although they name another place.

    Repository or worktree have been moved then, or the name is lost. Git calls them after their directories.
    """
    named = git_dirs.leads_to(path)
    for name in dict.fromkeys(PurePath(one).name for one in (named, path) if one):
        own = Path(common_dir, "worktrees", name)
        if own.is_dir() and not _belongs_elsewhere(str(own), path):
            yield str(own)


def _is_of(own: str, path: str) -> bool:
    """Tells whether a git directory names a path as its worktree."""
    place = _place(own)
    if place is None or place == path:
        return place is not None
    # A link at the path itself leads to another worktree; one above it, as to a larger disk, to the same.
    return not Path(path).is_symlink() and os.path.realpath(place) == os.path.realpath(path)


def _belongs_elsewhere(own: str, path: str) -> bool:
    """Tells whether the worktree that a git directory names is there, is not that at `path`, and leads back to it."""
    place = _place(own)
    dirs = git_dirs.read(place) if place else None
    return place is not None and dirs is not None and dirs.own == own and not _is_same(place, path)


def _is_same(one: str, other: str) -> bool:
    """Tells whether two paths are one directory, as a bind mount shows it elsewhere."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _place(own: str) -> str | None:
    """Returns the worktree that a git directory names, whether or not anything is there."""
    named = git_dirs.pointer(f"{own}/gitdir")
    return str(Path(os.path.normpath(Path(own, named))).parent) if named else None


def _link(path: str, own: str) -> str:
    """Makes the .git of a worktree lead to its git directory, which is returned."""
    dot = Path(path, ".git")
    if dot.is_dir() and not dot.is_symlink():
        # What is no repository, or the rest of one.
        own_repository.set_aside(path, own)
    _write(dot, f"gitdir: {own}\n")
    return own


def _register(git: commands.Git, repository: str, worktree: Worktree) -> str:
    """Makes the git directory of a worktree anew, for its branch as it is now; returns it."""
    tip = branches.tip(git, repository, worktree.branch)
    saved = saving.Saved.find(git, repository, worktree.saved_ref)
    known = (tip, saved.head if saved else None, worktree.head_commit, worktree.base_commit)
    head = next((one for one in known if one and branches.commit(git, repository, one)), None)
    if head is None:
        raise _refusal(worktree.path, repository)
    free = tip is not None and not branches.checkouts(git, repository, worktree.branch)
    start = (worktree.branch,) if free else ("--detach", head)
    # Git makes a worktree in a directory of its own alone. Its name becomes that of the git directory.
    path = Path(worktree.path)
    aside = path.with_name(f".{path.name}")
    made = aside / path.name
    if aside.exists():
        # A server was killed here.
        shutil.rmtree(aside)
    with suppress(commands.GitFailed):
        git(repository, "worktree", "remove", "--force", "--force", "--", str(made))
    *options, revision = start
    aside.mkdir(mode=0o700)
    try:
        lock = ("--lock", "--reason", REASON)
        git(repository, "worktree", "add", "--quiet", "--no-checkout", *lock, *options, "--", str(made), revision)
        dirs = git_dirs.read(str(made))
        if dirs is None:
            raise _refusal(worktree.path, repository)
        return _link(worktree.path, dirs.own)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _mend_pointers(own: str, path: str) -> None:
    if not _is_of(own, path):
        _write(Path(own, "gitdir"), f"{path}/.git\n")
    if git_dirs.pointer(f"{own}/commondir") is None:
        _write(Path(own, "commondir"), "../..\n")


def _mend_submodules(git: commands.Git, own: str, path: str) -> None:
    """Has submodules of a worktree that was moved find their repositories, and be found: git keeps relative paths.

    Call it before the worktree's own place is mended.
    """
    old = _place(own)
    if old is None or old == path:
        return
    for config in Path(own).glob("modules/**/config"):
        place = str(config.parent)
        named = git.ask(os.sep, "config", "--file", str(config), "--get", "core.worktree")
        there = os.path.normpath(Path(place, named)) if named else ""
        now = f"{path}{there.removeprefix(old)}"
        # Not through a link that the agent has made.
        if not there.startswith(f"{old}{os.sep}") or os.path.realpath(now) != now.replace(path, os.path.realpath(path)):
            continue
        git(os.sep, "config", "--file", str(config), "core.worktree", os.path.relpath(now, place))
        if git_dirs.leads_to(now) is not None:
            _write(Path(now, ".git"), f"gitdir: {os.path.relpath(place, now)}\n")


def _head_is_sound(own: str) -> bool:
    file = Path(own, "HEAD")
    if file.is_symlink():
        # As with core.preferSymlinkRefs.
        return str(file.readlink()).startswith("refs/")
    return _HEAD.fullmatch(git_dirs.pointer(str(file)) or "") is not None


def _mend_head(git: commands.Git, repository: str, own: str, worktree: Worktree) -> None:
    """Leads a HEAD that is damaged to the task's branch, or to the commit that it was last at if that is no part."""
    if _head_is_sound(own):
        return
    tip = branches.tip(git, repository, worktree.branch)
    last = _last_head(git, repository, own)
    for known in (worktree.head_commit, worktree.base_commit):
        if last is None and tip is None and known:
            last = branches.commit(git, repository, known)
    if tip is None and last is None:
        raise _refusal(worktree.path, repository)
    if last is not None and (tip is None or not branches.contains(git, repository, tip, last)):
        _write(Path(own, "HEAD"), f"{last}\n")
    else:
        _write(Path(own, "HEAD"), f"ref: refs/heads/{worktree.branch}\n")


def _mend_branch(git: commands.Git, repository: str, worktree: Worktree) -> None:
    """Makes the task's branch again if it was deleted while it is checked out, at the commit that HEAD was last at."""
    if has_branch(worktree.path, worktree.branch):
        return
    dirs = git_dirs.of(git, worktree.path)
    last = _last_head(git, repository, dirs.own)
    for known in (worktree.head_commit, worktree.base_commit):
        if last is None and known:
            last = branches.commit(git, repository, known)
    if last is None:
        raise _refusal(worktree.path, repository)
    git(repository, "update-ref", f"refs/heads/{worktree.branch}", last, "0" * len(last))
    log.warning("The branch %s was deleted while it was checked out; it is at %s again", worktree.branch, last)


def _last_head(git: commands.Git, repository: str, own: str) -> str | None:
    """Returns the commit that the log of a HEAD ends with."""
    lines = [b""]
    with shortages.suppressing_others():
        lines = Path(own, "logs", "HEAD").read_bytes().removesuffix(b"\n").split(b"\n")
    old, new, *_ = (*os.fsdecode(lines[-1]).split(" ", 2), "", "")
    # With zeros for the new one, its branch was deleted.
    last = new if new.strip("0") else old
    return branches.commit(git, repository, last) if _HEAD.fullmatch(last) else None


def _index_is_sound(own: str) -> bool:
    """Tells whether an index is there and whole."""
    file = Path(own, "index")
    with shortages.suppressing_others():
        found = file.stat()
        return _is_whole(file, found.st_ino, found.st_size, found.st_mtime_ns)
    return False


@functools.lru_cache(maxsize=_INDEXES)
def _is_whole(file: Path, _inode: int, _size: int, _time: int) -> bool:
    """Tells whether an index ends with its checksum, of 20 bytes or 32, or with zeros.

    Each is read once: git replaces it as a whole.
    """
    content = file.read_bytes()
    if not content.startswith(b"DIRC"):
        return False
    # As with index.skipHash.
    return not any(content[-20:]) or any(
        hashlib.new(name, content[:-size], usedforsecurity=False).digest() == content[-size:]
        for name, size in (("sha1", 20), ("sha256", 32))
    )


def _mend_index(git: commands.Git, own: str, path: str) -> None:
    """Fills an index that is damaged from the head, so that all that differs in the files counts as work."""
    if _index_is_sound(own):
        return
    # Git that was killed while it checked out a new worktree leaves none, and a part of the files.
    unfinished = not Path(own, "index").exists() and (
        Path(own, "index.lock").exists() or [child.name for child in Path(path).iterdir()] == [".git"]
    )
    for name in ("index", "index.lock"):
        Path(own, name).unlink(missing_ok=True)
    head = branches.commit(git, path, "HEAD")
    git(path, "read-tree", head or "--empty")
    if git.ask(path, "config", "--type=bool", "--get", "core.sparseCheckout") == "true":
        # Or what lies outside of the sparse checkout would count as deleted. Files that are there are left.
        git(path, "sparse-checkout", "reapply")
    if unfinished:
        missing = git(path, "ls-files", "--deleted", "-z")
        git(path, "checkout-index", "-z", "--stdin", stdin=os.fsencode(missing))


def _has_its_files(git: commands.Git, own: str, path: str) -> bool:
    """Tells whether a file that git put into a worktree is still there as it was, so that the worktree is the same."""
    if not _index_is_sound(own):
        return False
    there = (f"--git-dir={own}", f"--work-tree={path}")
    tracked = [line for line in git(path, *there, "ls-files", "-v", "--stage", "-z").split("\0") if line]
    # Neither those outside of a sparse checkout nor links to submodules, which need not be there; nor such as git would
    # take for unchanged.
    named = {line.partition("\t")[2] for line in tracked if line.startswith(("H 100", "H 120"))}
    return not named <= set(git(path, *there, "diff-files", "--name-only", "-z").split("\0"))


def _write(file: Path, text: str) -> None:
    """Replaces a file as a whole, whatever it is or leads to."""
    new = file.with_name(f"{file.name}.taskgrove")
    new.unlink(missing_ok=True)
    new.write_bytes(os.fsencode(text))
    new.replace(file)


def _refusal(path: str, repository: str) -> WorktreeFailed:
    return WorktreeFailed(
        f"{path!r} is there, but is no worktree of {repository!r} any more: save what is in it, move it away and call "
        "again."
    )
