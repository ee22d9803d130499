"""Any program as an agent: the prompt on its standard input, its output as lines, its exit code as the outcome."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskgrove_server.agents import arguments, command_stream, environment
from taskgrove_server.agents.agent import Capabilities, Installation, Launch, LaunchRefused, LaunchRequest
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import SessionId

#: Runs the program and writes its output as lines of JSON.
WRAPPER = Path(__file__).with_name("command_wrapper.py")


class Command:
    """The backend for programs.

    A program finds in its environment TASKGROVE_SESSION_ID, under which it may keep what a later run of the
    task needs, and TASKGROVE_RESUMES, which is 1 in such a later run and else 0. `pass_environment` is that
    of Claude.
    """

    name = "command"
    capabilities = Capabilities(sessions=True, models=False, structured_output=True, usage=False, interrupts=False)

    def __init__(self, pass_environment: Sequence[str] = ()) -> None:
        self._pass_environment = tuple(pass_environment)

    def find(self, environment: Mapping[str, str]) -> Installation:
        """Tells that programs can be started; which ones there are, a run's config says."""
        del environment
        return Installation()

    def launch(self, request: LaunchRequest) -> Launch:
        """Returns the process of a run; raises LaunchRefused when the config names no program, or ours is away."""
        command = request.config.command
        if not command or not (command.argv or command.shell):
            message = "The command agent has no program: set `command` in the config of the task or its list."
            raise LaunchRefused(Failure(FailureKind.INVALID_CONFIG, message))
        program = command.argv or ("/bin/sh", "-c", command.shell or "")
        arguments.check(program)
        if not WRAPPER.is_file():
            message = f"{WRAPPER} is not there: the server's package is being replaced, or was removed."
            raise LaunchRefused(Failure(FailureKind.MACHINE, message))
        return Launch(
            argv=(sys.executable, "-I", "-S", str(WRAPPER), *program),
            environment=environment.pass_on(request.environment, *self._pass_environment)
            | {
                "TASKGROVE_SESSION_ID": request.session_id,
                "TASKGROVE_RESUMES": "1" if request.resumes else "0",
            },
            stdin=request.prompt.encode(),
        )

    def parser(
        self, *, session_id: SessionId, structured: bool, session_cost_usd: float
    ) -> command_stream.CommandParser:
        """Returns a parser for a run's lines."""
        del session_cost_usd  # A program does not tell its cost.
        return command_stream.CommandParser(session_id=session_id, structured=structured)
