"""Says why a server cannot be reached.

gRPC tells the last error of its last attempt, in words of its own. So the place is looked at once more, by a
connection that sends no token.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from taskgrove import connection

#: Seconds that each look may take.
_PATIENCE = 3.0

#: How a client of HTTP/2 begins, with settings that leave everything as it is; a server answers with its own.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_SETTINGS = 4

#: What OpenSSL calls ways in which a certificate fails (x509_vfy.h).
_NOT_YET_VALID = 9
_EXPIRED = 10
_OTHER_NAME = frozenset({62, 64})

_CHECK_TARGET = "Check --target or TASKGROVE_TARGET"
_RUNNING = f"See whether taskgroved is running there, and {_CHECK_TARGET[0].lower()}{_CHECK_TARGET[1:]}"
_NO_TASKGROVE = f"{_CHECK_TARGET}: Taskgrove listens elsewhere"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is in the way to a server, and what to do; both go on after a colon, and have no full stop."""

    what: str
    advice: str


def look(target: str, tls: connection.Tls | None) -> Obstacle:
    """Returns what is in the way to the server at a target in gRPC's notation."""
    try:
        place = _Place.of(target)
    except ValueError:
        return Obstacle("that is no address", "Write it as host:port, or unix:/path for a socket")
    try:
        return _look_encrypted(place, tls) if tls else _look_plain(place)
    except TimeoutError:
        return Obstacle("nobody answers there", _RUNNING)
    except (socket.gaierror, UnicodeError):
        # UnicodeError: no name of a machine can be that, such as with a part of more than 63 letters.
        return Obstacle("there is no machine of this name", _CHECK_TARGET)
    except PermissionError:
        return Obstacle("this socket is another user's", "Use a server of your own, or as that user")
    except FileNotFoundError:
        return Obstacle("there is no such socket", _RUNNING)
    except ConnectionRefusedError:
        return Obstacle("nothing listens there", _RUNNING)
    except OSError as error:
        return Obstacle(error.strerror or str(error), _CHECK_TARGET)


@dataclass(frozen=True, slots=True)
class _Place:
    """A socket's path, or a host with its port."""

    host: str
    port: int | None

    @classmethod
    def of(cls, target: str) -> _Place:
        """Returns the first place that a target names. Raises ValueError."""
        if target.startswith("unix:"):
            return cls(target.removeprefix("unix:").removeprefix("//"), None)
        if target.startswith("unix-abstract:"):
            return cls(f"\0{target.removeprefix('unix-abstract:')}", None)
        first = re.sub("^(dns:(//[^/]*/)?|ipv4:|ipv6:)", "", target).split(",")[0]
        parsed = urlsplit(f"//{first}")
        if "/" in first or not parsed.hostname:
            raise ValueError(target)
        return cls(parsed.hostname, parsed.port or 443)

    def connect(self) -> socket.socket:
        """Returns a connection."""
        if self.port is not None:
            return socket.create_connection((self.host, self.port), _PATIENCE)
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(_PATIENCE)
        try:
            connected.connect(self.host)
        except OSError:
            connected.close()
            raise
        return connected


def _look_plain(place: _Place) -> Obstacle:
    with place.connect() as connected:
        answer = _answer(connected)
    if _is_http2(answer):
        return Obstacle("the connection was lost", "Try again")
    if _is_web(answer):
        return Obstacle("a web server answers there", _NO_TASKGROVE)
    if _encrypts(place):
        return Obstacle(
            "it takes encrypted connections only",
            "Name the authority of its certificate with --tls-ca or TASKGROVE_TLS_CA",
        )
    return Obstacle("what answers there does not speak gRPC", _NO_TASKGROVE)


