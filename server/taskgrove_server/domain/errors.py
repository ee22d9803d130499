"""Why a call is refused.

    TaskgroveError
    ├── InvalidRequest            a field is missing or malformed
    ├── InvalidPageToken
    ├── RequestTooLarge
    ├── MethodUnknown
    ├── RequestIdReused
    ├── NotFound
    │   ├── TaskNotFound
    │   ├── TaskListNotFound
    │   ├── SubtaskNotFound
    │   ├── BranchNotFound
    │   ├── RemoteNotFound
    │   ├── SetupLogNotFound
    │   ├── HoldNotFound
    │   └── ServiceUnknown
    ├── WrongState
    │   ├── TaskActive
    │   ├── NoPreviousRun
    │   ├── SessionMissing
    │   ├── TaskListDeleted
    │   ├── TaskNotQueued
    │   ├── TaskListActive
    │   └── BranchPrefixTaken
    ├── DirectoryRefused
    │   ├── DirectoryNotFound
    │   ├── SubdirectoryNotFound
    │   ├── PathNotAllowed
    │   ├── NotARepository
    │   ├── RepositoryBare
    │   └── RepositoryEmpty
    ├── WorktreeRefused
    │   ├── NoWorktree
    │   ├── WorkMissing
    │   ├── WorktreeBusy
    │   ├── WorktreePresent
    │   ├── WorktreeDirty
    │   ├── NothingToLand
    │   ├── LandConflict
    │   ├── HistoriesUnrelated
    │   ├── MergesNotRebasable
    │   ├── OtherCommits
    │   ├── WorkUnfinished
    │   ├── CheckoutDirty
    │   ├── FilesInTheWay
    │   ├── TargetBusy
    │   ├── BranchMoved
    │   ├── PushFailed
    │   ├── SubmoduleUnpublished
    │   ├── WorkNotSaved
    │   ├── RemovalRefused
    │   └── RepositoryFailed
    ├── EtagMismatch
    ├── LineOutOfRange
    ├── OutsideFeed
    │   ├── EventsTrimmed
    │   └── SequenceOutOfRange
    ├── LogLost
    ├── LogRemoved
    ├── TooManyWatchers
    ├── TooManyCalls
    ├── TokenInvalid
    ├── ServerDraining
    ├── StoreUnavailable
    └── MachineShort

Each error carries `metadata`: the parts of its message that a program may want, by name. What stands in the way of a
landing also carries `remedies`: ways out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskgrove_server.domain.ids import TaskId, TaskListId


class TaskgroveError(Exception):
    """The base of everything that a call can be refused for."""

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = {name: str(value) for name, value in metadata.items()}


class InvalidRequest(TaskgroveError):
    """Fields are missing or malformed; `violations` holds (field, what is wrong) pairs, at least one."""

    def __init__(self, *violations: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {what}" for field, what in violations), field=violations[0][0])
        self.violations = violations


class InvalidPageToken(TaskgroveError):
    """The page token was not made by this server, or for other filters."""

    def __init__(self) -> None:
        super().__init__("The page token was not made by this server for these filters: start from the first page.")


class RequestTooLarge(TaskgroveError):
    """The request is larger than requests may be; `part` is "message" or "metadata"."""

    def __init__(self, part: str, limit: int) -> None:
        super().__init__(
            f"The {part} of the call has more than {limit} bytes, which the server does not take.",
            part=part,
            limit=limit,
        )


class MethodUnknown(TaskgroveError):
    """The server has no such method."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"The server has no method {method!r}: it may be older than the caller, see GetServerInfo's api_revision.",
            method=method,
        )


class RequestIdReused(TaskgroveError):
    """The request id was used before with another method or body."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The request id {request_id!r} was used before with another method or body: choose a new one.",
            request_id=request_id,
        )


class NotFound(TaskgroveError):
    """The thing that the call names does not exist."""


class TaskNotFound(NotFound):
    """No task has this id."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(f"There is no task {task_id!r}.", task_id=task_id)


