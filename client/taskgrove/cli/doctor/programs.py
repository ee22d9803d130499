"""Checks of what has to be installed: Python, packages, git, the agent, an editor."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from taskgrove.cli import asking
from taskgrove.cli.doctor import findings
from taskgrove.cli.doctor.findings import Finding

_PYTHON = (3, 11)

#: The floors of pyproject.toml, which an installation that mixes sources may miss.
PACKAGES = {"grpcio": (1, 80, 1), "protobuf": (6, 31, 1), "click": (8, 1), "rich": (13, 7)}

#: Landing needs `git merge-tree --write-tree`.
_GIT = (2, 38)


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Checks the Python that runs this program."""
    found = f"Python {_dotted(version)} on {platform.system()}"
    if version < _PYTHON:
        return findings.problem("python", found, f"Install Python {_dotted(_PYTHON)} or newer.")
    return findings.ok("python", found)


def package(name: str) -> Finding:
    """Checks that a package which this program needs is new enough."""
    floor = PACKAGES[name]
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        installed = ""
    if not installed or _version(installed) < floor:
        found = f"{name} {installed} is too old" if installed else f"{name} is not installed"
        return findings.problem(name, found, f"Install Taskgrove anew, which brings {name} {_dotted(floor)} or newer.")
    return findings.ok(name, f"{name} {installed}")


def server_program() -> Finding:
    """Checks that this machine can start a server."""
    beside = Path(sys.executable).with_name("taskgroved")
    found = str(beside) if beside.is_file() else shutil.which("taskgroved")
    if found is None:
        return findings.warning(
            "taskgroved",
            "taskgroved is not installed, so that `run` cannot start a server for itself",
            "Install Taskgrove with its extra 'server', as in: pipx install --force '.[cli,server]'",
        )
    return findings.ok("taskgroved", f"taskgroved at {found}")


def git() -> Finding:
    """Checks that git is there, and new enough to land work without a checkout."""
    path = shutil.which("git")
    if path is None:
        return findings.problem("git", "git is not on PATH", "Install git 2.38 or newer.")
    said = said_by(path, "--version")
    if said is None:
        return findings.problem("git", f"{path} does not tell its version", "Try: git --version")
    return too_old_git("git", said) or findings.ok("git", f"{said} at {path}")


def too_old_git(name: str, said: str) -> Finding | None:
    """Returns what is wrong with a version of git, such as "git version 2.34.1"; None when it can do all."""
    if _version(said) >= _GIT:
        return None
    advice = f"Install {_dotted(_GIT)} or newer: `land` needs its merge-tree --write-tree."
    return findings.problem(name, f"{said} is too old", advice)


def claude(environment: Mapping[str, str]) -> Finding:
    """Checks that Claude Code is there, where the server would look for it if it had this environment."""
    name = environment.get("TASKGROVE_CLAUDE") or "claude"
    path = shutil.which(name, path=environment.get("PATH"))
    if path is None:
        return findings.warning(
            "claude",
            f"Claude Code ({name}) is not on PATH",
            "Install it and log in, or name it with TASKGROVE_CLAUDE; the agent 'command' works without it.",
        )
    said = said_by(path, "--version")
    if said is None:
        return findings.problem("claude", f"{path} does not tell its version", f"Try: {name} --version")
    return findings.ok("claude", f"{said} at {path}")


def editor(environment: Mapping[str, str]) -> Finding:
    """Checks that `edit` has an editor."""
    for name in ("VISUAL", "EDITOR"):
        if chosen := environment.get(name):
            return findings.ok("editor", f"{name} is {chosen}")
    if shutil.which("vi", path=environment.get("PATH")):
        advice = "To have another, set EDITOR."
        return findings.warning("editor", "Neither VISUAL nor EDITOR is set, so that `edit` opens vi", advice)
    return findings.warning("editor", "Neither VISUAL nor EDITOR is set, and there is no vi", "For `edit`, set EDITOR.")


def said_by(program: str, *arguments: str) -> str | None:
    """Returns the first line that a program prints; None when it fails, or takes too long."""
    try:
        answer = asking.ask([program, *arguments])
    except OSError:
        return None
    return next(iter(answer.output.splitlines()), None) if answer is not None and answer.status == 0 else None


def _version(text: str) -> tuple[int, ...]:
    """Returns the first version in a text; an empty one when there is none, which is older than any."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
