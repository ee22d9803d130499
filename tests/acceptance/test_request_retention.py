"""Request ids are kept for as long as the server is told to, and no longer."""

from __future__ import annotations

from support import tasks_gates, tasks_work
from support.server import RunningServer

DAY_IN_MICROSECONDS = 86_400 * 10**6


def test_housekeeping_removes_old_request_ids() -> None:
    with RunningServer("--request-retention", "86400") as server, server.client() as client:
        for request_id in ("old", "fresh"):
            client.create_task_list("A list", request_id=request_id)
        # Nearly a day old, and a little more.
        for request_id, age in (("fresh", 0.9), ("old", 1.1)):
            earlier = round(age * DAY_IN_MICROSECONDS)
            statement = "UPDATE request SET create_time = create_time - ? WHERE id = ?"
            tasks_work.execute(server, statement, earlier, request_id)
        assert ids(server) == {"old", "fresh"}
        # Each server begins with it.
        assert server.terminate() == 0
        server.start()
        tasks_gates.until(lambda: ids(server) == {"fresh"}, "the end of the old id")


def ids(server: RunningServer) -> set[str]:
    with tasks_work.connected(server) as database:
        return {request_id for (request_id,) in database.execute("SELECT id FROM request")}
