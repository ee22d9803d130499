"""Commands for a person's shell that take out of a landing's way what a checkout has there, and lose none of it.

They are for any POSIX shell, and for every name that a file can have: git's own pathspecs would read some names as
patterns, and a terminal would not show others as they are.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from taskgrove_server.domain.errors import Remedy
from taskgrove_server.worktrees import commands

#: Git's letters for index and checkout of those files that `git stash push` takes, and puts back as HEAD has them. It
#: stumbles over MM where the checkout is like HEAD, and over AD; it does not know of files that were taken out of the
#: index, and refuses everything while one is there that is only intended to be added.
_STASHED = frozenset({" M", "M ", "A ", "AM", "AT", " D", "MD", " T", "T ", "MT", "TM"})

#: What those letters are for a file whose content is to be added later.
_INTENDED = " A"

#: Makes a directory to keep files in: if possible beside the checkout, where no commit takes them along.
_ASIDE = 'aside=$(mktemp -d "$PWD-mine.XXXXXX" 2>/dev/null || mktemp -d "$PWD/mine.XXXXXX")'

#: Moves what the shell's arguments name into that directory, each below its own path.
_MOVE = (
    'for file do if [ -e "./$file" ] || [ -L "./$file" ]; then mkdir -p "$aside/$file" && rmdir "$aside/$file" && '
    'mv "./$file" "$aside/$file" || exit; fi; done'
)

_TELL = 'printf "It is in %s\\n" "$aside"'


@dataclass(frozen=True, slots=True)
class Edited:
    """A file that a person has changed: git's two letters for it, spaces where git sees no change."""

    path: str
    letters: str
    #: HEAD has a file there.
    known: bool
    #: The option of git-update-index(1) with which git looks at it again, where it was told not to.
    shown_by: str | None = None


def set_aside(git: commands.Git, checkout: str, files: Sequence[Edited], dirty: Mapping[str, str]) -> Remedy:
    """Returns what sets changed files aside, and leaves them as HEAD has them.

    `dirty` are all files that git takes for changed, with its letters. Raises GitFailed.
    """
    # Of what lies outside a sparse checkout, git makes a stash, and leaves the file as it was.
    none_stashed = _INTENDED in dirty.values() or _is_sparse(git, checkout)
    stashed = [file.path for file in files if not none_stashed and _is_stashed(checkout, file)]
    kept = [file for file in files if file.path not in stashed]
    steps: list[str] = []
    if stashed:
        steps.append(f"git stash push -- {_words(f':(top,literal){path}' for path in stashed)}")
    if kept:
        steps += _kept(checkout, kept)
    told = {"git stash pop brings them back": stashed, "the command tells the directory": kept}
    where = ", or ".join(words for words, paths in told.items() if paths)
    return Remedy(f"Commit them, or set them aside ({where})", _in(checkout, steps))


def move_away(checkout: str, paths: Sequence[str], dirty: Mapping[str, str]) -> Remedy:
    """Returns what moves files and directories away, those too that are staged and that HEAD has not."""
    places = set(paths)
    staged = [
        path
        for path, letters in dirty.items()
        if letters[0] in "MAT" and not places.isdisjoint((path, *map(str, PurePosixPath(path).parents)))
    ]
    steps = [_ASIDE, *_staged(staged), *_moved(paths), *([_reset(staged)] if staged else []), _TELL]
    return Remedy("Move it away, into a directory that the command tells", _in(checkout, steps))


def _kept(checkout: str, files: Sequence[Edited]) -> list[str]:
    steps = [
        f"git update-index {option} -- {_words(file.path for file in files if file.shown_by == option)}"
        for option in sorted({file.shown_by for file in files if file.shown_by})
    ]
    places = sorted({_place(checkout, file.path) for file in files})
    steps += [_ASIDE, *_staged([file.path for file in files if file.letters[0] in "MAT"]), *_moved(places)]
    steps.append(_reset([file.path for file in files]))
    if known := [file.path for file in files if file.known]:
        steps.append(f"git --literal-pathspecs checkout -q --ignore-skip-worktree-bits -- {_words(known)}")
    return [*steps, _TELL]


def _staged(paths: Collection[str]) -> list[str]:
    """Returns what keeps what is staged of some files: it may be nowhere else."""
    keep = 'git checkout-index -q --ignore-skip-worktree-bits --prefix="$aside-staged/" --'
    return [f"{keep} {_words(paths)}"] if paths else []


def _moved(places: Iterable[str]) -> list[str]:
    return [f"set -- {_words(places)}", _MOVE]


def _reset(paths: Iterable[str]) -> str:
    return f"git --literal-pathspecs reset -q -- {_words(paths)}"


def _is_stashed(checkout: str, file: Edited) -> bool:
    return (
        file.letters in _STASHED
        and file.shown_by is None
        and (file.known or file.letters[0] == "A")
        and _place(checkout, file.path) == file.path
        and not _is_directory(Path(checkout, file.path))
    )


def _place(checkout: str, path: str) -> str:
    """Returns what stands where a file is to be: the path itself, or what is there in place of its directory."""
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        place = Path(checkout, parent)
        if os.path.lexists(place) and not _is_directory(place):
            return str(parent)
    return path


def _is_directory(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def _is_sparse(git: commands.Git, checkout: str) -> bool:
    return git.ask(checkout, "config", "--type=bool", "--get", "core.sparseCheckout") == "true"


def _in(checkout: str, steps: Iterable[str]) -> str:
    """Returns steps of which each waits for the one before. In a shell of their own, a failure ends no session."""
    return f"({' && '.join((f'cd {word(checkout)}', *steps))})"


def _words(names: Iterable[str]) -> str:
    return " ".join(map(word, names))


def word(name: str) -> str:
    """Returns a word that a POSIX shell reads as the name, whatever bytes that has, in characters that are shown."""
    if name.isprintable():
        return shlex.quote(name)
    # A shell drops newlines at the end of what a command prints.
    begin = name.rstrip("\n")
    octal = "".join(f"\\{byte:03o}" if _is_special(byte) else chr(byte) for byte in os.fsencode(begin))
    end = name[len(begin) :]
    return (f"\"$(printf '{octal}')\"" if begin else "") + (f"'{end}'" if end else "")


def _is_special(byte: int) -> bool:
    """Tells whether a byte means something to printf or the shell, or is no ASCII."""
    return not (chr(byte).isascii() and chr(byte).isalnum()) and byte not in b" _./:(),"
