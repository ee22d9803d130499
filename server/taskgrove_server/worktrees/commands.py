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
from collections.abc import Generator, Iterator, Mapping, Sequence
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
    # A git directory stands in for a checkout that is gone, and is only ever given as such.
    "safe.bareRepository=all",
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
        #: The commands that run, with the identifiers of the threads that started them.
        self._running: dict[subprocess.Popen[bytes], int] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ends the commands that run, and refuses further ones: they raise GitFailed."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _signal(process, signal.SIGTERM)

    def interrupt(self, thread: int) -> None:
        """Ends the command that a thread runs, if it runs one: its call raises GitFailed."""
        with self._lock:
            for process, starter in self._running.items():
                if starter == thread:
                    _signal(process, signal.SIGTERM)

    def __call__(
        self,
        directory: str,
        *arguments: str,
        discover: bool = False,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> str:
        """Returns what a command prints, without the last newline; raises GitFailed.

        The repository must be `directory` itself: one that encloses it is found only with `discover`, so that
        nothing is ever done to a repository further up. `environment` comes on top of that of all commands.
        """
        status, output, errors = self._run(directory, arguments, discover, environment, stdin)
        if status:
            raise _failed(arguments, status, errors or output)
        return os.fsdecode(output).removesuffix("\n")

    def outcome(self, directory: str, *arguments: str) -> tuple[int, str]:
        """Returns the status, 0 or 1, and what was printed; raises GitFailed for any other status."""
        status, output, errors = self._run(directory, arguments)
        if status not in (0, 1):
            raise _failed(arguments, status, errors or output)
        return status, os.fsdecode(output)

    def heard(self, directory: str, *arguments: str) -> str:
        """Returns what a command says on standard error; raises GitFailed."""
        status, output, errors = self._run(directory, arguments)
        if status:
            raise _failed(arguments, status, errors + output)
        return errors.decode(errors="replace")

    def lines(self, directory: str, *arguments: str) -> Iterator[bytes]:
        """Yields the lines that a command prints, as it prints them; raises GitFailed.

        The time limit holds for the whole. Leaving the iteration ends the command.
        """
        with self._start(directory, arguments) as process, self._among_running(process):
            words: list[bytes] = []
            # Read beside its output, or git waits once the pipe is full.
            listening = threading.Thread(target=lambda: words.append(process.stderr.read() if process.stderr else b""))
            deadline = threading.Timer(self._timeout, _signal, (process, signal.SIGKILL))
            listening.start()
            deadline.start()
            try:
                if process.stdout is not None:
                    yield from process.stdout
                status = process.wait()
            finally:
                deadline.cancel()
                if process.poll() is None:
                    _stop(process)
                listening.join()
            if status:
                raise _failed(arguments, status, words[0])

    def _run(
        self,
        directory: str,
        arguments: Sequence[str],
        discover: bool = False,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> tuple[int, bytes, bytes]:
        started = self._start(directory, arguments, discover=discover, environment=environment, stdin=stdin)
        with started as process, self._among_running(process):
            try:
                output, errors = process.communicate(stdin, timeout=self._timeout)
            except BaseException as error:
                _stop(process)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise GitFailed(
                        f"'git {_name(arguments)}' did not finish within {self._timeout:g} seconds and was stopped."
                    ) from error
                raise
        return process.returncode, output, errors

    def _start(
        self,
        directory: str,
        arguments: Sequence[str],
        *,
        discover: bool = False,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> subprocess.Popen[bytes]:
        variables = {**self._environment, **(environment or {})}
        if not discover:
            variables["GIT_CEILING_DIRECTORIES"] = str(PurePath(directory).parent)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        # -C and not a working directory: GitPython takes the server's own when the one asked for is missing.
        argv = [*_without_foreign(variables), "git", "-C", directory, *settings, *arguments]
        try:
            # A session of its own: no terminal to prompt on, no Ctrl-C meant for the server, filters die with git.
            started: Any = git.Git().execute(
                argv,
                as_process=True,
                start_new_session=True,
                env=variables,
                istream=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            )
        except (git.GitCommandNotFound, OSError) as error:
            raise GitFailed(f"git could not be started: {error}") from error
        process: subprocess.Popen[bytes] = started.proc
        # GitPython's own object ends the process when nobody holds it any more.
        started.proc = None
        return process

    @contextmanager
    def _among_running(self, process: subprocess.Popen[bytes]) -> Generator[None]:
        with self._lock:
            self._running[process] = threading.get_ident()
            if self._stopped:
                _signal(process, signal.SIGTERM)
        try:
            yield
        finally:
            with self._lock:
                del self._running[process]

    def ask(self, directory: str, *arguments: str) -> str | None:
        """As a call, but returns None for status 1, with which git's quiet questions say no."""
        try:
            return self(directory, *arguments)
        except GitFailed as failure:
            if failure.status == 1:
                return None
            raise


def _failed(arguments: Sequence[str], status: int, words: bytes) -> GitFailed:
    return GitFailed(_words(words) or f"'git {_name(arguments)}' ended with status {status}.", status)


def _name(arguments: Sequence[str]) -> str:
    """Returns the command among arguments, before which there may be settings and options."""
    values = iter(arguments)
    for value in values:
        if value == "-c":
            next(values)
        elif not value.startswith("-"):
            return value
    return ""


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
