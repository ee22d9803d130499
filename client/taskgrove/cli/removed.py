"""Says what has become of work that was removed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from taskgrove.cli.rendering import safety


def way_back(saved_ref: str, branch: str, repository: str) -> str:
    """Returns where work was saved, and the command that makes a branch of it."""
    place = f"git -C {shlex.quote(repository)}" if repository else "git"
    return safety.plain(
        f"  its work is saved at {saved_ref}; to get it back:\n"
        f"  {place} branch {shlex.quote(branch)} {shlex.quote(saved_ref)}"
    )


def leftovers(path: str) -> Iterator[str]:
    """Yields what resists, if anything does, and the commands after which the server can remove it."""
    if path:
        quoted = shlex.quote(path)
        yield f"  some of its files could not be removed; they are no work any more, and are in {path}."
        yield "  The server tries again each minute, and its log tells what resists. Unmount what is mounted there:"
        yield f"  findmnt -rno TARGET | grep -F {quoted}/ | tac | xargs -r sudo umount"
        yield "  and only then take protection off, and give what is another user's to the user of the server:"
        yield f'  sudo chattr -R -ia {quoted}; sudo chown -R "$USER" {quoted}'
