"""The environment of agents: a list of what they get, because the server's own holds secrets of its user."""

from __future__ import annotations

from collections.abc import Mapping

from taskgrove_server.domain import variables

#: What programs need in order to find their user, their tools and the network. A `*` ends a prefix.
COMMON = (
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)

#: What is never passed on, whatever is listed: the server's own settings, and the mark by which Claude Code
#: takes itself for a part of another one.
_NEVER = ("TASKGROVE_*", "CLAUDECODE")


def pass_on(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    """Returns the variables that are common to all agents or named; a name that ends in `*` is a prefix."""
    return {
        name: value
        for name, value in environment.items()
        if variables.match(name, (*COMMON, *names)) and not variables.match(name, _NEVER)
    }
