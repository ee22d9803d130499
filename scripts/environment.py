"""Makes a virtual environment and installs into it, or says the one command that helps where something is missing.

    environment.py VENV PIP_INSTALL_ARGUMENTS...

Each further argument is what one `pip install` gets. What has been made is marked by the file `.ready`. One that was
not finished, because it was killed or the disk was full, is removed and made anew; one that is only brought up to date
stays when that fails. Any Python 3 can read this program, so that one that is too old is told so.
"""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Mapping, NamedTuple, Sequence  # noqa: UP035 - Python 3.8 has no others

PYTHON = (3, 11)
GIT = (2, 38)

#: In an environment that is being made or changed.
UNFINISHED = ".unfinished"
READY = ".ready"


class Lack(NamedTuple):
    """Something that this machine lacks: a sentence, the package of Debian that has it, and what else would do."""

    sentence: str
    package: str = ""
    otherwise: str = ""


class Failed(Exception):
    """The environment could not be made; the message says why."""


def main() -> int:
    """Makes the environment; returns the exit status."""
    venv, installs = Path(sys.argv[1]), [shlex.split(words) for words in sys.argv[2:]]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    found = lacks()
    if found:
        print(advice(found), file=sys.stderr)
        return 1
    print(f"Setting up {venv} (once; about a minute, mostly downloads)", flush=True)
    try:
        _make(venv, installs)
    except KeyboardInterrupt:
        print(f"\nInterrupted: {_left(venv)}", file=sys.stderr)
        return 130
    except (OSError, Failed) as error:
        print(
            f"{venv} could not be set up: {error}\nOnce that is mended, run make again: {_left(venv)}", file=sys.stderr
        )
        return 1
    return 0


def lacks() -> list[Lack]:
    """Returns what this machine lacks."""
    return [lack for lack in (_git(), _python()) if lack]


def advice(found: Sequence[Lack]) -> str:
    """Returns what is missing, and the one command that brings it."""
    lines = [lack.sentence for lack in found]
    packages = " ".join(lack.package for lack in found if lack.package)
    if packages and shutil.which("apt-get"):
        lines.append(f"Run: {'' if os.geteuid() == 0 else 'sudo '}apt install {packages}")
    lines += [lack.otherwise for lack in found if lack.otherwise]
    return "\n".join(lines)


def _git() -> Lack | None:
    program = shutil.which("git")
    if program is None:
        return Lack("Taskgrove needs git 2.38 or newer, and there is none on PATH.", "git")
    said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=False).stdout.decode(errors="replace")
    version = re.search(r"(\d+)\.(\d+)", said)
    if version and (int(version[1]), int(version[2])) < GIT:
        return Lack(f"Taskgrove needs git 2.38 or newer, and {program} says: {said.strip()}.")
    return None


def _python() -> Lack | None:
    version = sys.version_info[:2]
    if version < PYTHON:
        name = f"{sys.executable or 'python3'} is {sys.version.split()[0]}"
        return Lack(f"Taskgrove needs Python 3.11 or newer, and {name}. Where there is a newer one: make PYTHON=...")
    if _has("ensurepip") or _has("pip") or shutil.which("uv"):
        return None
    # Debian has the package python3-venv for its own Python, and one with a number for each other.
    name = "python3" if Path(sys.executable).name == "python3" else f"python{version[0]}.{version[1]}"
    return Lack(
        f"{sys.executable} comes without ensurepip, by which pip gets into a virtual environment.",
        f"{name}-venv",
        "Or have uv on PATH, which does without it.",
    )


def _make(venv: Path, installs: Sequence[Sequence[str]]) -> None:
    _clear_away(venv)
    is_new = not venv.exists()
    try:
        venv.mkdir(parents=True, exist_ok=True)
        (venv / UNFINISHED).touch()
        if is_new:
            _create(venv)
        for words in installs:
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, *words])
        # In this order: killed in between, it installs again what is there.
        (venv / UNFINISHED).unlink()
        (venv / READY).touch()
    except BaseException:
        if is_new:
            shutil.rmtree(str(venv), ignore_errors=True)
        elif (venv / UNFINISHED).exists():
            # pip has put back what it was replacing.
            (venv / UNFINISHED).unlink()
        raise


def _clear_away(venv: Path) -> None:
    """Removes an environment that was begun and not finished."""
    if not venv.exists():
        return
    is_environment = (venv / "pyvenv.cfg").exists() or (venv / UNFINISHED).exists()
    if not is_environment and any(venv.iterdir()):
        raise Failed(f"{venv} is there already and is no virtual environment. Name another: make VENV=...")
    if (venv / UNFINISHED).exists() or not _answers([str(venv / "bin" / "python"), "-m", "pip", "--version"]):
        print(f"{venv} was not finished: it is made anew.", file=sys.stderr)
        shutil.rmtree(str(venv))


def _create(venv: Path) -> None:
    python = str(venv / "bin" / "python")
    if _has("ensurepip"):
        _run([sys.executable, "-m", "venv", str(venv)])
        return
    _run([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    if _has("pip"):
        _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "pip"])
    else:
        given = _configured(os.environ)
        certificates = {"SSL_CERT_FILE": given["cert"]} if "cert" in given else {}
        options = [word for name in INDEXES for url in given.get(name, "").split() for word in (f"--{name}", url)]
        if given.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
            options.append("--no-index")
        _run(["uv", "pip", "install", "--quiet", "--python", python, *options, "pip"], {**certificates, **os.environ})


#: Options of pip's that uv has as well, while it reads none of pip's configuration; each may have several values.
INDEXES = ("index-url", "extra-index-url", "find-links")


def _configured(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Returns where pip takes packages from on this machine, as its files and variables say; nothing for uv's own."""
    if any(name in environment for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE")):
        return {}
    home = Path("~").expanduser()
    shared = (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    own = environment.get("XDG_CONFIG_HOME") or home / ".config"
    files = [*(Path(place, "pip", "pip.conf") for place in shared), Path("/etc/pip.conf")]
    files += [home / ".pip" / "pip.conf", Path(own, "pip", "pip.conf")]
    parser = configparser.RawConfigParser(strict=False)
    parser.read([*files, environment.get("PIP_CONFIG_FILE", os.devnull)], encoding="utf-8")
    given: dict[str, str] = {}
    for name in (*INDEXES, "no-index", "cert"):
        for section in ("global", "install"):
            if parser.has_option(section, name):
                given[name] = parser.get(section, name)
        variable = environment.get("PIP_" + name.upper().replace("-", "_"))
        if variable:
            given[name] = variable
    return given


def _run(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    # Where people have pip install for their user as a rule, it refuses to install into a virtual environment.
    status = subprocess.run(command, env={**environment, "PIP_USER": "0"}, check=False).returncode
    if status:
        raise Failed(f"{shlex.join(command)} ended with status {status}.")


def _answers(command: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
        )
    except OSError:
        return False


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _left(venv: Path) -> str:
    return f"{venv} is as it was before." if venv.exists() else "nothing of it is left."


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
