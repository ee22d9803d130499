"""The command `taskgroved`."""

from __future__ import annotations

import logging
import os
import sys

try:
    from taskgrove_server import app, settings
    from taskgrove_server.api.server import AddressUnusable
    from taskgrove_server.domain.errors import DirectoryRefused, StoreUnavailable
    from taskgrove_server.ownership import DataDirectoryUnusable
    from taskgrove_server.store.database import DatabaseUnusable
except ModuleNotFoundError as error:
    # The client alone installs this command as well, but not what it needs.
    sys.exit(f"taskgroved: the server needs the package {error.name!r}: pip install 'taskgrove[server]'")

#: What makes a start impossible and is for a person to mend: a sentence, no trace.
FOR_A_PERSON = (
    settings.SettingsInvalid,
    DataDirectoryUnusable,
    DatabaseUnusable,
    AddressUnusable,
    DirectoryRefused,
    StoreUnavailable,
)


def main() -> None:
    """Serves until told to stop. Exit status 0, or 1 with a sentence on stderr when it cannot start."""
    try:
        loaded = settings.load(sys.argv[1:], os.environ)
        logging.basicConfig(level=loaded.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        app.serve(loaded)
    except FOR_A_PERSON as error:
        sys.exit(f"taskgroved: {error}")


if __name__ == "__main__":
    main()