class TaskListNotFound(NotFound):
    """No task list has this id."""

    def __init__(self, task_list_id: TaskListId) -> None:
        super().__init__(f"There is no task list {task_list_id!r}.", task_list_id=task_list_id)


class SubtaskNotFound(NotFound):
    """The task has no subtask of this number."""

    def __init__(self, task_id: TaskId, number: int) -> None:
        super().__init__(f"Task {task_id} has no subtask {number}.", task_id=task_id, number=number)


class BranchNotFound(NotFound):
    """The repository has no such branch."""

    def __init__(self, branch: str) -> None:
        super().__init__(
            f"The repository has no branch {branch!r}."
            if branch
            else "The repository has no branch checked out: name the target branch.",
            branch=branch,
        )


class RemoteNotFound(NotFound):
    """The repository has no such remote."""

    def __init__(self, remote: str) -> None:
        super().__init__(f"The repository has no remote {remote!r}.", remote=remote)


class SetupLogNotFound(NotFound):
    """The task has no setup log."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(
            f"Task {task_id} has no setup log: its list has no setup command, it has not begun yet, or the server's "
            "log_retention has removed it.",
            task_id=task_id,
        )


class HoldNotFound(NotFound):
    """There is no such hold."""

    def __init__(self, hold_id: str) -> None:
        super().__init__(f"There is no hold {hold_id!r}: it has ended, or never was.", hold_id=hold_id)


class ServiceUnknown(NotFound):
    """A health check names no service of the server."""

    def __init__(self, service: str) -> None:
        super().__init__(f"The server has no service {service!r}.", service=service)


class WrongState(TaskgroveError):
    """The thing exists, but its state forbids the call."""


class TaskActive(WrongState):
    """The task is queued or running."""

    def __init__(self, task_id: TaskId, state: str) -> None:
        super().__init__(
            f"Task {task_id} is {state}: wait until it rests, or cancel it first.", task_id=task_id, state=state
        )


class NoPreviousRun(WrongState):
    """The task has never been run."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(f"Task {task_id} has no previous run to continue: enqueue it anew.", task_id=task_id)


class SessionMissing(WrongState):
    """The last run left no session."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(f"The last run of task {task_id} left no session to resume: enqueue it anew.", task_id=task_id)


class TaskListDeleted(WrongState):
    """The list of the task is gone."""

    def __init__(self, task_id: TaskId, task_list_id: TaskListId) -> None:
        super().__init__(
            f"The task list {task_list_id} of task {task_id} was deleted, and with it the way to its repository.",
            task_list_id=task_list_id,
        )


class TaskNotQueued(WrongState):
    """The task does not wait in the queue any more."""

    def __init__(self, task_id: TaskId, state: str) -> None:
        # A task that holds a slot counts as queued until its first run is recorded.
        standing = "about to run" if state == "queued" else state
        super().__init__(
            f"Task {task_id} is {standing}: what its agent is told can be changed only while it waits in the queue.",
            task_id=task_id,
            state=state,
        )


class TaskListActive(WrongState):
    """The list has queued or running tasks."""

    def __init__(self, task_list_id: TaskListId) -> None:
        super().__init__(
            f"Task list {task_list_id} still has queued or running tasks: cancel them or wait.",
            task_list_id=task_list_id,
        )


class BranchPrefixTaken(WrongState):
    """A branch of the repository stands in the way of branches with a prefix."""

    def __init__(self, branch: str, taken: str, branch_prefix: str) -> None:
        super().__init__(
            f"The repository has a branch {branch!r}, beside which git cannot make branches that begin with {taken!r}: "
            f"use another branch prefix, such as {branch_prefix!r}, or rename that branch.",
            branch=branch,
            branch_prefix=branch_prefix,
        )


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way out: what it does, and the command for a POSIX shell on the server's machine."""

    description: str
    command: str


class WorktreeRefused(TaskgroveError):
    """Something cannot be done with a task's worktree or its work."""

    #: Ways out, the best first.
    remedies: tuple[Remedy, ...] = ()


