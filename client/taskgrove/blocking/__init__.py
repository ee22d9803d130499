"""The blocking client."""

from taskgrove.blocking.client import Client
from taskgrove.blocking.watch import EventWatch, Watch

__all__ = ["Client", "EventWatch", "Watch"]
