"""The fork server's program: forks a supervisor for each run directory that it is told.

Its standard input is a socket. Each message is the path of a run directory, and comes with two descriptors: on the
first the supervisor answers once it holds the directory's lock, the second it keeps open while it lives. When the
socket closes, the server is gone, and so goes this process; the supervisors stay.

It has one thread, since a fork takes no other along, and keeps nothing open but its standard streams, since the
supervisors would inherit it.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys

from taskgrove_server.processes import files, launching

#: Bytes of the longest message. No path is as long.
_LONGEST = 1 << 16


def serve() -> None:
    """Forks until the server is gone."""
    launching.set_name("fork server")
    # For launching, which imports it late.
    importlib.import_module("taskgrove_server.processes.supervising")
    # The kernel reaps the supervisors: nobody asks for their exit codes.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # A look for garbage would write to each object, and so copy the memory that is shared.
    gc.collect()
    gc.freeze()
    channel = socket.socket(fileno=0)
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(channel, _LONGEST, 2, socket.MSG_CMSG_CLOEXEC)
        if not message:
            os._exit(0)
        # Where descriptors are short, not all have come.
        if len(descriptors) == 2:
            _fork(os.fsdecode(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _fork(run_directory: str, answer: int, alive: int) -> None:
    try:
        process = os.fork()
    except OSError:
        return  # the server notices that nobody answers
    if process == 0:
        try:
            _supervise(run_directory, answer, alive)
        except BaseException as error:  # noqa: BLE001 - whatever it is, a second fork server is not to come of it
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            os._exit(1)


def _supervise(run_directory: str, answer: int, alive: int) -> None:
    os.setsid()
    # Or the kernel would reap the agent as well.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    stderr = os.open(f"{run_directory}/{files.STDERR}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for ours, standard in ((null, 0), (alive, 1), (stderr, 2)):
        os.dup2(ours, standard)
        os.close(ours)
    launching.main(run_directory, answer)