class NoWorktree(WorktreeRefused):
    """The task has no worktree."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(
            f"Task {task_id} has no worktree: it has not begun yet, or its list has no repository.", task_id=task_id
        )


class WorkMissing(WorktreeRefused):
    """Nothing of the task's work is left in the repository."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(
            f"The worktree of task {task_id}, its branch and its recorded commits are gone from the repository.",
            task_id=task_id,
        )


class WorktreeBusy(WorktreeRefused):
    """Another call works on the task's worktree."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(
            f"Another call lands, pushes, discards or prunes the work of task {task_id} at this moment: call again.",
            task_id=task_id,
        )


class WorktreePresent(WorktreeRefused):
    """The task's worktree or sandbox is still there, or of the worktree at least its branch."""

    def __init__(self, task_id: TaskId, path: str, branch: str | None = None) -> None:
        what = f"the branch {branch!r}" if branch else repr(path)
        super().__init__(
            f"Task {task_id} still has {what}: discard it first, or have it discarded by the same call.",
            task_id=task_id,
            path=path,
        )


class WorktreeDirty(WorktreeRefused):
    """The task's worktree has changes that are not committed."""

    def __init__(self, task_id: TaskId, path: str, files: int) -> None:
        super().__init__(
            f"The worktree {path!r} of task {task_id} has {files} files that are not committed: have them committed "
            "by the same call, or commit them there.",
            task_id=task_id,
            path=path,
        )


class NothingToLand(WorktreeRefused):
    """The target branch has everything already."""

    def __init__(self, task_id: TaskId, target_branch: str) -> None:
        super().__init__(
            f"{target_branch!r} has everything of task {task_id} already.", task_id=task_id, target_branch=target_branch
        )


class LandConflict(WorktreeRefused):
    """The work and the target branch have changed the same places."""

    def __init__(
        self, task_id: TaskId, target_branch: str, files: Sequence[str], remedies: Sequence[Remedy] = ()
    ) -> None:
        super().__init__(
            f"Task {task_id} and {target_branch!r} have changed the same places: {_named(files)}. Have the task done "
            "anew from where the branch is now, or merge by hand.",
            task_id=task_id,
            target_branch=target_branch,
            **_first_files(files),
        )
        self.files = tuple(files)
        self.remedies = tuple(remedies)


class HistoriesUnrelated(WorktreeRefused):
    """The work and the target branch have no commit in common, so that git has nothing to merge from."""

    def __init__(self, task_id: TaskId, target_branch: str, remedies: Sequence[Remedy] = ()) -> None:
        super().__init__(
            f"Task {task_id} and {target_branch!r} have no history in common. Have the task done anew from where the "
            "branch is now, or merge by hand with --allow-unrelated-histories.",
            task_id=task_id,
            target_branch=target_branch,
        )
        self.remedies = tuple(remedies)


class MergesNotRebasable(WorktreeRefused):
    """The work has merge commits with changes of their own, which a rebase would lose."""

    def __init__(self, task_id: TaskId, target_branch: str) -> None:
        super().__init__(
            f"Task {task_id} has merge commits with changes of their own, which a rebase onto {target_branch!r} would "
            "lose: land it by merge or squash.",
            task_id=task_id,
            target_branch=target_branch,
        )


class OtherCommits(WorktreeRefused):
    """More would land than the task has done; `commits` holds the full ids of the newest of `count`."""

    def __init__(self, task_id: TaskId, target_branch: str, commits: Sequence[str], count: int) -> None:
        them = "a commit that is" if count == 1 else f"{count} commits that are"
        super().__init__(
            f"Besides the work of task {task_id}, {target_branch!r} would get {them} not its own: "
            "land on the branch that the task was begun on, or have other commits included.",
            task_id=task_id,
            target_branch=target_branch,
            count=count,
        )
        self.commits = tuple(commits)
        self.count = count


