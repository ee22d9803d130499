"""Runs git through GitPython, in the same way on every machine.

GitPython's `Git` is what `Repo.git` is. It is used without a `Repo`, which would read GIT_DIR by itself and keep
`git cat-file` processes that somebody has to close.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import Any

import git

#: Of the server's own GIT_* variables these say how this machine's git is set up. All others, such as GIT_DIR or
#: GIT_INDEX_FILE of a hook that started the server, would lead git to another repository.
_KEPT = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_HTTP_", "GIT_PROXY_SSL_", "GIT_SSH", "GIT_SSL_")

#: Nobody is there to answer: an empty GIT_ASKPASS also rules out core.askPass and SSH_ASKPASS.
_UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_EDITOR": "true"}

#: Settings of the user's that would hang or break an unattended command, or fill stderr.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "checkout.workers=0",  # one for each core: a checkout of 50,000 files takes 1.4 times as long with one in all
    # With fewer files, starting the workers takes longer than they save.
    "checkout.thresholdForParallelism=1000",
    "core.safecrlf=false",
    "i18n.commitEncoding=utf-8",
    "advice.addEmbeddedRepo=false",
)

#: Seconds between SIGTERM, at which git removes its lock files, and SIGKILL.
_GRACE = 2.0

#: The longest part of git's standard error that goes into a message, in characters.
_WORDS = 4000

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class GitFailed(Exception):
    """A git command failed, with git's own words; `status` is None when it was stopped or never started."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Git:
    """Runs git commands, each for at most `timeout` seconds, with `environment` on top of the server's."""

    def __init__(self, *, timeout: float, environment: Mapping[str, str] | None = None) -> None:
        self._timeout = timeout
        self._environment = {**_UNATTENDED, **(environment or {})}
        #: Each thread's command, by the thread's identifier.
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ends the commands that run, and refuses further ones: they raise GitFailed."""
        with self._lock:
            self._stopped = True
            for process in self._running.values():
                _signal(process, signal.SIGTERM)

    def interrupt(self, thread: int) -> None:
        """Ends the command that a thread runs, if it runs one: its call raises GitFailed."""
        with self._lock:
            if thread in self._running:
                _signal(self._running[thread], signal.SIGTERM)

    def __call__(self, directory: str, *arguments: str, discover: bool = False) -> str:
        """Returns what a command prints, without the last newline; raises GitFailed.

        The repository must be `directory` itself: one that encloses it is found only with `discover`, so that
        nothing is ever done to a repository further up.
        """
        environment = dict(self._environment)
        if not discover:
            environment["GIT_CEILING_DIRECTORIES"] = str(PurePath(directory).parent)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        # -C and not a working directory: GitPython takes the server's own when the one asked for is missing.
        argv = [*_without_foreign(environment), "git", "-C", directory, *settings, *arguments]
        try:
            # A session of its own: no terminal to prompt on, no Ctrl-C meant for the server, filters die with git.
            started: Any = git.Git().execute(argv, as_process=True, start_new_session=True, env=environment)
        except (git.GitCommandNotFound, OSError) as error:
            raise GitFailed(f"git could not be started: {error}") from error
        process: subprocess.Popen[bytes] = started.proc
        with process, self._among_running(process):
            try:
                output, errors = process.communicate(timeout=self._timeout)
            except BaseException as error:
                _stop(process)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise GitFailed(
                        f"'git {arguments[0]}' did not finish within {self._timeout:g} seconds and was stopped."
                    ) from error
                raise
        if process.returncode:
            words = _words(errors) or _words(output)
            raise GitFailed(
                words or f"'git {arguments[0]}' ended with status {process.returncode}.", process.returncode
            )
        return os.fsdecode(output).removesuffix("\n")

    @contextmanager
    def _among_running(self, process: subprocess.Popen[bytes]) -> Generator[None]:
        thread = threading.get_ident()
        with self._lock:
            self._running[thread] = process
            if self._stopped:
                _signal(process, signal.SIGTERM)
        try:
            yield
        finally:
            with self._lock:
                del self._running[thread]

    def ask(self, directory: str, *arguments: str) -> str | None:
        """As a call, but returns None for status 1, with which git's quiet questions say no."""
        try:
            return self(directory, *arguments)
        except GitFailed as failure:
            if failure.status == 1:
                return None
            raise


def _without_foreign(environment: Mapping[str, str]) -> list[str]:
    """Returns a prefix for a command line that drops variables, which GitPython can only set."""
    foreign = [
        name
        for name in os.environ
        if name.startswith("GIT_") and not name.startswith(_KEPT) and name not in environment
    ]
    return ["env", *(part for name in foreign for part in ("-u", name))] if foreign else []


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a command and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(process, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _words(output: bytes) -> str:
    text = output.decode(errors="replace").strip()
    return _CREDENTIALS.sub("***", text)[-_WORDS:]
