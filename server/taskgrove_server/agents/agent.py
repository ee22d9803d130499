"""What an agent backend is: it turns a run into a process, and the process's lines into an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.ids import SessionId
from taskgrove_server.domain.run import Outcome


class LaunchRefused(Exception):
    """The run cannot be started as it is configured; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a backend needs to know to start a run."""

    prompt: str
    #: Resolved: the agent is named, defaults are filled in where domain.config has them.
    config: RunConfig
    session_id: SessionId
    #: The session exists already and is to be resumed.
    resumes: bool
    #: The agent's current directory: a worktree, a directory in one, or a sandbox.
    directory: str
    #: The repository that the list names; relative agent paths start there. None for sandboxes.
    working_dir: str | None
    #: A directory of the run's own, outside `directory`, in which the backend may put files.
    run_directory: str
    #: The environment of the server, of which a backend passes on only what it lists.
    environment: Mapping[str, str]
    #: The top of the worktree, all of which the agent may work on. None for sandboxes.
    worktree: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    #: What the process reads first.
    stdin: bytes
    #: Standard input stays open until the parser says `done`, for protocols that go both ways.
    keep_stdin_open: bool = False
    #: What asks the agent, over standard input, to stop; the first rung of the ladder. Empty: there is none.
    interrupt: bytes = b""
    #: The model that was asked for in the end; None when the agent has none.
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How the process ended."""

    #: As a shell shows it: 128 + n for signal n. None when nobody saw it end.
    code: int | None
    #: The last 64 KiB of standard error, decoded with replacement.
    stderr: str = ""
    #: Why the runner stopped the process, if it did: then this is the run's failure.
    stopped_for: Failure | None = None
    #: Why the log lacks what the process printed last, if it does: the run's failure unless a result came before.
    cut_off: Failure | None = None
    cancelled: bool = False


@dataclass(slots=True)
class Progress:
    """What a parser has learned so far that the runner acts upon while the process is running."""

    #: A final result was read: standard input may be closed, and the process should end by itself. Goes back to
    #: False when the agent begins a further turn of its own accord.
    done: bool = False
    #: The run cannot succeed any more, for instance because its key is refused: stop the process.
    hopeless: Failure | None = None
    #: Tools that have been started and not ended.
    running_tools: set[str] = field(default_factory=set[str])
    #: The model, or the program, has really answered: credentials and limits are fine.
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an agent can do; the fields mean what server_service.proto says."""

    sessions: bool
    models: bool
    structured_output: bool
    usage: bool
    interrupts: bool


@dataclass(frozen=True, slots=True)
class Installation:
    """An agent as it is installed here: where its program is, or why it cannot be started and what to do."""

    path: str | None = None
    problem: str | None = None
    #: What to run, and with which environment, in order to be told the version; empty when there is none to tell.
    version_argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class Parser(Protocol):
    """Reads the lines of one run, in order. Lines that it does not know are none of its business."""

    progress: Progress

    def feed(self, line: bytes) -> None:
        """Takes one line, with its newline. Never raises for what an agent may print."""
        ...

    def finish(self, exit: Exit) -> Outcome:  # noqa: A002 - the field's word
        """Returns how the run ended, after the last line."""
        ...


class Agent(Protocol):
    """A backend. It has no state of its own: everything about a run is in the request and the parser."""

    name: str
    capabilities: Capabilities

    def find(self, environment: Mapping[str, str]) -> Installation:
        """Tells how the agent is installed, given the environment of the server."""
        ...

    def launch(self, request: LaunchRequest) -> Launch:
        """Returns the process of a run; raises LaunchRefused when the run cannot be started."""
        ...

    def parser(self, *, session_id: SessionId, structured: bool, session_cost_usd: float) -> Parser:
        """Returns a parser for a run's lines.

        `structured` tells that the run's config has an output schema; `session_cost_usd` is what the session
        had cost before this run.
        """
        ...
