"""How many files the server may have open, and how many watchers that is enough for."""

from __future__ import annotations

import resource

#: Open files that the server has besides its slots and its watchers: its listener, epoll and the database 20, a
#: connection to the database for each of 20 threads (3 each), pipes of git for 12 of them (6 each), logs that are read
#: for others, and the connections of callers who do not watch.
BESIDES = 256

#: Open files of a slot at work: its log, its mailbox, its supervisor's lock and exit, a connection to the database,
#: and the pipes of git or of a program that is started.
A_SLOT = 16

#: Open files of a watcher: its log, and its connection, which others may share. A watcher of the feed, or of a task
#: that has no line yet, has no log open, but may have one later.
A_WATCHER = 2


def wanted(watchers: int, slots: int) -> int:
    """Returns how many open files are enough for all."""
    return BESIDES + A_SLOT * slots + A_WATCHER * watchers


def most_watchers(asked: int, files: int, slots: int) -> int:
    """Returns how many watchers are served when the system grants `files` open files; at least one.

    They get a quarter of the files even where all else may need more than the rest: what is reserved for that is
    hardly ever used at once.
    """
    spare = max(files - BESIDES - A_SLOT * slots, files // 4)
    return max(1, min(asked, spare // A_WATCHER))


def raise_limit(enough: int) -> int:
    """Has the system grant as many open files as it does, and returns their number.

    A hard limit that is a number is asked for whole. Where there is none, as on macOS, the kernel has a bound that it
    does not tell, and refuses what is above: `enough` is asked for, then less.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = enough if soft == resource.RLIM_INFINITY else soft
    least = 0 if soft == resource.RLIM_INFINITY else soft
    files = enough if hard == resource.RLIM_INFINITY else hard
    while files > least:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        except (ValueError, OSError):
            files //= 2
        else:
            return files
    return granted
