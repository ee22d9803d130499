"""Turns an error of a call into what a person reads, and the exit code."""

from __future__ import annotations

import grpc

from taskgrove import errors
from taskgrove.cli import connecting, exits, reaching
from taskgrove.cli.rendering import safety

#: How a server answers that knows no such call, or a proxy that lets nobody near it.
_STRANGERS = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED})


def is_of_stranger(error: errors.TaskgroveError) -> bool:
    """Tells whether something answered that is no Taskgrove server, or one from before the call was there."""
    return error.reason is None and error.code in _STRANGERS


def of(error: errors.TaskgroveError, server: connecting.Server) -> exits.Refused:
    """Returns the refusal to show for an error of a call to a server."""
    where = f"the default server, {server.address}" if server.is_default else server.address
    # gRPC knows no better code for a target that it cannot make anything of.
    if error.reason is None and (isinstance(error, errors.ServerUnavailable) or error.code == grpc.StatusCode.UNKNOWN):
        obstacle = reaching.look(server.address, server.tls)
        advice = f"{obstacle.advice}."
        if server.is_default:
            advice = "Start it with: taskgroved, or see what is wrong with: taskgrove doctor"
        return exits.Unreachable(safety.plain(f"Cannot reach {where}: {obstacle.what}. {advice}"))
    if is_of_stranger(error):
        said = (
            f"What answers at {where} is no Taskgrove server, or one that is older than this command. "
            "Check --target or TASKGROVE_TARGET, and with taskgrove doctor the version."
        )
        return exits.Unreachable(safety.plain(said))
    if isinstance(error, errors.Unauthenticated):
        said = (
            f"The server at {server.address} takes no call without its token. Give what the file 'token' in its data "
            "directory says, with --token or TASKGROVE_TOKEN."
        )
        return exits.Unreachable(safety.plain(said))
    if exits.of_error(error) == exits.UNREACHABLE:
        return exits.Unreachable(safety.plain(error.message))
    return exits.Refused(safety.plain(error.message))