class WorkUnfinished(WorktreeRefused):
    """The task's worktree stands in the middle of something."""

    def __init__(self, task_id: TaskId, path: str, what: str, remedies: Sequence[Remedy]) -> None:
        super().__init__(
            f"The worktree {path!r} of task {task_id} {what}: finish or abort that there, or continue the task and "
            "have its agent do so.",
            task_id=task_id,
            path=path,
        )
        self.remedies = tuple(remedies)


class CheckoutDirty(WorktreeRefused):
    """The checkout of the target branch has changes where the landing has some, or is in the middle of something."""

    def __init__(self, path: str, why: str, *, files: Sequence[str] = (), remedies: Sequence[Remedy] = ()) -> None:
        super().__init__(f"The target branch is checked out in {path!r}, and {why}.", path=path, **_first_files(files))
        self.files = tuple(files)
        self.remedies = tuple(remedies)


class FilesInTheWay(WorktreeRefused):
    """The checkout of the target branch has files that git does not track where the landing puts others."""

    def __init__(self, path: str, files: Sequence[str], remedies: Sequence[Remedy]) -> None:
        super().__init__(
            f"The target branch is checked out in {path!r}, where the landing would overwrite what git does not track: "
            f"{_named(files)}. Move it away first.",
            path=path,
            **_first_files(files),
        )
        self.files = tuple(files)
        self.remedies = tuple(remedies)


class TargetBusy(WorktreeRefused):
    """The target branch cannot be moved at this moment."""

    def __init__(self, target_branch: str, path: str, why: str, remedies: Sequence[Remedy]) -> None:
        super().__init__(
            f"The branch {target_branch!r} cannot be moved now: {why}.", target_branch=target_branch, path=path
        )
        self.remedies = tuple(remedies)


class BranchMoved(WorktreeRefused):
    """A branch is not where it is expected to be."""

    def __init__(self, branch: str, commit: str) -> None:
        super().__init__(
            f"The branch {branch!r} is at {commit}, not where it was expected: look at it again, and decide anew.",
            branch=branch,
            commit=commit,
        )


class PushFailed(WorktreeRefused):
    """The remote repository refused a push, or could not be reached."""

    def __init__(self, remote: str, remote_branch: str, why: str) -> None:
        super().__init__(
            f"The push to {remote_branch!r} of {remote!r} failed: {why}", remote=remote, remote_branch=remote_branch
        )


class SubmoduleUnpublished(WorktreeRefused):
    """The work leads to a commit of a submodule that no remote repository has."""

    def __init__(self, task_id: TaskId, path: str, commit: str, remedies: Sequence[Remedy] = ()) -> None:
        super().__init__(
            f"Task {task_id} leads to commit {commit} of the submodule {path!r}, which no remote repository of that is "
            "known to have: push it from the submodule's directory, or say that it is to be landed nevertheless.",
            task_id=task_id,
            path=path,
            commit=commit,
        )
        self.remedies = tuple(remedies)


class WorkNotSaved(WorktreeRefused):
    """What is in a repository inside the task's worktree cannot be saved, so that nothing was removed."""

    def __init__(self, task_id: TaskId, path: str, why: str) -> None:
        super().__init__(
            f"What is in the repository {path!r} inside the worktree of task {task_id} cannot be saved: {why}. Push it "
            "from there, or move it away, and call again. Nothing was removed.",
            task_id=task_id,
            path=path,
        )


class RemovalRefused(WorktreeRefused):
    """A directory cannot be removed, and nothing of it was touched."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} cannot be removed, and nothing of it was touched: {why}", path=path)


class RepositoryFailed(WorktreeRefused):
    """Git failed on a repository."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Git failed on the repository: {why}")


class DirectoryRefused(TaskgroveError):
    """A directory cannot be used."""


class DirectoryNotFound(DirectoryRefused):
    """The path is no directory that the server can read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is not a directory that the server can read.", path=path)


class SubdirectoryNotFound(DirectoryRefused):
    """The commit that a task would start from has no such directory."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"The task cannot start in {path!r}: {why}", path=path)


