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
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from taskgrove_server.worktrees import git_python
from taskgrove_server.worktrees.environment import UNATTENDED, without_foreign

#: Settings of the user's that would hang or break an unattended command, fill stderr, or have a command do another
#: thing than it does without them.
_SETTINGS = (
    "add.ignoreErrors=false",
    "color.ui=false",
    "core.hooksPath=/dev/null",
    # A program that says which files have changed: one that fails or is mistaken leaves work out of commits.
    "core.fsmonitor=false",
    # Has each file that git writes taken for unchanged from then on.
    "core.ignoreStat=false",
    "commit.gpgSign=false",
    "diff.orderFile=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    "pull.twohead=ort",  # the strategy of merges too: with "ours" there is no fast-forward
    "submodule.recurse=false",
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


@dataclass(frozen=True, slots=True)
class Heard:
    """What a command printed and said; `status` is 0 when it succeeded."""

    status: int
    output: str
    errors: str

    @property
    def words(self) -> str:
        """Returns what it said in the end, without credentials."""
        return _words(os.fsencode(self.errors + self.output))


class Git:
    """Runs git commands, each for at most `timeout` seconds, with `environment` on top of the server's.

    Of the server's GIT_* variables, commands get those that set this machine's git up, and those that `passed`
    names; a name that ends in `*` is a prefix. None that leads to another repository is among them. `settings` are
    such that hold for commands in a directory and below it, by directory.
    """

    def __init__(
        self,
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        passed: Sequence[str] = (),
        settings: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._timeout = timeout
        self._environment = {**UNATTENDED, **(environment or {})}
        self._passed = tuple(passed)
        self._settings = dict(settings or {})
        #: The commands that run, with the identifiers of the threads that started them.
        self._running: dict[subprocess.Popen[bytes], int] = {}
        #: When those of them that were interrupted were so first, by the monotonic clock.
        self._interrupted: dict[subprocess.Popen[bytes], float] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ends the commands that run, and refuses further ones: they raise GitFailed."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _signal(process, signal.SIGTERM)

    def interrupt(self, thread: int) -> None:
        """Ends the command that a thread runs, if it runs one: its call raises GitFailed.

        Called again, it kills one that does not heed that.
        """
        with self._lock:
            for process, starter in self._running.items():
                if starter == thread:
                    first = self._interrupted.get(process)
                    if first is None:
                        self._interrupted[process] = time.monotonic()
                        _signal(process, signal.SIGTERM)
                    elif time.monotonic() - first >= _GRACE:
                        _signal(process, signal.SIGKILL)

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

    def warnings(self, directory: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Returns what a command that succeeds says on standard error; raises GitFailed."""
        status, output, errors = self._run(directory, arguments, environment=environment)
        if status:
            raise _failed(arguments, status, errors + output)
        return errors.decode(errors="replace")

    def raw(self, directory: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Returns what a command prints, byte by byte; raises GitFailed."""
        status, output, errors = self._run(directory, arguments, stdin=stdin)
        if status:
            raise _failed(arguments, status, errors or output)
        return output

    def hear(self, directory: str, *arguments: str) -> Heard:
        """Returns what a command prints and says, also when it fails; raises GitFailed when it is stopped."""
        status, output, errors = self._run(directory, arguments)
        if status < 0:
            raise _failed(arguments, status, errors)
        return Heard(status, os.fsdecode(output), os.fsdecode(errors))

    def lines(self, directory: str, *arguments: str) -> Iterator[bytes]:
        """Yields the lines that a command prints, as it prints them; raises GitFailed.

        The time limit holds for the whole. Leaving the iteration ends the command.
        """
        with self._start(directory, arguments) as process, self._among_running(process):
            words: list[bytes] = []
            # Read beside its output, or git waits once the pipe is full.
            listening = threading.Thread(target=lambda: words.append(process.stderr.read() if process.stderr else b""))
            deadline = threading.Timer(self._timeout, _signal, (process, signal.SIGKILL))
            try:
                listening.start()
                deadline.start()
                if process.stdout is not None:
                    yield from process.stdout
                status = process.wait()
            finally:
                deadline.cancel()
                if process.poll() is None:
                    _stop(process)
                if listening.ident is not None:
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
        own = {**self._environment, **(environment or {})}
        if not discover:
            own["GIT_CEILING_DIRECTORIES"] = str(PurePath(directory).parent)
        held = (one for top, some in self._settings.items() if PurePath(directory).is_relative_to(top) for one in some)
        settings = [part for setting in (*_SETTINGS, *held) for part in ("-c", setting)]
        # -C and not a working directory: GitPython takes the server's own when the one asked for is missing.
        argv = [*without_foreign(own, self._passed), "git", "-C", directory, *settings, *arguments]
        try:
            # A session of its own: no terminal to prompt on, no Ctrl-C meant for the server, filters die with git.
            started: Any = git_python.Git().execute(
                argv,
                as_process=True,
                start_new_session=True,
                env=own,
                istream=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            )
        except (git_python.GitCommandNotFound, OSError) as error:
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
                self._interrupted.pop(process, None)

    def ask(self, directory: str, *arguments: str) -> str | None:
        """As a call, but returns None for status 1, with which git's quiet questions say no."""
        try:
            return self(directory, *arguments)
        except GitFailed as failure:
            if failure.status == 1:
                return None
            raise


def rows(output: str) -> list[str]:
    """Returns the lines of what a command printed: a name may hold what str.splitlines takes for the end of one."""
    return output.removesuffix("\n").split("\n") if output else []


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
