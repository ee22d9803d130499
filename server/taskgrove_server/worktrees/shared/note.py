"""What a repository shared before a run, as a file in the run's directory: the next server compares by it too."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.shared import config, files, refs, stash
from taskgrove_server.worktrees.shared.config import Content
from taskgrove_server.worktrees.shared.stash import Entry

#: The file's name.
NAME = "repository.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a repository shares, at one moment. `listed` are the refs; see refs.listing."""

    configs: Mapping[str, Content]
    listed: str
    head: str
    stash: tuple[Entry, ...]
    files: Mapping[str, str]

    @classmethod
    def take(cls, git: commands.Git, common_dir: str) -> Self:
        """Looks at a repository; raises GitFailed. One git command, and one more for a stash or a detached HEAD.

        Where git succeeds, there is nothing in the way of others either, such as a config that nobody can read.
        """
        return cls._with(git, common_dir, refs.listing(git, common_dir))

    @classmethod
    def read(cls, git: commands.Git, common_dir: str) -> Self:
        """As `take`, mostly without that one command; whether git can do anything there is not found out."""
        listed = refs.read(common_dir)
        return cls._with(git, common_dir, refs.listing(git, common_dir) if listed is None else listed)

    @classmethod
    def _with(cls, git: commands.Git, common_dir: str, listed: str) -> Self:
        return cls(
            configs=config.read(common_dir),
            listed=listed,
            head=refs.head(git, common_dir, listed),
            stash=stash.read(git, common_dir) if listed.endswith(f" {stash.REF}") else (),
            files=files.read(common_dir),
        )

    def without(self, tasks: refs.TaskBranches) -> tuple[object, ...]:
        """Returns all of it but the branches of tasks, to be compared."""
        return self.configs, tasks.without(refs.ids(self.listed)), self.head, self.stash, self.files


@dataclass(frozen=True, slots=True)
class Note:
    """A snapshot from before a run, whose it is, and what was told of the repository so far."""

    common_dir: str
    task_id: TaskId
    #: The task's branch, and what the names of tasks' branches begin with.
    branch: str
    prefixes: tuple[str, ...]
    before: Snapshot
    #: Settings that were put back when another run ended, by the names of their files: `before` has them wrong.
    mended: Mapping[str, config.Values] = field(default_factory=dict[str, config.Values])
    told: tuple[str, ...] = ()

    def write(self, run_directory: Path) -> None:
        """Keeps the note in a run's directory, in one step; raises OSError."""
        values = asdict(self)
        for content in values["before"]["configs"].values():
            content["data"] = None if content["data"] is None else base64.b64encode(content["data"]).decode()
        _write(run_directory, json.dumps(values))

    @staticmethod
    def write_none(run_directory: Path) -> None:
        """Notes that the repository could not be looked at; raises OSError."""
        _write(run_directory, "")

    @classmethod
    def read(cls, run_directory: Path) -> Self | None:
        """Reads what `write` wrote; None when nothing was noted; raises ValueError after `write_none`."""
        try:
            values: dict[str, Any] = json.loads((run_directory / NAME).read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        before = values.pop("before")
        configs = {
            name: Content(None if one["data"] is None else base64.b64decode(one["data"]), one["mode"])
            for name, one in before.pop("configs").items()
        }
        entries = tuple(Entry(**one) for one in before.pop("stash"))
        prefixes, told = tuple(values.pop("prefixes")), tuple(values.pop("told"))
        return cls(**values, prefixes=prefixes, told=told, before=Snapshot(configs=configs, stash=entries, **before))


def _write(run_directory: Path, text: str) -> None:
    new = run_directory / f"{NAME}.new"
    new.unlink(missing_ok=True)
    # Only for its owner: a config may hold the passwords of remotes.
    with open(new, "x", encoding="ascii", opener=_private) as file:
        file.write(text)
    new.replace(run_directory / NAME)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
