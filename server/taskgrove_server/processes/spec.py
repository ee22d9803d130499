"""What the server asks for: a process to start, and how to stop it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from taskgrove_server.domain.ids import RunId
from taskgrove_server.processes import supervising
from taskgrove_server.processes.orders import Orders


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a stop: `step` is "interrupt" or a signal's name, `grace` the seconds until the next step."""

    step: str
    grace: float


#: Stops an agent that can be asked over its standard input, where it still ends its tools and says its result.
ASK_FIRST = (Rung(supervising.INTERRUPT, 3), Rung("SIGINT", 5), Rung("SIGTERM", 5))

#: Stops any other program: SIGTERM is what programs expect.
TERMINATE = (Rung("SIGTERM", 5),)


@dataclass(frozen=True, slots=True)
class Spec:
    """A process to start. Nothing of it stays on disk once the process has been started."""

    run_id: RunId
    argv: tuple[str, ...]
    #: All of the process's environment but the marker, which is added.
    environment: Mapping[str, str] = field(repr=False)
    #: The process's current directory.
    directory: str
    #: The process's output is appended to this file, which is created with mode 0600 if it does not exist.
    log_path: str
    #: What the process reads first.
    stdin: bytes = field(default=b"", repr=False)
    #: Standard input stays open after that, for Supervised.send.
    keep_stdin_open: bool = False
    #: What asks the process, over standard input, to stop. Empty: it cannot be asked.
    interrupt: bytes = b""
    #: The steps of a stop before SIGKILL; by default ASK_FIRST or TERMINATE.
    ladder: tuple[Rung, ...] | None = None
    #: Seconds that processes which the agent left behind get between SIGTERM and SIGKILL.
    sweep_grace: float = 1.0

    def orders(self) -> Orders:
        """Returns what the supervisor is told; raises ValueError if there is no program to start."""
        if not self.argv:
            raise ValueError(f"Run {self.run_id} names no program to start: argv is empty.")
        ladder = self.ladder if self.ladder is not None else ASK_FIRST if self.interrupt else TERMINATE
        return Orders(
            run_id=self.run_id,
            argv=[os.fsencode(argument) for argument in self.argv],
            environment={os.fsencode(name): os.fsencode(value) for name, value in self.environment.items()},
            directory=os.fsencode(self.directory),
            log_path=os.fsencode(self.log_path),
            stdin=self.stdin,
            keep_stdin_open=self.keep_stdin_open,
            interrupt=self.interrupt,
            ladder=[(rung.step, rung.grace) for rung in ladder],
            sweep_grace=self.sweep_grace,
        )
