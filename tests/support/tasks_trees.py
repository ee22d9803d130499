"""Trees of processes that are hard to end, each for its own reason."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

#: Perl that takes leave of everything: its session, its parent and its environment; and that ignores what is polite.
_DAEMON = """
$| = 1;
sub daemon {
    return if fork;
    POSIX::setsid();
    exit if fork;
    $SIG{$_} = "IGNORE" for qw(HUP INT TERM);
    %ENV = ();
    exec "/bin/sh", "-c", "echo \\$\\$; exec sleep 1000";
}
"""

#: Perl that goes on in a new process every few milliseconds, four times over, also when it is told to end. It ends by
#: itself after a while, so that a test that fails does not leave a machine without process ids.
_STORM = """
$SIG{$_} = "IGNORE" for qw(HUP INT TERM);
my $end = time + 20;
for (1 .. 4) {
    next if fork;
    POSIX::setsid();
    while (time < $end) { fork and exit; select undef, undef, undef, 0.005 }
    exit;
}
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A program, and how many process ids it prints, a line each, before it settles down."""

    name: str
    argv: tuple[str, ...]
    pids: int


def _shell(name: str, script: str, pids: int) -> Tree:
    return Tree(name, ("/bin/sh", "-c", script), pids)


#: Ends when it is told to.
POLITE = _shell("a polite agent", "echo $$; exec sleep 1000", 1)

#: As agents start their tools.
SESSIONS = _shell(
    "tools in sessions of their own",
    "for n in 1 2 3; do setsid sh -c 'echo $$; exec sleep 1000' & done; echo $$; wait",
    4,
)

IGNORING_CHILDREN = _shell(
    "children that ignore signals",
    """
    for n in 1 2 3; do sh -c 'trap "" HUP INT TERM; echo $$; sleep 1000; sleep 1000' & done
    trap 'exit 1' TERM; echo $$; wait
    """,
    4,
)

IGNORING = _shell("an agent that ignores signals", "trap '' HUP INT TERM; echo $$; sleep 1000; sleep 1000", 1)

IGNORING_SESSIONS = _shell(
    "an agent that ignores signals, and so does its tool in a session of its own",
    "trap '' HUP INT TERM; setsid sh -c 'echo $$; exec sleep 1000' & echo $$; sleep 1000; sleep 1000",
    2,
)

DAEMONS = Tree(
    "daemons without their environment",
    ("perl", "-MPOSIX", "-e", f'{_DAEMON} daemon() for 1 .. 3; print "$$\\n"; sleep 1000;'),
    4,
)

FROZEN = _shell("an agent that is stopped", "echo $$; kill -STOP $$; sleep 1000", 1)

STORM = Tree(
    "children that fork on and on",
    ("perl", "-MPOSIX", "-e", f'$| = 1; unless (fork) {{ {_STORM}; exit }} print "$$\\n"; sleep 1000;'),
    1,
)

#: As STORM, but nothing in an environment tells whose they are.
BARE_STORM = Tree(
    "children that fork on and on, without their environment",
    (
        "perl",
        "-MPOSIX",
        "-e",
        '$| = 1; unless (fork) { %ENV = (); exec "perl", "-MPOSIX", "-e", @ARGV } print "$$\\n"; sleep 1000;',
        _STORM,
    ),
    1,
)

TREES = (POLITE, SESSIONS, IGNORING_CHILDREN, IGNORING, IGNORING_SESSIONS, DAEMONS, FROZEN, STORM, BARE_STORM)

#: What programs that succeed leave behind.
LEFT_BEHIND = (
    _shell("a job in the background", "sleep 1000 & echo $!", 1),
    _shell("a job that ignores signals", "sh -c 'trap \"\" HUP INT TERM; echo $$; sleep 1000; sleep 1000' &", 1),
    _shell("a job in a session of its own", "setsid sh -c 'echo $$; exec sleep 1000' &", 1),
    Tree("daemons that are left", ("perl", "-MPOSIX", "-e", f"{_DAEMON} daemon() for 1 .. 3;"), 3),
)


class Roll:
    """A file that is locked for as long as any process of a tree is there, whatever else that process has changed.

    A look at /proc may miss one that forks on and on; a lock, which all inherit, misses none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def call(self, tree: Tree) -> tuple[str, ...]:
        """Returns the program whose processes are to hold the lock."""
        return ("/bin/sh", "-c", 'exec 9<"$0"; flock --shared 9; exec "$@"', str(self._path), *tree.argv)

    def is_empty(self) -> bool:
        """Tells whether no process is left."""
        with self._path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True
