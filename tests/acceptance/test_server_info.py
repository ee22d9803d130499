"""What the server tells of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import taskgrove
from support import claude_cli, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.server_service_pb2 import DiskUsage, GetServerInfoResponse


def told(info: GetServerInfoResponse) -> GetServerInfoResponse | None:
    """Returns what a server tells of itself once it knows all versions."""
    return info if info.git_version and info.agents[0].version else None


def test_the_server_tells_its_agents_with_their_versions(tmp_path: Path) -> None:
    claude = claude_cli.executable()
    flags = ("--claude", str(claude), "--slots", "3", "--allowed-roots", str(tmp_path))
    with RunningServer(*flags) as server, server.client() as client:
        # Both are asked in the background.
        info = tasks_gates.until(lambda: told(client.get_server_info()), "the versions")
    assert info.version == taskgrove.__version__
    assert info.api_revision >= 1
    assert abs(info.start_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5)
    assert (info.slots, info.busy_slots, info.queued_tasks, info.space_short) == (3, 0, 0, False)
    assert info.git_version.startswith("2.")
    assert list(info.allowed_roots) == [str(tmp_path.resolve())]
    first, second = info.agents
    assert (first.name, first.available, first.path, first.problem) == ("claude", True, str(claude), "")
    assert first.version.count(".") == 2
    assert first.capabilities.sessions
    assert first.capabilities.usage
    assert (second.name, second.available, second.version) == ("command", True, "")
    assert not second.capabilities.models


def test_an_agent_that_is_not_there_is_told_with_what_to_do() -> None:
    with RunningServer("--claude", "no-such-claude") as server, server.client() as client:
        claude = client.get_server_info().agents[0]
    assert not claude.available
    assert "no-such-claude" in claude.problem
    assert claude.path == claude.version == ""


def test_the_server_tells_how_busy_it_is(tmp_path: Path) -> None:
    with (
        RunningServer("--slots", "1") as server,
        server.client() as client,
        tasks_gates.Gate(tmp_path / "gate") as gate,
    ):
        task_list = tasks_work.make_list(client, gate.pass_through)
        tasks = [client.enqueue(task_list.id, f"Task {number}") for number in range(3)]
        gate.wait_for_arrivals()
        info = client.get_server_info()
        assert (info.slots, info.busy_slots, info.queued_tasks) == (1, 1, 2)
        gate.open()
        for task in tasks:
            tasks_work.rest(client, task.id)


def test_the_server_tells_how_much_disk_it_takes(tmp_path: Path) -> None:
    with RunningServer() as server, server.client() as client:
        project = Project(client, tmp_path / "project")
        printing = "head -c 1000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/urandom > big"
        kept, removed = (project.run(printing) for _ in range(2))
        tasks_work.run(client, "head -c 2000000 /dev/urandom > big")
        client.discard_worktree(removed.id)
        left = server.data / "worktrees/.removed/x-1/protected"
        left.parent.mkdir(parents=True)
        # The next server begins with measuring: long before it would clear away what was set aside.
        assert server.terminate() == 0
        left.write_bytes(b"x" * 500_000)
        server.start()
        usage = tasks_gates.until(lambda: measured(client), "the first measuring")
    assert kept.worktree.path
    assert 2_000_000 <= usage.log_bytes < 3_000_000
    assert 3_000_000 <= usage.worktree_bytes < 4_000_000
    assert 2_000_000 <= usage.sandbox_bytes < 3_000_000
    assert 100_000 <= usage.database_bytes < 10_000_000
    assert usage.HasField("leftover_bytes")
    assert (usage.saved_refs, usage.kept_refs) == (1, 0)
    assert abs(usage.measure_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5)


def measured(client: taskgrove.Client) -> DiskUsage | None:
    info = client.get_server_info()
    return info.disk_usage if info.HasField("disk_usage") else None
