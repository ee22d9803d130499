"""Puts the parts together.

client -- RPC --> api --> store -- commit --> signals --> watchers wake
                                                 |
                                                 v
                                             dispatcher --> slot: flow --> worktrees, processes --> log
                                                                                                     |
client <-- stream -- api <--------------------- journal <--------------------------------------------+
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from datetime import timedelta

from taskgrove_server import file_limits
from taskgrove_server.address_file import AddressFile
from taskgrove_server.agents import registry
from taskgrove_server.api import inquiries
from taskgrove_server.api.directories import Directories
from taskgrove_server.api.encoded_tasks import EncodedTasks
from taskgrove_server.api.event_service import EventServicer
from taskgrove_server.api.front import Reads
from taskgrove_server.api.inquiries import Inquiries
from taskgrove_server.api.interceptors import Admission, StatusInterceptor
from taskgrove_server.api.limits import StreamLimit
from taskgrove_server.api.log_reads import LogReads
from taskgrove_server.api.offloading import Offloading
from taskgrove_server.api.reading import Reading
from taskgrove_server.api.repeating import Repeats
from taskgrove_server.api.server import Server, Servicers
from taskgrove_server.api.server_service import Condition, ServerServicer, Site
from taskgrove_server.api.task_list_service import TaskListServicer
from taskgrove_server.api.task_reads import TaskReads
from taskgrove_server.api.task_service import TaskServicer
from taskgrove_server.api.watching import Watching
from taskgrove_server.api.worktree_service import WorktreeServicer
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import TaskState
from taskgrove_server.guarding import Troubles
from taskgrove_server.identity import Arrival
from taskgrove_server.idling import Idling
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.wakeups import Wakeups
from taskgrove_server.ownership import DataDirectory, DataDirectoryUnusable
from taskgrove_server.processes import starting
from taskgrove_server.processes.spec import Graces
from taskgrove_server.runner import disk_measures, programs
from taskgrove_server.runner.begun import Begun
from taskgrove_server.runner.clearing import Clearing
from taskgrove_server.runner.disk_usage import DiskUsages
from taskgrove_server.runner.dispatcher import Dispatcher
from taskgrove_server.runner.driving import Limits
from taskgrove_server.runner.execution import Ending, Execution, Places
from taskgrove_server.runner.flow import Flow
from taskgrove_server.runner.holding import Holding
from taskgrove_server.runner.housekeeping import Housekeeping
from taskgrove_server.runner.landings import Landings
from taskgrove_server.runner.leftovers import Leftovers
from taskgrove_server.runner.listings import Listings
from taskgrove_server.runner.log_files import LogFiles
from taskgrove_server.runner.operations import Operations
from taskgrove_server.runner.preparing import Preparation
from taskgrove_server.runner.recovery import recover
from taskgrove_server.runner.relocation import Relocation
from taskgrove_server.runner.retention import Retention, Spans
from taskgrove_server.runner.review import Review
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.runner.steady_time import SteadyTime
from taskgrove_server.runner.task_work import TaskWork
from taskgrove_server.settings import Settings
from taskgrove_server.signals.commits import Commits
from taskgrove_server.store.store import Store
from taskgrove_server.tls import Tls
from taskgrove_server.tokens import Token
from taskgrove_server.upkeep import Upkeep
from taskgrove_server.worktrees import repositories
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.roots import AllowedRoots
from taskgrove_server.worktrees.shared.shared_state import SharedState
from taskgrove_server.worktrees.worktrees import Owner, Worktrees

log = logging.getLogger(__name__)

#: Seconds for which calls are still answered, with when to call again, before connections are refused.
FAREWELL = 0.25

#: Seconds that RPCs have to end once the server shuts down. Watches end at once, being told to come back.
GRACE = 1.0

#: Seconds that git commands have to end after that; the next server does again what was cut off.
PATIENCE = 10.0

#: New objects after which the youngest are looked through for cycles.
NEW_OBJECTS = 50_000


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises what makes a start impossible, with a sentence for a person."""
    files = file_limits.raise_limit(file_limits.wanted(settings.max_watchers, settings.slots))
    most_watchers = file_limits.most_watchers(settings.max_watchers, files, settings.slots)
    if most_watchers < settings.max_watchers:
        log.warning("At most %d watches are served: the system grants %d open files", most_watchers, files)
    with DataDirectory(settings.data_directory) as data:
        App(settings, data, most_watchers=most_watchers).run()


