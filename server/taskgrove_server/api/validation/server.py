"""What requests to ServerService must be."""

from __future__ import annotations

from taskgrove.v1 import server_service_pb2 as messages
from taskgrove_server.api.validation.checks import PATH, Checks

#: Bytes of a hold's id: its kind stands before what may be a path.
_HOLD_ID = PATH + 100


def lift_hold(request: messages.LiftHoldRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        if not request.hold_id:
            checks.wrong("hold_id", "must not be empty")
        elif len(request.hold_id.encode()) > _HOLD_ID:
            checks.wrong("hold_id", f"must have at most {_HOLD_ID} bytes")
        checks.request_id(request.request_id)
