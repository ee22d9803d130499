"""The entry point of the command `taskgrove`.

It stands outside of the package, whose import brings gRPC: that reads GRPC_VERBOSITY then, and never again.
"""

from __future__ import annotations

import os
import sys

#: As taskgrove.cli.exits has it, which cannot be imported yet.
_INTERRUPTED = 130


def main() -> None:
    """Runs the command line and exits."""
    is_chosen = "GRPC_VERBOSITY" in os.environ
    # Its core tells why a connection fails in words of its own, a line each attempt; the command does in a sentence.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from taskgrove import cli  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    if not is_chosen:
        # A server that the command starts tells its log what there is to tell.
        del os.environ["GRPC_VERBOSITY"]
    cli.main()
