"""What lies in the directory of a run, and what the server and the supervisor have to agree on.

Imports next to nothing, as it is read on the way to an agent's start: see launching.
"""

from __future__ import annotations

import os

#: Locked by the supervisor for as long as it lives; holds its process id and the id of the run. A server that
#: gives a run up takes the lock first, so that a supervisor that comes late starts nothing.
LOCK = "lock"

#: The supervisor's orders, which hold the agent's environment and prompt. Gone as
#: soon as the agent may have been started.
ORDERS = "orders"

#: A FIFO of messages to the supervisor, a line of JSON each: see supervising.
CONTROL = "control"

#: The end of the agent's standard error; or the supervisor's own last words, if it failed.
STDERR = "stderr"

#: The agent's process id and start time, for a person who looks.
AGENT = "agent.json"

#: When the agent was started and when it last printed: see times.
TIMES = "times"

#: How the agent ended.
EXIT = "exit.json"

#: What becomes EXIT. Written with blanks before the agent starts, so that there is room for its end when the disk is
#: full.
NEW_EXIT = "exit.json.new"

#: The room that is kept for EXIT, in bytes.
EXIT_SIZE = 4096

#: How much is kept of standard error, in bytes.
STDERR_LIMIT = 64 * 1024

#: The variable in the environment of an agent, and so of all that it starts, that tells the run.
MARKER = "TASKGROVE_RUN_ID"


def write_private(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a new file that only its owner can read."""
    with open(path, "xb", opener=_private) as file:
        file.write(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
