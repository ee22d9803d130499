"""What a supervisor is told to do."""

from __future__ import annotations

import marshal


class Orders:
    """An agent to start, and how to stop it.

    No dataclass, and no JSON: importing those would double the time to an agent's start. Both sides of the
    file are the same interpreter, and marshal keeps bytes as they are.

    When the package is upgraded under a server, its supervisors are of the new version and their orders are not: what
    came later has a default, and what is not known is passed over.
    """

    __slots__ = (
        "argv",
        "directory",
        "environment",
        "interrupt",
        "keep_stdin_open",
        "ladder",
        "least_free",
        "log_limit",
        "log_path",
        "run_id",
        "stdin",
        "sweep_grace",
    )

    def __init__(
        self,
        *,
        run_id: str,
        argv: list[bytes],
        environment: dict[bytes, bytes],
        directory: bytes,
        log_path: bytes,
        stdin: bytes,
        keep_stdin_open: bool,
        interrupt: bytes,
        ladder: list[tuple[str, float]],
        sweep_grace: float,
        log_limit: int = 1 << 30,
        least_free: int = 0,
    ) -> None:
        self.run_id = run_id
        self.argv = argv
        self.environment = environment
        self.directory = directory
        self.log_path = log_path
        self.log_limit = log_limit
        self.least_free = least_free
        self.stdin = stdin
        self.keep_stdin_open = keep_stdin_open
        self.interrupt = interrupt
        self.ladder = ladder
        self.sweep_grace = sweep_grace

    def encode(self) -> bytes:
        """Returns the orders as bytes."""
        return marshal.dumps({name: getattr(self, name) for name in self.__slots__}, 4)

    @classmethod
    def decode(cls, data: bytes) -> Orders:
        """Returns the orders that were encoded."""
        values = marshal.loads(data)  # noqa: S302 - the file is the server's own, in a directory of mode 0700
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})
