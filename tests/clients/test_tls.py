"""Clients over TLS, and what they never send without it."""

from __future__ import annotations

from pathlib import Path

import taskgrove
from support import tasks_work
from support.certificates import Certificates
from support.client_programs import Program, connection
from support.server import RunningServer
from taskgrove.connection import Tls

#: Nobody is called at any of these.
ELSEWHERE = [
    "192.0.2.1:1",
    "example.org:1",
    "unix.example.org:1",
    "localhost.example.org:1",
    "dns://192.0.2.1/localhost:1",
    "ipv4:127.0.0.1:1,192.0.2.1:1",
]
HERE = [
    "localhost:1",
    "127.0.0.1:1",
    "[::1]:1",
    "dns:///localhost:1",
    "ipv4:127.1.2.3:1",
    "unix:/nowhere",
    "unix-abstract:nowhere",
]


def test_tls(program: Program, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    cert, key = certificates.write("client", "grace@example.org")
    flags = [*certificates.server_flags("taskgrove.test"), "--tls-client-ca", str(certificates.ca)]
    with RunningServer(*flags, tcp=True) as server:
        variables = connection(server)
        tls = Tls(ca=certificates.ca, cert=cert, key=key, server_name="taskgrove.test")
        with taskgrove.Client(server.target, token=variables["TASKGROVE_TOKEN"], tls=tls) as client:
            task = tasks_work.run(client, "seq 1000")
        variables |= {
            "TASKGROVE_TLS_CA": str(tls.ca),
            "TASKGROVE_TLS_CERT": str(tls.cert),
            "TASKGROVE_TLS_KEY": str(tls.key),
            "TASKGROVE_TLS_SERVER_NAME": str(tls.server_name),
        }
        with program.start("tls", variables, task_id=task.id, targets=ELSEWHERE + HERE) as running:
            seen = running.seen()
    assert (seen["watch"]["last_line"], seen["watch"]["state"]) == (task.last_line, "STATE_SUCCEEDED")
    assert (seen["unencrypted"]["code"], seen["unencrypted"]["reason"]) == ("UNAVAILABLE", None)
    assert seen["refused_targets"] == ELSEWHERE
