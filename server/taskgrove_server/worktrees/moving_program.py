"""Moves a branch and the files of its checkout as one: a program of its own, which a killed server leaves to end.

    git -C <checkout> -c alias.move='!python moving_program.py' move <ref> <old> <new> <reason>  < names of new files

The branch is locked first, and with it HEAD: while the files follow, nobody can commit there, switch to another branch
or land as well. Only when all files are in their places does the branch move; git writes an index as a whole or not
at all. Imports nothing but the standard library, and starts without site packages.

Exit status: 0 moved; 1 git failed, in its own words; 3 the branch could not be locked as it was, or is not the one that
is checked out; 4 something has come to be where a new file goes.
"""

import os
import subprocess
import sys

FAILED, MOVED, IN_THE_WAY = 1, 3, 4


def main(ref: str, old: str, new: str, reason: str) -> int:
    """Returns the exit status."""
    added = [name for name in sys.stdin.buffer.read().split(b"\0") if name]
    update = subprocess.Popen(
        ["git", "update-ref", "--stdin", "-z", "-m", reason], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert update.stdin is not None  # noqa: S101
    assert update.stdout is not None  # noqa: S101
    update.stdin.write(f"start\0update {ref}\0{new}\0{old}\0prepare\0".encode(errors="surrogateescape"))
    update.stdin.flush()
    # "start: ok" and "prepare: ok"; none when another lock is there, or the branch is elsewhere by now.
    if not (update.stdout.readline() and update.stdout.readline()):
        return MOVED
    status = _follow(ref, old, new, added)
    if status:
        # At the end of its input, git lets go of what it has locked.
        update.stdin.close()
        update.wait()
        return status
    update.stdin.write(b"commit\0")
    update.stdin.close()
    if update.wait() == 0:
        return 0
    subprocess.run(["git", "read-tree", "-m", "-u", new, old], check=False)
    return FAILED


def _follow(ref: str, old: str, new: str, added: list[bytes]) -> int:
    head = subprocess.run(["git", "symbolic-ref", "--quiet", "HEAD"], stdout=subprocess.PIPE, check=False).stdout
    if head.removesuffix(b"\n") != ref.encode(errors="surrogateescape"):
        return MOVED
    # Git would take what is ignored for expendable.
    if any(os.path.lexists(name) and not os.path.isdir(name) for name in added):  # noqa: PTH112 - bytes
        return IN_THE_WAY
    # Or what only has another time than the index remembers would count as changed.
    subprocess.run(["git", "update-index", "-q", "--refresh"], stdout=subprocess.DEVNULL, check=False)
    return FAILED if subprocess.run(["git", "read-tree", "-m", "-u", old, new], check=False).returncode else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
