"""Puts a repository in order after a run: what cannot have been meant is put back, and all is told.

Whoever changed something else may have meant it, and may have been the person: it is only told of.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.shared import config, files, refs, sentences, stash
from taskgrove_server.worktrees.shared.config import Content, Values
from taskgrove_server.worktrees.shared.note import NAME, Note, Snapshot
from taskgrove_server.worktrees.shared.stash import Entry

log = logging.getLogger(__name__)


class Settling:
    """Settles what one run, and whoever else was at work meanwhile, has changed.

    What is about to be put back is told in the run's note first, so that a server that is killed in between does not
    hide it. The notes of other runs in the repository learn of it, so that none of them undoes it.
    """

    def __init__(self, git: commands.Git, note: Note, run_directory: Path) -> None:
        self._git = git
        self._note = note
        self._run_directory = run_directory
        self._common_dir = note.common_dir
        self._tasks = refs.TaskBranches(note.prefixes)
        self._refs = refs.Comparison(git, note.common_dir, note.task_id, self._tasks)

    def settle(self) -> Note:
        """Does it all, and returns the note with what there is to tell. Raises GitFailed and OSError."""
        before = self._note.before
        told = self._settle_settings()
        try:
            now = Snapshot.take(self._git, self._common_dir)
        except commands.GitFailed as failure:
            if shortages.of_words(str(failure)):
                raise
            # As with a value that is none of its kind, or with nonsense in a file that is included.
            if not (different := [name for name in config.FILES if self._is_different(name)]):
                raise
            self._put_files_back(different)
            told = []
            now = Snapshot.take(self._git, self._common_dir)
        self._tell(*told)
        self._settle_stash(before.stash, now.stash)
        self._tell(*self._refs.told(refs.ids(before.listed), refs.ids(now.listed)))
        self._tell(*self._refs.head(before.head, now.head))
        self._tell(*files.told(before.files, now.files))
        return self._note

    def _settle_settings(self) -> list[str]:
        """Puts back what keeps git from reading the repository, and returns what to tell of other settings."""
        self._put_files_back([name for name in (*config.FILES, config.HEAD) if self._is_ruined(name)])
        before = {name: self._settings_before(name) for name in config.FILES}
        found = config.read(self._common_dir)
        now = {name: config.parse(self._git, found[name]) for name in config.FILES}
        broken = config.broken(before, now)
        for name in config.FILES:
            different = [one for one in broken if before[name].get(one) != now[name].get(one)]
            self._put_settings_back(name, {one: before[name].get(one, ()) for one in different})
        told = [_of_settings(before[name], now[name], broken, self._tasks) for name in config.FILES]
        return list(dict.fromkeys(sentence for some in told for sentence in some))

    def _is_different(self, name: str) -> bool:
        return config.read(self._common_dir)[name] != self._note.before.configs[name]

    def _is_ruined(self, name: str) -> bool:
        content, before = config.read(self._common_dir)[name], self._note.before.configs[name]
        if content.is_blank:
            return not before.is_blank
        return not config.is_sound(self._git, name, content) and content != before

    def _settings_before(self, name: str) -> Values:
        known = {**config.parse(self._git, self._note.before.configs[name]), **self._note.mended.get(name, {})}
        return {setting: values for setting, values in known.items() if values}

    def _put_files_back(self, names: Sequence[str]) -> None:
        for name in names:
            path = Path(self._common_dir, name)
            found = config.read(self._common_dir)[name]
            what = f"The file {sentences.quoted(str(path))}"
            if found.is_blank:
                told = f"{what} was gone or empty after the run, and was put back."
            else:
                told = f"{what} kept git from reading the repository after the run, and was put back: what it held is "
                told += f"kept as {sentences.quoted(self._aside(path).name)} beside it."
            if self._mend([told], functools.partial(self._put_file_back, path, found), what):
                for directory, other in self._others():
                    configs = {**other.before.configs, name: self._note.before.configs[name]}
                    replace(other, before=replace(other.before, configs=configs)).write(directory)

    def _put_file_back(self, path: Path, found: Content) -> None:
        content = self._note.before.configs[path.name]
        if not found.is_blank:
            config.replace(self._aside(path), found)
        if content.data is None:
            path.unlink(missing_ok=True)
            return
        config.replace(path, content)
        for setting, values in self._note.mended.get(path.name, {}).items():
            config.put_back(self._git, path, setting, values)

    def _aside(self, path: Path) -> Path:
        return path.with_name(f"{path.name}.{self._note.task_id}")

    def _put_settings_back(self, name: str, settings: Mapping[str, Sequence[str | None]]) -> None:
        path = Path(self._common_dir, name)
        for setting, values in settings.items():
            what = f"The repository's setting {setting}"
            told = f"{what}, which decides how git reads the repository, was changed, and was put back."
            if self._mend([told], functools.partial(config.put_back, self._git, path, setting, values), what):
                for directory, other in self._others():
                    mended = {**other.mended, name: {**other.mended.get(name, {}), setting: values}}
                    replace(other, mended=mended).write(directory)

    def _settle_stash(self, before: Sequence[Entry], now: Sequence[Entry]) -> None:
        there, known = ({entry.commit for entry in entries} for entries in (now, before))
        missing = [entry for entry in before if entry.commit not in there]
        agents = [entry for entry in missing if self._tasks.has(entry.branch)]
        taken = [entry for entry in missing if entry not in agents]
        if taken:
            told = [
                f"The stash entry {sentences.quoted(entry.message)} was gone after the run, and was put back. This "
                "task's work may hold its changes too: look at the diff before you land it."
                for entry in taken
            ]
            put_back = functools.partial(stash.put_back, self._git, self._common_dir, taken, before)
            if self._mend(told, put_back, "The stash of the repository"):
                self._share_stash(taken, before)
            else:
                self._tell_kept(taken)
        # An agent may take again what it has stashed in its worktree, and may have done so in a run beside this one.
        self._tell_kept(agents)
        for entry in now:
            # Those of other tasks are told by them.
            if entry.commit not in known and (entry.branch == self._note.branch or not self._tasks.has(entry.branch)):
                self._tell(f"The stash entry {sentences.quoted(entry.message)} is new in the repository.")

    def _tell_kept(self, entries: Sequence[Entry]) -> None:
        """Keeps what entries hold that are not put back, and tells where."""
        kept = self._refs.keep([entry.commit for entry in entries]) if entries else {}
        for entry in entries:
            named = f"The stash entry {sentences.quoted(entry.message)}"
            of = ", made in a task's worktree," if self._tasks.has(entry.branch) else ""
            where = f": what it held is kept as {kept[entry.commit]}" if entry.commit in kept else ""
            self._tell(f"{named}{of} is gone{where}.")

    def _share_stash(self, taken: Sequence[Entry], before: Sequence[Entry]) -> None:
        """Tells the notes of other runs of entries that were away when they began."""
        for directory, other in self._others():
            wanted = {entry.commit for entry in (*other.before.stash, *taken)}
            entries = stash.merged([entry for entry in before if entry.commit in wanted], other.before.stash)
            replace(other, before=replace(other.before, stash=entries)).write(directory)

    def _mend(self, told: Sequence[str], mend: Callable[[], None], what: str) -> bool:
        """Does what is told, and returns whether it could be done; if not, that is told instead."""
        without = self._note
        self._tell(*told)
        self._note.write(self._run_directory)
        try:
            mend()
        except (commands.GitFailed, OSError) as error:
            log.warning("Task %s: a repository could not be put in order: %s", without.task_id, type(error).__name__)
            self._note = without
            self._tell(f"{what} was changed, and could not be put back.")
            self._note.write(self._run_directory)
            return False
        return True

    def _tell(self, *told: str) -> None:
        self._note = replace(self._note, told=(*self._note.told, *told))

    def _others(self) -> Iterator[tuple[Path, Note]]:
        """Yields the notes of other runs in the repository, with their directories."""
        for file in self._run_directory.parent.glob(f"*/{NAME}"):
            if file.parent != self._run_directory:
                with suppress(OSError, ValueError):
                    note = Note.read(file.parent)
                    if note is not None and note.common_dir == self._common_dir:
                        yield file.parent, note


def _of_settings(before: Values, now: Values, apart: Sequence[str], tasks: refs.TaskBranches) -> Iterator[str]:
    """Yields what to tell of settings that differ, by their names alone; a remote's are told as one."""
    for name in config.changed(before, now):
        section, _, rest = name.partition(".")
        subsection = rest.rpartition(".")[0]
        if name in apart or (section == "branch" and tasks.has(subsection)):
            continue
        if section == "remote" and subsection:
            what = f"The remote {sentences.quoted(subsection)} of the repository"
            was, is_there = (any(one.startswith(f"remote.{subsection}.") for one in some) for some in (before, now))
        else:
            what = f"The repository's setting {name}"
            was, is_there = name in before, name in now
        yield f"{what} {'was changed' if was and is_there else 'is new' if is_there else 'is gone'}."
