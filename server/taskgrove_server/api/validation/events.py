"""What requests to EventService must be."""

from __future__ import annotations

from taskgrove.v1 import event_pb2
from taskgrove.v1 import event_service_pb2 as messages
from taskgrove_server.api.validation.checks import Checks


def watch(request: messages.WatchEventsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.not_negative("after_sequence", request.after_sequence)
        checks.task_list_ids(request.task_list_ids)
        checks.known("kinds", request.kinds, event_pb2.Event.Kind)
        checks.heartbeat(request)
