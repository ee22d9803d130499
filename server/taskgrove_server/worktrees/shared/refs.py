"""The branches and tags of a repository, and where its main checkout stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain.ids import ALPHABET, LENGTH, TaskId
from taskgrove_server.worktrees import commands, ref_files
from taskgrove_server.worktrees.shared import sentences

#: Where commits are kept that somebody's branch or tag has led to.
KEPT = "refs/taskgrove/kept/"

#: What the reflog says of landings; see runner.landings.
_LANDING = "taskgrove: land task "

#: Entries of a reflog that are read to tell whether landings alone have moved a branch.
_READ = 1000

#: Refs that are looked at one by one, to say more of them; what there is beyond that is kept unseen.
_LOOKED_AT = 50

_HEADS = "refs/heads/"
_KINDS = {_HEADS: "branch", "refs/tags/": "tag", "refs/replace/": "replacement"}
_LISTED = (*_KINDS, "refs/stash")

_ID = f"[{''.join(sorted(ALPHABET))}]{{{LENGTH}}}"

#: Digits of a commit's id that are told.
_SHORT = 10


def at(common_dir: str) -> str:
    """Returns the option that names a repository: the setting safe.bareRepository may forbid to find it."""
    return f"--git-dir={common_dir}"


def main_checkout(common_dir: str) -> str:
    """Returns where a person's commands run: in the main checkout, or in a bare repository itself."""
    path = Path(common_dir)
    return str(path.parent if path.name == ".git" else path)


def listing(git: commands.Git, common_dir: str) -> str:
    """Returns all that is looked at as git lists it, one ref a line, the one that HEAD leads to with a star."""
    form = "--format=%(HEAD)%(objectname) %(refname)"
    return git(common_dir, at(common_dir), "for-each-ref", form, *_LISTED)


def read(common_dir: str) -> str | None:
    """Returns the same from the files of the refs, None where git has to be asked; see ref_files.listing."""
    return ref_files.listing(common_dir, _LISTED)


def head(git: commands.Git, common_dir: str, listed: str) -> str:
    """Returns what HEAD of the main checkout leads to: the full name of a branch, or the id of a commit."""
    for line in commands.rows(listed):
        if line.startswith("*"):
            return line.partition(" ")[2]
    # Detached, or on a branch without a commit.
    name = git.ask(common_dir, at(common_dir), "symbolic-ref", "--quiet", "HEAD")
    return name or git.ask(common_dir, at(common_dir), "rev-parse", "--verify", "--quiet", "HEAD") or ""


def ids(listed: str) -> dict[str, str]:
    """Returns the ids of a listing, by the full names of the refs."""
    return {name: value for value, _, name in (line[1:].partition(" ") for line in commands.rows(listed))}


def update(git: commands.Git, common_dir: str, orders: Sequence[str]) -> None:
    """Does all that some orders to git-update-ref(1) say, or nothing; raises GitFailed."""
    if orders:
        text = "".join(f"{order}\n" for order in orders)
        git(common_dir, at(common_dir), "update-ref", "--stdin", stdin=text.encode(errors="surrogateescape"))


@dataclass(frozen=True, slots=True)
class TaskBranches:
    """Tells tasks' branches, which are theirs to move, from a person's, by what their names begin with."""

    prefixes: tuple[str, ...]

    def without(self, refs: Mapping[str, str]) -> dict[str, str]:
        """Returns the refs that are no task's branch."""
        every = "|".join(map(re.escape, self.prefixes))
        pattern = re.compile(rf"{_HEADS}(?:{every}){_ID}(?:[.][0-9a-f]+)?(?:-[a-z0-9-]*)?")
        return {name: value for name, value in refs.items() if not pattern.fullmatch(name)}

    def has(self, branch: str) -> bool:
        """Tells whether a branch of this name is a task's."""
        return not self.without({f"{_HEADS}{branch}": ""})


@dataclass(frozen=True, slots=True)
class Lost:
    """A branch or tag that is gone, or leads to something that has no part of what it led to."""

    ref: str
    commit: str
    now: str | None


