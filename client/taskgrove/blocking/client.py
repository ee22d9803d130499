"""The blocking client, put together from its parts."""

from __future__ import annotations

from taskgrove.blocking.events import EventCalls
from taskgrove.blocking.servers import ServerCalls
from taskgrove.blocking.task_lists import TaskListCalls
from taskgrove.blocking.tasks import TaskCalls
from taskgrove.blocking.worktrees import WorktreeCalls


class Client(TaskCalls, TaskListCalls, WorktreeCalls, EventCalls, ServerCalls):
    """Talks to one server, over one connection that all threads may share.

    `target` is an address in gRPC's notation, such as "unix:/run/user/1000/taskgroved.sock" or "localhost:50051".
    None means $TASKGROVE_TARGET, else the Unix socket in the default data directory. `token` None means
    $TASKGROVE_TOKEN, else the token file of the default data directory for a TCP target on this machine.
    `tls` True or a Tls encrypts the connection; None means what $TASKGROVE_TLS_CA, _CERT, _KEY and _SERVER_NAME say,
    False never. Raises ValueError when the token would go to another machine unencrypted.
    `timeout` bounds each call that is answered at once, `work_timeout` each for which git works in a repository: those
    about worktrees, and delete_task. Both are in seconds; what streams has no bound.

    Every method raises a TaskgroveError where the call fails, and repeats a call that it can safely repeat when the
    server is unavailable for a moment.
    """
