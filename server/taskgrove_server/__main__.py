"""The command `taskgroved`."""

from __future__ import annotations

import contextlib
import os
import sys

#: gRPC looks for it when it is imported. Else it ends its threads before each fork, and starts them again afterwards:
#: where the system grants none at that moment, it never serves again (grpcio 1.80).
_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"

os.environ[_FORK_SUPPORT] = "0"
try:
    from taskgrove_server import app, guarding, logs, settings, tokens
    from taskgrove_server.api.addresses import AddressUnusable
    from taskgrove_server.backups import telling
    from taskgrove_server.backups.refusals import BackupImpossible
    from taskgrove_server.commands import Command, Deed
    from taskgrove_server.domain.errors import DirectoryRefused, StoreUnavailable
    from taskgrove_server.identity import IdentityRefused
    from taskgrove_server.ownership import DataDirectoryUnusable
    from taskgrove_server.store.database import DatabaseUnusable
    from taskgrove_server.tls import TlsUnusable
except ModuleNotFoundError as error:
    # The client alone installs this command as well, but not what it needs.
    sys.exit(f"taskgroved: the server needs the package {error.name!r}: pip install 'taskgrove[server]'")
# For no other program.
del os.environ[_FORK_SUPPORT]

#: What makes a start impossible and is for a person to mend: a sentence, no trace.
FOR_A_PERSON = (
    settings.SettingsInvalid,
    DataDirectoryUnusable,
    IdentityRefused,
    DatabaseUnusable,
    AddressUnusable,
    TlsUnusable,
    tokens.TokenUnusable,
    DirectoryRefused,
    StoreUnavailable,
    BackupImpossible,
)


def main() -> None:
    """Serves until told to stop, or does what else it is asked for.

    Exit status 0, 1 with a sentence on stderr when it cannot, 2 for a wrong command line, and 128 + n when signal n
    has ended a backup or a restore.
    """
    logs.open_closed()
    try:
        loaded = settings.load(sys.argv[1:], os.environ)
        command = settings.command(sys.argv[1:])
        if command.deed is not Deed.SERVE:
            sys.exit(_do(command, loaded))
    except FOR_A_PERSON as error:
        sys.exit(f"taskgroved: {error}")
    with logs.passed_on(loaded.log_level):
        status = _serve(loaded)
    sys.exit(status)


def _do(command: Command, loaded: settings.Settings) -> int:
    """Does something else than to serve; returns the exit status."""
    if command.deed is Deed.BACKUP:
        return telling.back_up(loaded.data_directory, command.directory, with_token=command.with_token)
    if command.deed is Deed.RESTORE:
        return telling.restore(command.directory, loaded.data_directory)
    path = loaded.data_directory / "token"
    tokens.rotate(path)
    sys.stderr.write(f"There is a new token in {path}; the one before is worth nothing from now on.\n")
    return 0


def _serve(loaded: settings.Settings) -> int:
    """Serves; returns the exit status. Says what there is to say while somebody passes it on."""
    try:
        app.serve(loaded)
    except FOR_A_PERSON as error:
        _say(f"taskgroved: {error}\n")
        return 1
    except Exception as error:
        shortage = guarding.shortage_behind(error)
        if shortage is None:
            raise
        _say(f"taskgroved: The machine is short of something that the server needs: {guarding.told(shortage)}.\n")
        return 1
    return 0


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="surrogateescape"))


if __name__ == "__main__":
    main()