class Comparison:
    """Compares the refs of a repository from before a run with those after it, and keeps what would be lost."""

    def __init__(self, git: commands.Git, common_dir: str, task_id: TaskId, tasks: TaskBranches) -> None:
        self._git = git
        self._common_dir = common_dir
        self._kept = f"{KEPT}{task_id}/"
        self._tasks = tasks

    def told(self, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
        """Returns what to tell; raises GitFailed. What is lost is kept by then, so that it can be brought back."""
        before, now = self._tasks.without(before), self._tasks.without(now)
        told: list[str] = []
        lost: list[Lost] = []
        for ref, old in before.items():
            new = now.get(ref)
            if ref == "refs/stash" or new == old:
                continue
            looks = len(told) + len(lost) < _LOOKED_AT
            if looks and new is not None and ref.startswith(_HEADS) and self._contains(new, old):
                if not self._only_landed(ref, old):
                    told.append(f"The {_named(ref)} was moved forward from {old[:_SHORT]} to {new[:_SHORT]}.")
            else:
                lost.append(Lost(ref, old, new))
        return [*self._keep(lost, now), *told, *_new(before, now)]

    def head(self, before: str, now: str) -> list[str]:
        """Returns what to tell of the main checkout."""
        if before == now:
            return []
        place = main_checkout(self._common_dir)
        return [f"The checkout {place!r} was {_standing(before)} before the run, and is {_standing(now)} now."]

    def _git_at(self, *arguments: str) -> str:
        return self._git(self._common_dir, at(self._common_dir), *arguments)

    def _contains(self, commit: str, part: str) -> bool:
        arguments = (at(self._common_dir), "merge-base", "--is-ancestor", part, commit)
        try:
            return self._git.ask(self._common_dir, *arguments) is not None
        except commands.GitFailed:
            # One of them is not in the repository any more, or is no commit.
            return False

    def _only_landed(self, ref: str, old: str) -> bool:
        """Tells whether a branch was moved by landings alone since it was at a commit."""
        options = ("--no-show-signature", "--no-patch", "--no-color", "--encoding=UTF-8", f"--max-count={_READ}")
        moves = commands.rows(self._git_at("log", "--walk-reflogs", *options, "--format=%H%x00%gs", ref, "--"))
        for move in moves:
            commit, message = move.split("\0")
            if commit == old:
                return True
            if not message.startswith(_LANDING):
                return False
        return False

    def keep(self, commits: Iterable[str]) -> dict[str, str]:
        """Keeps commits under refs of the task's, and returns the refs by them; raises GitFailed.

        A commit that is kept already is not kept again; one that is not in the repository any more is left out.
        """
        found = ids(self._git_at("for-each-ref", "--format= %(objectname) %(refname)", self._kept))
        kept = {commit: ref for ref, commit in found.items()}
        number = max((int(end) for ref in found if (end := ref.removeprefix(self._kept)).isdecimal()), default=0)
        wanted = [commit for commit in dict.fromkeys(commits) if commit not in kept]
        for at_once in (wanted,) if self._all_there(wanted) else [[one] for one in wanted if self._all_there([one])]:
            new = {commit: f"{self._kept}{number + n}" for n, commit in enumerate(at_once, 1)}
            number += len(new)
            update(self._git, self._common_dir, [f"create {ref} {commit}" for commit, ref in new.items()])
            kept |= new
        return kept

    def _all_there(self, objects: Sequence[str]) -> bool:
        text = "".join(f"{one}\n" for one in objects)
        checked = (at(self._common_dir), "cat-file", "--batch-check")
        return " missing" not in self._git(self._common_dir, *checked, stdin=text.encode())

    def _keep(self, lost: Sequence[Lost], now: Mapping[str, str]) -> list[str]:
        if not lost:
            return []
        held = {one.commit for one in lost[:_LOOKED_AT] if self._is_held(one, now)}
        kept = self.keep(one.commit for one in lost if one.commit not in held)
        return [self._of_lost(one, one.commit if one.commit in held else kept.get(one.commit)) for one in lost]

    def _is_held(self, one: Lost, now: Mapping[str, str]) -> bool:
        """Tells whether a branch or a tag that is nobody's but the person's leads to a commit still."""
        if one.commit in now.values():
            return True
        if not one.ref.startswith(_HEADS):
            return False
        try:
            found = self._git_at(
                "for-each-ref", "--format=%(refname)", f"--contains={one.commit}", _HEADS, "refs/remotes/"
            )
        except commands.GitFailed:
            return False
        return bool(self._tasks.without(dict.fromkeys(commands.rows(found), "")))

    def _of_lost(self, one: Lost, kept: str | None) -> str:
        what = f"was moved from {one.commit[:_SHORT]} to {one.now[:_SHORT]}" if one.now else "was deleted"
        text = f"The {_named(one.ref)} {what}"
        if kept is None:
            return f"{text}, and {one.commit} is not in the repository any more."
        whereabouts = "" if kept == one.commit else f", and where it was is kept as {kept}"
        return f"{text}{whereabouts}. To bring it back: {self._way_back(one, kept)}"

    def _way_back(self, one: Lost, kept: str) -> str:
        kind, name = _kind_and_name(one.ref)
        git = ("git", "-C", main_checkout(self._common_dir))
        if kind != "branch":
            return sentences.command(*git, "update-ref", one.ref, kept)
        if one.now is None:
            return sentences.command(*git, "branch", "--", name, kept)
        checkout = self._checkout(one.ref)
        if checkout:
            return sentences.command("git", "-C", checkout, "reset", "--keep", kept)
        return sentences.command(*git, "branch", "--force", "--", name, kept)

    def _checkout(self, ref: str) -> str:
        # Without a wildcard the pattern would stand for a directory of branches too.
        exactly = f"{ref[:-1]}[{ref[-1]}]"
        return self._git_at("for-each-ref", "--format=%(worktreepath)", exactly)


def _new(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Tells of what is new in one sentence for each kind: a fetch may bring hundreds of tags."""
    told: list[str] = []
    for begins, kind in _KINDS.items():
        names = [ref.removeprefix(begins) for ref in now if ref.startswith(begins) and ref not in before]
        if len(names) == 1:
            told.append(f"The {kind} {sentences.quoted(names[0])} is new in the repository.")
        elif names:
            plural = f"{kind}es" if kind.endswith("ch") else f"{kind}s"
            told.append(f"{len(names)} {plural} are new in the repository: {sentences.listed(names)}.")
    return told


def _kind_and_name(ref: str) -> tuple[str, str]:
    begins = next(begins for begins in _KINDS if ref.startswith(begins))
    return _KINDS[begins], ref.removeprefix(begins)


def _named(ref: str) -> str:
    kind, name = _kind_and_name(ref)
    return f"{kind} {sentences.quoted(name)}"


def _standing(place: str) -> str:
    if place.startswith(_HEADS):
        return f"on the branch {sentences.quoted(place.removeprefix(_HEADS))}"
    return f"at the commit {place[:_SHORT]}" if place else "nowhere"
