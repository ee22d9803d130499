"""The blocking client."""

from taskgrove.blocking.client import Client
from taskgrove.blocking.watch import Watch

__all__ = ["Client", "Watch"]