class App:
    """One server over one data directory."""

    def __init__(self, settings: Settings, data: DataDirectory, *, most_watchers: int) -> None:
        self._settings = settings
        self._data = data
        agents = registry.shipped(claude=settings.claude, pass_environment=settings.pass_environment)
        roots = AllowedRoots(settings.allowed_roots)
        tls_files = settings.tls_files
        self._troubles = Troubles()
        self._tls = Tls(tls_files, self._troubles) if tls_files else None
        self._wakeups = Wakeups()
        commits = Commits()
        encoded_tasks = EncodedTasks()
        # Before all others: who is woken may ask for a task at once.
        commits.listen(encoded_tasks.changed)
        commits.listen(self._wakeups.tasks)
        self._store = Store(data.database, commits.tell, self._troubles, encoded_tasks.changing)
        self._journal = Journal(self._wakeups, self._troubles)
        self._worktrees = Worktrees(
            data.worktrees,
            Author(settings.author_name, settings.author_email),
            branch_prefix=settings.branch_prefix,
            timeout=settings.git_timeout,
            pass_environment=settings.pass_environment,
            owner=Owner(data.identity.mark, data.identity.suffix),
        )
        execution = Execution(
            self._store,
            self._journal,
            agents,
            Places(runs=data.runs, logs=data.logs),
            _ending(settings),
            SharedState(self._worktrees.git, self._worktrees.locks, settings.branch_prefix),
        )
        works = TaskWork(self._store, self._worktrees)
        self._operations = Operations(self._store, works, self._worktrees.git, self._worktrees.locks)
        self._leftovers = Leftovers((data.worktrees, data.sandboxes))
        log_files = LogFiles(self._store, data.logs)
        self._clearing = Clearing(self._store, works, self._operations, self._worktrees, self._leftovers, log_files)
        begun = Begun(self._store, self._worktrees)
        preparation = Preparation(self._worktrees, self._clearing, begun, data.sandboxes, settings.pass_environment)
        space = FreeSpace(data.root, settings.min_free_space << 20)
        self._holding = Holding(self._store, agents, space, timedelta(seconds=settings.retry_pause))
        self._flow = Flow(self._store, preparation, execution, self._worktrees, self._holding, space)
        self._dispatcher = Dispatcher(self._store, settings.slots, space, self._holding, self._flow.run, self._troubles)
        commits.listen(self._dispatcher.changed)
        self._reads = Reads(self._store, self._troubles)
        self._log_reads = LogReads(self._journal, self._troubles)
        self._listings = Listings()
        limit = StreamLimit(most_watchers)
        watching = Watching(self._store, self._reads, self._journal, self._log_reads, self._wakeups, limit)
        reading = Reading(self._store, self._reads, self._journal, self._log_reads, limit)
        self._offloading = Offloading(self._store, self._worktrees.interrupt, self._troubles)
        patience = min(inquiries.PATIENCE, settings.git_timeout)
        self._inquiries = Inquiries(repositories.interrupt, patience)
        directories = Directories(self._inquiries, roots, settings.branch_prefix)
        repeats = Repeats(self._store, self._reads)
        self._versions = programs.versions(agents, self._troubles)
        disk_usages = DiskUsages(
            (
                disk_measures.of_database(data.database),
                disk_measures.of_directory("log_bytes", data.logs),
                disk_measures.of_directory("worktree_bytes", data.worktrees),
                disk_measures.of_directory("sandbox_bytes", data.sandboxes),
                disk_measures.of_leftovers(data.worktrees, data.sandboxes),
                disk_measures.References(self._store, self._worktrees),
            )
        )
        self._server_service = ServerServicer(
            self._reads,
            self._dispatcher,
            agents,
            self._versions,
            Site(roots, data.identity),
            Condition(self._troubles, disk_usages),
        )
        self._servicers = Servicers(
            tasks=TaskServicer(
                self._reads,
                TaskReads(self._reads, encoded_tasks),
                watching,
                reading,
                self._offloading,
                repeats,
                self._clearing,
                directories,
                agents.names,
            ),
            task_lists=TaskListServicer(self._store, self._reads, directories, agents.names),
            events=EventServicer(self._store, self._reads, self._wakeups, limit),
            worktrees=WorktreeServicer(
                self._store,
                repeats,
                self._offloading,
                Review(works, self._listings, self._worktrees.git),
                Landings(self._store, works, self._operations, self._worktrees),
                self._clearing,
            ),
            server=self._server_service,
        )
        steady_time = SteadyTime(self._store.retention.newest_change)
        retention = Retention(self._store, self._clearing, log_files, _spans(settings), steady_time)
        chores = {
            "events": self._trim_events,
            "requests": self._trim_requests,
            "worktrees": self._prune_worktrees,
            "log files": log_files.remove_all,
            "log retention": retention.remove_logs,
            "task retention": retention.delete_tasks,
            "leftovers": self._leftovers.remove,
            "begun": begun.remove,
            "listings": self._drop_listings,
            "free pages": self._give_back_pages,
            "disk usage": disk_usages.measure,
        }
        self._housekeeping = Housekeeping(chores, self._store.close_connection, self._troubles)
        token = Token(data.token, self._troubles)
        admission = Admission(token.matches, self._wakeups)
        self._interceptor = StatusInterceptor(admission)
        idling = Idling(settings.idle_exit, admission.quiet, self._is_active, data.leave)
        self._address_file = AddressFile(data.address)
        self._address_file.clear()
        self._upkeep = Upkeep(data, token, self._address_file, idling, self._troubles)

    def run(self) -> None:
        """Serves until told to stop, then leaves everything as the next server needs it."""
        try:
            self._holding.renew()
            self._arrive()
            recover(
                self._store,
                self._flow,
                self._operations,
                self._dispatcher,
                self._worktrees,
                self._data.runs,
            )
            asyncio.run(self._serve())
        finally:
            self._housekeeping.stop()
            self._dispatcher.stop(stop_runs=self._settings.stop_runs)
            if not self._dispatcher.wait(PATIENCE):
                self._worktrees.stop()
                self._dispatcher.wait(None)
            self._offloading.close(PATIENCE, self._worktrees.stop)
            repositories.stop()
            self._inquiries.close(GRACE)
            starting.fork_server.dismiss()
            self._journal.close()
            self._log_reads.close()
            self._reads.close()
            self._store.close()

    def _arrive(self) -> None:
        """Does what follows from it that the data directory was copied or moved to its place."""
        identity = self._data.identity
        relocation = Relocation(self._store, self._journal, self._worktrees)
        if identity.arrival is Arrival.COPIED:
            try:
                relocation.leave_original(identity.copied_from or "", self._data.worktrees)
            except OSError as error:
                message = f"The worktrees that were copied with {self._data.root} cannot be set aside: {error}"
                raise DataDirectoryUnusable(message) from error
        elif identity.arrival is Arrival.MOVED:
            relocation.follow_move(identity.id, self._data.runs)
        self._data.settle()

    def _drop_listings(self, _: Callable[[], bool]) -> None:
        self._listings.drop()

    def _trim_events(self, stopped: Callable[[], bool]) -> None:
        retention = timedelta(seconds=self._settings.event_retention)
        while not stopped() and self._store.events.trim(retention, self._settings.max_events).result():
            pass

    def _trim_requests(self, stopped: Callable[[], bool]) -> None:
        retention = timedelta(seconds=self._settings.request_retention)
        while not stopped() and self._store.requests.trim(retention).result():
            pass

    def _give_back_pages(self, stopped: Callable[[], bool]) -> None:
        while not stopped() and self._store.free_pages.give_back().result():
            pass

    def _prune_worktrees(self, stopped: Callable[[], bool]) -> None:
        self._operations.settle()
        while self._clearing.prune(None, None, dry_run=False, stopped=stopped).more and not stopped():
            pass

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        told_to_stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # `nohup` has it ignored, so that the server outlives its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, told_to_stop.set)
        self._wakeups.attach(loop)

        def leave() -> None:
            self._wakeups.drain()
            told_to_stop.set()

        server = Server(self._interceptor, self._servicers, self._troubles)
        try:
            targets = await server.start(self._settings.addresses, self._tls)
            self._server_service.addresses = targets
            starting.fork_server.prepare()
            self._versions.start()
            self._dispatcher.start()
            self._housekeeping.start()
            upkeep = asyncio.create_task(self._upkeep.run(server, leave))
            _spare_the_collector()
            self._address_file.write(targets)
            log.info("taskgroved is ready on %s", " and ".join(targets))
            await told_to_stop.wait()
            upkeep.cancel()
            log.info("taskgroved shuts down")
            await server.drain()
            self._wakeups.drain()
            await asyncio.sleep(FAREWELL)
        finally:
            self._address_file.remove()
            await server.stop(GRACE)
            self._versions.close()
            self._wakeups.attach(None)

    async def _is_active(self) -> bool:
        if self._offloading.busy:
            return True
        active = TaskFilter(states=frozenset({TaskState.QUEUED, TaskState.RUNNING}))
        return bool(await self._reads(self._store.tasks.page, active, Order.NEWEST_FIRST, None, 1))


def _ending(settings: Settings) -> Ending:
    return Ending(
        Limits(
            run_timeout=settings.run_timeout,
            stall_timeout=settings.stall_timeout,
            linger=settings.linger,
            log_limit=settings.log_limit << 20,
        ),
        Graces(
            interrupt=settings.interrupt_grace,
            sigint=settings.sigint_grace,
            sigterm=settings.sigterm_grace,
            sweep=settings.sweep_grace,
        ),
        least_free=settings.min_free_space << 20,
    )


def _spans(settings: Settings) -> Spans:
    return Spans(
        tasks=timedelta(seconds=settings.task_retention) if settings.task_retention else None,
        logs=timedelta(seconds=settings.log_retention) if settings.log_retention else None,
    )


def _spare_the_collector() -> None:
    """Has Python look for garbage in cycles less often, and never among what stays till the end.

    By default it does so after each 700 new objects: half of the event loop's time when a thousand watches begin.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
