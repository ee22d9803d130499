"""Where the server is, and how a channel to it is set up; the same for both clients."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc

#: Repeated by gRPC itself on UNAVAILABLE: all calls that read, or carry a request id, which is all but the watches.
#: These are resumed by `watching` and `feed`.
RETRIED_METHODS = (
    (
        "TaskService",
        (
            "Enqueue",
            "Continue",
            "Cancel",
            "GetTask",
            "ListTasks",
            "ListRuns",
            "UpdateTask",
            "UpdateSubtask",
            "ReadLines",
            "RetryTask",
            "DeleteTask",
        ),
    ),
    ("TaskListService", ("CreateTaskList", "GetTaskList", "ListTaskLists", "UpdateTaskList", "DeleteTaskList")),
    ("ServerService", ("GetServerInfo", "LiftHold")),
    (
        "WorktreeService",
        (
            "GetWorktreeStatus",
            "ListChangedFiles",
            "DiffWorktree",
            "ListCommits",
            "CheckLand",
            "Land",
            "PushBranch",
            "DiscardWorktree",
            "PruneWorktrees",
            "ReadSetupLog",
        ),
    ),
)

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": f"taskgrove.v1.{service}", "method": method}
                for service, methods in RETRIED_METHODS
                for method in methods
            ],
            "retryPolicy": {
                # gRPC allows no more than 5. With these waits the last attempt comes about 1.5 s after the first.
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

#: How targets begin that are sockets of this machine.
_UNIX = ("unix:", "unix-abstract:")

CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # Finds a peer that is gone without a word within 45 s. A gRPC server that gets more than one ping in 300 s
    # answers with GOAWAY "too_many_pings" unless it was told otherwise; this one permits one every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    # Without this an unanswered ping is given 60 s, whatever keepalive_timeout says (measured with grpcio 1.80).
    ("grpc.http2.ping_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Until a new connection attempt is due, calls fail at once. gRPC waits up to 120 s; a restart takes far less.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A proxy from the environment has no business with a local service, nor with its token.
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """What a TLS connection is made with; paths of PEM files.

    `ca` None means the authorities that gRPC brings. `cert` and `key` are the client's own, where the server wants
    some. `server_name` is the name in the server's certificate where the target has another.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns gRPC's credentials. Raises OSError for a file that cannot be read, and ValueError for half a pair."""
        if (self.cert is None) != (self.key is None):
            # gRPC ends the process for it.
            raise ValueError(
                f"{'A certificate' if self.key is None else 'A key'} alone is of no use: give cert and key."
            )
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.ca), private_key=_content(self.key), certificate_chain=_content(self.cert)
        )

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Returns gRPC's options."""
        return (("grpc.ssl_target_name_override", self.server_name),) if self.server_name else ()


@dataclass(frozen=True, slots=True)
class Connection:
    """A target in gRPC's notation, and the metadata of every call to it, which holds the token: never log it."""

    target: str
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: None means that nothing is encrypted.
    tls: Tls | None = None


def resolve(target: str | None, token: str | None, tls: Tls | bool | None = None) -> Connection:
    """Fills in what is None from TASKGROVE_TARGET, TASKGROVE_TOKEN and TASKGROVE_TLS_*, else from the data directory.

    The token file belongs to the server of this machine, so it is used for loopback addresses only. The Unix
    socket needs no token. Raises ValueError when a token would go to another machine unencrypted, or is none.
    """
    target = target or os.environ.get("TASKGROVE_TARGET") or default_target()
    token = (token or os.environ.get("TASKGROVE_TOKEN") or "").strip()
    if not re.fullmatch("[!-~]*", token):
        raise ValueError("The token has characters that no token has: it is one word, in the file 'token'.")
    if not token and is_loopback(target):
        token = _read_token(default_data_directory() / "token") or ""
    if tls is None:
        tls = _tls_of_environment()
    secured = Tls() if tls is True else tls or None
    if token and secured is None and not target.startswith(_UNIX) and not is_loopback(target):
        raise ValueError(
            f"The token would go to {target} unencrypted, for everybody on the way to read: set tls, or "
            "TASKGROVE_TLS_CA to the authority of the server's certificate."
        )
    return Connection(target, (("authorization", f"Bearer {token}"),) if token else (), secured)


def tls_of(*, ca: str | None, cert: str | None, key: str | None, server_name: str | None) -> Tls | None:
    """Returns what texts ask for, None when they ask for nothing; "default" as `ca` stands for what gRPC brings."""
    if not (ca or cert or key):
        return None
    authority = None if ca in ("default", "", None) else ca
    return Tls(ca=authority, cert=cert or None, key=key or None, server_name=server_name or None)


def _tls_of_environment() -> Tls | None:
    given = {name: os.environ.get(f"TASKGROVE_TLS_{name.upper()}") for name in ("ca", "cert", "key", "server_name")}
    return tls_of(**given)


def _content(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def default_data_directory() -> Path:
    """Returns the server's data directory: $TASKGROVE_DATA_DIR, else $XDG_DATA_HOME/taskgrove, else ~/.local/….

    Raises OSError when the user has no home directory.
    """
    if chosen := os.environ.get("TASKGROVE_DATA_DIR"):
        return Path(chosen)
    if shared := os.environ.get("XDG_DATA_HOME"):
        return Path(shared) / "taskgrove"
    try:
        return Path.home() / ".local" / "share" / "taskgrove"
    except RuntimeError as error:
        # As in a container whose user is none that the system knows.
        raise OSError("There is no home directory: set HOME, or TASKGROVE_DATA_DIR.") from error


def default_target() -> str:
    """Returns the Unix socket in the default data directory."""
    return f"unix:{default_data_directory() / 'taskgroved.sock'}"


def is_loopback(target: str) -> bool:
    """Tells whether a target is TCP on this machine: localhost:50051, ipv4:127.0.0.1:50051, dns:///[::1]:50051."""
    # gRPC takes several addresses after one of these. Behind "dns://" there may be another machine to ask for names.
    addresses = re.sub("^(dns:(///)?|ipv4:|ipv6:)", "", target).split(",")
    return all(map(_is_loopback_address, addresses))


def _is_loopback_address(address: str) -> bool:
    try:
        host = urlsplit(f"//{address}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_token(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
