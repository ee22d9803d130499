"""The keepalive settings of both sides agree, or long silent streams would be ended for too many pings."""

from __future__ import annotations

from taskgrove import connection
from taskgrove_server.api import server

CLIENT = dict(connection.CHANNEL_OPTIONS)
SERVER = dict(server.OPTIONS)


def test_the_client_pings_no_more_often_than_the_server_permits() -> None:
    assert int(CLIENT["grpc.keepalive_time_ms"]) >= 2 * SERVER["grpc.http2.min_recv_ping_interval_without_data_ms"]
    assert CLIENT["grpc.http2.max_pings_without_data"] == 0
    assert SERVER["grpc.keepalive_permit_without_calls"] == 1


def test_each_side_waits_for_an_answer_before_it_asks_again() -> None:
    for options in (CLIENT, SERVER):
        assert int(options["grpc.keepalive_timeout_ms"]) < int(options["grpc.keepalive_time_ms"])
        assert options["grpc.http2.ping_timeout_ms"] == options["grpc.keepalive_timeout_ms"]
