"""The directory of a Unix socket, which is what keeps others out: gRPC tells nobody who calls (grpc/grpc#28755)."""

from __future__ import annotations

import logging
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from taskgrove_server.api.addresses import AddressUnusable

log = logging.getLogger(__name__)

#: Bytes of the longest path that a Unix socket may have.
LONGEST_PATH = 107

#: What tells a data directory, which is the server's alone.
_DATABASE = "taskgrove.db"


def check(path: Path) -> None:
    """Raises AddressUnusable for a path of a socket that others reach, or that cannot be one; or OSError.

    A directory that is not there yet is all right.
    """
    if not path.is_absolute():
        raise AddressUnusable(f"unix:{path}: the socket's path must be absolute, such as {_flag(Path.cwd() / path)}.")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise AddressUnusable(
            f"The socket path {path} has more than {LONGEST_PATH} bytes, which the system does not take: choose a "
            f"shorter one with --listen unix:PATH{_elsewhere(path)}."
        )
    directory = path.parent
    if directory.exists() and (opening := _opening(directory)):
        raise AddressUnusable(f"The directory {directory} of the socket {opening}: {_way_out(path)}.")


def make(path: Path) -> None:
    """Makes the private directory of a socket; raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def warn_of_neighbours(path: Path) -> None:
    """Says in the log where others could put a directory of theirs, with a server of theirs, in the place of this one.

    No refusal: a volume of a container often lies in a directory that all may write to, but where nobody else is.
    """
    if loose := _loose_above(path.parent):
        log.warning(
            "Other users may write to %s, and could put a server of their own in the place of unix:%s: if there are "
            "such users, choose another place%s",
            loose,
            path,
            _elsewhere(path),
        )


def _opening(directory: Path) -> str | None:
    """Says how others could reach a socket in a directory."""
    state = directory.stat()
    if not stat.S_ISDIR(state.st_mode):
        return "is no directory"
    start = "and whoever reaches the socket can start programs"
    if state.st_mode & stat.S_ISVTX and state.st_mode & 0o002:
        return f"is shared by all users, {start}"
    if state.st_uid != os.geteuid():
        return "belongs to another user, who could reach the socket and start programs"
    return f"is open to other users, {start}" if state.st_mode & 0o077 else None


def _way_out(path: Path) -> str:
    directory = path.parent
    if _is_the_servers_alone(directory):
        return f"run 'chmod 700 {shlex.quote(str(directory))}', or choose another one"
    return f"choose one of the socket's own, which is made if it is not there{_elsewhere(path)}"


def _is_the_servers_alone(directory: Path) -> bool:
    """Tells whether a directory may be shut without anybody missing it."""
    state = directory.stat()
    if not stat.S_ISDIR(state.st_mode) or state.st_mode & stat.S_ISVTX:
        return False
    if state.st_uid != os.geteuid() or _is_home(directory):
        return False
    # What lies right below the root is the system's, however empty.
    return (directory / _DATABASE).is_file() or (directory.parent != Path("/") and not any(directory.iterdir()))


def _elsewhere(path: Path) -> str:
    """Returns the words that name a place which this module would take; none where it knows of none."""
    for directory in _places(path.parent):
        place = directory / path.name
        if len(os.fsencode(place)) > LONGEST_PATH:
            place = directory / "taskgroved.sock"
        if len(os.fsencode(place)) <= LONGEST_PATH and _can_be_used(directory):
            return f", such as with {_flag(place)}"
    return ""


def _places(directory: Path) -> Iterator[Path]:
    user = os.geteuid()
    if _is_home(directory):
        yield directory / ".taskgrove"
    elif directory.parent != directory:
        yield directory / "taskgrove"
        yield directory / f"taskgrove-{user}"
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}")
    if runtime.is_dir():
        yield runtime / "taskgrove"
    yield _home() / ".taskgrove"
    yield Path(f"/tmp/taskgrove-{user}")  # noqa: S108 - only if it is, or can be made, one's own


def _can_be_used(directory: Path) -> bool:
    """Tells whether a directory is private, or would be once it is made, and nobody could put another in its place."""
    try:
        if directory.exists():
            return directory.is_dir() and not _opening(directory) and not _loose_above(directory)
        above = next(parent for parent in directory.parents if parent.exists())
        return os.access(above, os.W_OK | os.X_OK) and not _loose_above(directory)
    except OSError:
        return False


def _loose_above(directory: Path) -> Path | None:
    """Returns a directory above one in which another user may rename it; in sticky ones nobody may.

    What a group may write counts as private: on most systems each user has a group of their own.
    """
    for parent in directory.resolve().parents:
        if not parent.exists():
            continue
        state = parent.stat()
        if state.st_uid not in (0, os.geteuid()) or (state.st_mode & 0o002 and not state.st_mode & stat.S_ISVTX):
            return parent
    return None


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user of a container who has none
        return Path("/nowhere")


def _is_home(directory: Path) -> bool:
    return _home().exists() and directory.samefile(_home())


def _flag(path: Path) -> str:
    return f"--listen {shlex.quote(f'unix:{path}')}"