class PathNotAllowed(DirectoryRefused):
    """The path lies outside the allowed roots."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path!r} lies outside the directories that the server may use: see its allowed_roots setting.",
            path=path,
        )


class NotARepository(DirectoryRefused):
    """The directory is not the top level of a git repository."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} is not the top level of a git repository: {why}", path=path)


class RepositoryBare(DirectoryRefused):
    """The repository is bare."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is a bare repository: use a checkout of it.", path=path)


class RepositoryEmpty(DirectoryRefused):
    """The repository has no commit."""

    def __init__(self, path: str) -> None:
        super().__init__(f"The repository {path!r} has no commit to start from: make a first commit.", path=path)


class EtagMismatch(TaskgroveError):
    """The thing has changed since the caller read it."""

    def __init__(self, what: str, etag: str) -> None:
        super().__init__(f"{what} has changed since you read it: read it again and decide anew.", etag=etag)


class LineOutOfRange(TaskgroveError):
    """The position is beyond the end of the log."""

    def __init__(self, after_line: int, last_line: int) -> None:
        super().__init__(
            f"Line {after_line} does not exist yet: the last line is {last_line}.",
            after_line=after_line,
            last_line=last_line,
        )


class OutsideFeed(TaskgroveError):
    """The position lies outside the events that are kept."""


class EventsTrimmed(OutsideFeed):
    """Events behind the position are no longer kept."""

    def __init__(self, after_sequence: int, first_sequence: int, last_sequence: int) -> None:
        super().__init__(
            f"Events after {after_sequence} are no longer kept; the oldest is {first_sequence}: list the tasks anew, "
            "and watch from there.",
            after_sequence=after_sequence,
            first_sequence=first_sequence,
            last_sequence=last_sequence,
        )


class SequenceOutOfRange(OutsideFeed):
    """The position is beyond the newest event."""

    def __init__(self, after_sequence: int, last_sequence: int) -> None:
        super().__init__(
            f"Event {after_sequence} does not exist yet: the newest is {last_sequence}.",
            after_sequence=after_sequence,
            last_sequence=last_sequence,
        )


class LogLost(TaskgroveError):
    """Lines that were recorded can no longer be read."""

    def __init__(self, task_id: TaskId, line: int) -> None:
        super().__init__(
            f"The log of task {task_id} was truncated or deleted: line {line} is gone.", task_id=task_id, line=line
        )


class LogRemoved(TaskgroveError):
    """Lines that are asked for were removed by retention."""

    def __init__(self, task_id: TaskId, first_line: int) -> None:
        super().__init__(
            f"The lines of task {task_id} up to line {first_line - 1} were removed, as the server's log_retention "
            "says. Its runs and its result are still there.",
            task_id=task_id,
            first_line=first_line,
        )


class TooManyWatchers(TaskgroveError):
    """The server serves as many watchers as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The server serves as many watchers as it may, {limit}: close a watch, or raise its max_watchers setting.",
            limit=limit,
        )


class TooManyCalls(TaskgroveError):
    """The server does as much of this kind at once as it takes on."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The server does {limit} things of this kind at once already: call again.", limit=limit)


class TokenInvalid(TaskgroveError):
    """The call carries no bearer token, or a wrong one."""

    def __init__(self) -> None:
        super().__init__(
            "Send the server's token as 'authorization: Bearer <token>' metadata; it stands in the file 'token' "
            "of the server's data directory."
        )


class ServerDraining(TaskgroveError):
    """The server is shutting down."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down: call again shortly. Agents go on working meanwhile.")


class StoreUnavailable(TaskgroveError):
    """A change could not be stored, or what is stored could not be read."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The server's store is out of order: {why}")


class MachineShort(TaskgroveError):
    """The server's machine lacks something that the call needs: memory, threads, open files, processes."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The server's machine is short of something that the call needs ({why}): call again.")


def _named(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _first_files(files: Sequence[str]) -> dict[str, str]:
    """Returns the metadata that names the first of some files, one a line."""
    return {"files": "\n".join(files[:20])} if files else {}
