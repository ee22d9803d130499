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


@dataclass(frozen=True, slots=True)
class Graces:
    """The seconds that a process gets after each step of a stop, and what it left behind between two signals."""

    interrupt: float = 3.0
    sigint: float = 5.0
    sigterm: float = 5.0
    sweep: float = 1.0

    def ladder(self, *, asks: bool) -> tuple[Rung, ...]:
        """Returns the steps before SIGKILL.

        A process that can be asked over its standard input still ends its tools and says its result there. Any
        other one gets SIGTERM, which is what programs expect.
        """
        terminate = Rung("SIGTERM", self.sigterm)
        if not asks:
            return (terminate,)
        return (Rung(supervising.INTERRUPT, self.interrupt), Rung("SIGINT", self.sigint), terminate)


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
    #: Bytes of the log at which the process is stopped: see ProcessEnd.log_limit.
    log_limit: int = 1 << 30
    #: Bytes of the log's disk that output leaves free: with less, the process waits until there is more. 0: none.
    least_free: int = 0
    #: What the process reads first.
    stdin: bytes = field(default=b"", repr=False)
    #: Standard input stays open after that, for Supervised.send.
    keep_stdin_open: bool = False
    #: What asks the process, over standard input, to stop. Empty: it cannot be asked.
    interrupt: bytes = b""
    #: The steps of a stop before SIGKILL; by default those of Graces().
    ladder: tuple[Rung, ...] | None = None
    #: Seconds that processes which the agent left behind get between SIGTERM and SIGKILL.
    sweep_grace: float = 1.0

    def orders(self) -> Orders:
        """Returns what the supervisor is told; raises ValueError if there is no program to start."""
        if not self.argv:
            raise ValueError(f"Run {self.run_id} names no program to start: argv is empty.")
        ladder = Graces().ladder(asks=bool(self.interrupt)) if self.ladder is None else self.ladder
        return Orders(
            run_id=self.run_id,
            argv=[os.fsencode(argument) for argument in self.argv],
            environment={os.fsencode(name): os.fsencode(value) for name, value in self.environment.items()},
            directory=os.fsencode(self.directory),
            log_path=os.fsencode(self.log_path),
            log_limit=self.log_limit,
            least_free=self.least_free,
            stdin=self.stdin,
            keep_stdin_open=self.keep_stdin_open,
            interrupt=self.interrupt,
            ladder=[(rung.step, rung.grace) for rung in ladder],
            sweep_grace=self.sweep_grace,
        )
