"""Checks of the server, and of who can get at it.

What the server itself can tell, such as which agents it has, belongs here as well, after `answer`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from taskgrove import errors
from taskgrove.cli import connecting, exits
from taskgrove.cli.doctor import findings
from taskgrove.cli.doctor.findings import Finding

#: Permissions of anybody but the owner.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

#: Seconds in which the server has to answer.
_PATIENCE = 5.0


def answer(server: connecting.Server) -> Finding:
    """Checks that a server answers at the target."""
    where = f"{server.address} (the default)" if server.is_default else server.address
    try:
        with server.connect(timeout=_PATIENCE) as client:
            next(client.list_task_lists(page_size=1), None)
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
        if server.is_default:
            return findings.warning(
                "server",
                f"No server answers at {where}",
                "Start one with: taskgroved. `run` starts one for itself.",
            )
        return findings.problem("server", f"No server answers at {where}", "Check --target or TASKGROVE_TARGET.")
    except errors.TaskgroveError as error:
        return findings.problem("server", f"The server at {where} fails: {error.message}", "Look into its log.")
    return findings.ok("server", f"A server answers at {where}")


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
        return findings.problem(
            "socket directory", f"Others can enter {directory} (mode {mode:04o})", f"Run: chmod 700 '{directory}'"
        )
    return findings.ok("socket directory", f"{directory} is private (mode {mode:04o})")


def token_file(path: Path) -> Finding | None:
    """Checks that only its owner can read the server's token; None when there is none yet."""
    try:
        status = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        advice = (
            f"Run: chmod 600 '{path}', then remove the file and start the server again if others are on this machine."
        )
        return findings.problem("token", f"Others can read {path} (mode {mode:04o})", advice)
    return findings.ok("token", f"{path} is private (mode {mode:04o})")
