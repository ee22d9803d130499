"""What requests to EventService must be."""

from __future__ import annotations

from taskgrove.v1 import event_pb2
from taskgrove.v1 import event_service_pb2 as messages
from taskgrove_server.api.validation.checks import Checks

#: Lists that a feed may be kept to.
LISTS = 100


def watch(request: messages.WatchEventsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.not_negative("after_sequence", request.after_sequence)
        if len(request.task_list_ids) > LISTS:
            checks.wrong("task_list_ids", f"must have at most {LISTS} entries")
        for index, task_list_id in enumerate(request.task_list_ids[:LISTS]):
            checks.id(f"task_list_ids[{index}]", task_list_id)
        checks.known("kinds", request.kinds, event_pb2.Event.Kind)
        checks.heartbeat(request)
