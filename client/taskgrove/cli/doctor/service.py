"""Checks of the server: whether it answers, what it tells of itself, and who can get at it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import taskgrove
from taskgrove import errors
from taskgrove.cli import connecting, exits, holds, reaching, refusals
from taskgrove.cli.doctor import disk_usage, findings, holder, programs
from taskgrove.cli.doctor.findings import Finding
from taskgrove.v1.server_service_pb2 import DataDirectory, GetServerInfoResponse

#: Permissions of anybody but the owner.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

#: Seconds in which the server has to answer.
_PATIENCE = 5.0


def examine(server: connecting.Server) -> Iterator[Finding]:
    """Yields whether a server answers at the target, and what is to be said of it."""
    answered = _ask(server)
    if isinstance(answered, Finding):
        yield answered
        return
    where = f"{server.address} (the default)" if server.is_default else server.address
    yield findings.ok("server", f"Version {answered.version} answers at {where}")
    if answered.version != taskgrove.__version__:
        yield findings.warning(
            "versions",
            f"The server has version {answered.version}, this command {taskgrove.__version__}",
            "Install the same version on both sides, unless one is being renewed.",
        )
    if answered.data_directory.path:
        yield _home(answered.data_directory)
    if answered.space_short:
        yield findings.problem(
            "server's disk", "The server starts no task, for want of room", "Free some, or lower its min_free_space."
        )
    if answered.HasField("disk_usage"):
        yield from disk_usage.examine(answered.disk_usage)
    for trouble in answered.troubles:
        since = trouble.begin_time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        what = f"The server has trouble with {trouble.name}, {trouble.count} times since {since}: {trouble.message}"
        yield findings.problem("server's troubles", what, "It tries again by itself; its log has more.")
    for hold in answered.holds:
        yield findings.warning(
            f"hold {hold.id}",
            holds.sentence(hold),
            f"Once that is mended, tasks go on by themselves, or at once with: taskgrove lift {hold.id}",
        )
    if answered.git_version and (finding := programs.too_old_git("server's git", f"Its git {answered.git_version}")):
        yield finding
    for agent in answered.agents:
        if agent.available:
            version = f" {agent.version} at {agent.path}" if agent.version else ""
            yield findings.ok(f"agent {agent.name}", f"The server's agent {agent.name}{version} can be started")
        else:
            # The one that most people have need not be there for those who run commands.
            what = f"The server's agent {agent.name} cannot be started: {agent.problem.rstrip('.')}"
            yield findings.warning(f"agent {agent.name}", what, "Tasks of this agent wait until then, or fail.")


def _home(directory: DataDirectory) -> Finding:
    what = f"The server's data directory is {directory.path} (id {directory.id})"
    if directory.copied_from:
        what += f", a copy of {directory.copied_from}, whose agents and worktrees it leaves alone"
    return findings.ok("data directory", what)


def _ask(server: connecting.Server) -> GetServerInfoResponse | Finding:
    where = f"{server.address} (the default)" if server.is_default else server.address
    try:
        with server.connect(timeout=_PATIENCE) as client:
            return client.get_server_info()
    except exits.Refused as error:
        return findings.problem("server", error.message.rstrip("."), "Check TASKGROVE_TLS_CA and what belongs to it.")
    except errors.Unauthenticated:
        return findings.problem(
            "server",
            f"The server at {where} takes no call without its token",
            "Set TASKGROVE_TOKEN to what the file 'token' in the server's data directory says.",
        )
    except errors.ServerUnavailable as error:
        if error.reason is not None:
            return findings.warning("server", f"The server at {where} is about to stop", "Try again in a moment.")
        if held := holder.examine(server.address, where):
            return held
        if server.is_default:
            return findings.warning(
                "server",
                f"No server answers at {where}",
                "Start one with: taskgroved. `run` starts one for itself.",
            )
        obstacle = reaching.look(server.address, server.tls)
        return findings.problem("server", f"Cannot reach {where}: {obstacle.what}", f"{obstacle.advice}.")
    except errors.DeadlineExceeded as error:
        slow = findings.problem(
            "server", f"The server at {where} does not answer: {error.message}", "Look into its log."
        )
        return holder.examine(server.address, where) or slow
    except errors.TaskgroveError as error:
        if refusals.is_of_stranger(error):
            return findings.problem("server", f"What answers at {where} is no Taskgrove server", "Check --target.")
        return findings.problem("server", f"The server at {where} fails: {error.message}", "Look into its log.")


def socket_directory(address: str) -> Finding | None:
    """Checks that only its owner gets at the server's socket; None for a server that has none, or no directory yet."""
    if not address.startswith("unix:"):
        return None
    directory = Path(address.removeprefix("unix:").removeprefix("//")).parent
    try:
        status = directory.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.getuid():
        return findings.warning(
            "socket directory",
            f"{directory} belongs to another user",
            "Use a server of your own, unless you trust them.",
        )
    if mode & _OTHERS:
        # Never of a directory that is there for others, too, such as /tmp.
        own = (directory / "taskgrove.db").exists()
        advice = f"Run: chmod 700 '{directory}'" if own else "Serve at a socket in a directory that only you can enter."
        return findings.problem("socket directory", f"Others can enter {directory} (mode {mode:04o})", advice)
    return findings.ok("socket directory", f"{directory} is private (mode {mode:04o})")


def token_file(path: Path) -> Finding | None:
    """Checks that only its owner can read the server's token; None when there is none yet."""
    try:
        status = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        advice = f"Run: chmod 600 '{path}', and taskgroved --rotate-token if others are on this machine."
        return findings.problem("token", f"Others can read {path} (mode {mode:04o})", advice)
    return findings.ok("token", f"{path} is private (mode {mode:04o})")