def _look_encrypted(place: _Place, tls: connection.Tls) -> Obstacle:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except ssl.SSLError:
        return Obstacle(
            f"{tls.key or tls.ca} does not fit {tls.cert}"
            if tls.cert
            else f"{tls.ca} holds no certificate that is whole",
            "Check --tls-ca, --tls-cert and --tls-key",
        )
    context.set_alpn_protocols(["h2"])
    name = tls.server_name or place.host
    if tls.server_name and not _is_name(tls.server_name):
        return Obstacle(f"{name} can be in no certificate", "Check --tls-server-name or TASKGROVE_TLS_SERVER_NAME")
    try:
        with place.connect() as connected, context.wrap_socket(connected, server_hostname=name) as encrypted:
            if encrypted.selected_alpn_protocol() != "h2":
                return Obstacle("what answers there does not speak gRPC", _NO_TASKGROVE)
            answer = _answer(encrypted)
    except ssl.SSLCertVerificationError as error:
        return _mistrusted(error, tls, name)
    except ssl.SSLError as error:
        return _without_certificate(tls) if _is_alert(error) else _unencrypted(place)
    except ConnectionError:
        return _unencrypted(place)
    if _is_http2(answer):
        return Obstacle("the connection was lost", "Try again")
    if _is_web(answer):
        return Obstacle("a web server answers there", _NO_TASKGROVE)
    return _without_certificate(tls)


def _mistrusted(error: ssl.SSLCertVerificationError, tls: connection.Tls, name: str) -> Obstacle:
    if error.verify_code == _EXPIRED:
        return Obstacle(
            "its certificate has expired", "Have it renewed there, and see whether this machine's clock is right"
        )
    if error.verify_code == _NOT_YET_VALID:
        return Obstacle("its certificate is not valid yet", "See whether the clocks of both machines are right")
    if error.verify_code in _OTHER_NAME:
        return Obstacle(
            f"its certificate is not for {name}",
            "Use a name that it is for: in --target, or with --tls-server-name or TASKGROVE_TLS_SERVER_NAME",
        )
    authority = f"the authority in {tls.ca}" if tls.ca else "an authority that everybody knows"
    return Obstacle(
        f"its certificate does not come from {authority}",
        "Name the right one with --tls-ca or TASKGROVE_TLS_CA",
    )


def _unencrypted(place: _Place) -> Obstacle:
    with place.connect() as connected:
        answer = _answer(connected)
    if _is_http2(answer):
        return Obstacle(
            "it does not encrypt",
            "Leave out --tls-ca, and what else begins with --tls, or unset TASKGROVE_TLS_CA and the like",
        )
    what = "a web server answers there" if _is_web(answer) else "what answers there does not speak gRPC"
    return Obstacle(what, _NO_TASKGROVE)


def _without_certificate(tls: connection.Tls) -> Obstacle:
    if tls.cert:
        return Obstacle(f"it does not accept the certificate in {tls.cert}", "Give one of an authority that it trusts")
    return Obstacle(
        "it takes only clients that have a certificate",
        "Give yours with --tls-cert and --tls-key, or TASKGROVE_TLS_CERT and TASKGROVE_TLS_KEY",
    )


def _is_name(text: str) -> bool:
    """Tells whether a text can be the name of a machine."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return not text.startswith(".")


def _encrypts(place: _Place) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with place.connect() as connected, context.wrap_socket(connected):
            return True
    except ssl.SSLError as error:
        return _is_alert(error)
    except OSError:
        return False


def _answer(connected: socket.socket) -> bytes:
    """Returns how the other side answers a client of gRPC; nothing where it ends the connection."""
    try:
        connected.sendall(_PREFACE)
        answer = connected.recv(1024)
    except ConnectionError:
        return b""
    except ssl.SSLError as error:
        if _is_alert(error):
            return b""
        raise
    return answer


def _is_http2(answer: bytes) -> bool:
    return len(answer) >= 9 and answer[3] == _SETTINGS


def _is_web(answer: bytes) -> bool:
    # Some know no such request, and answer with a page alone.
    return answer.lstrip().startswith((b"HTTP/", b"<"))


def _is_alert(error: ssl.SSLError) -> bool:
    """Tells whether the other side has refused a handshake, which only one does that speaks TLS."""
    return "ALERT" in (error.reason or "")
