"""The asyncio client: the methods of `taskgrove.Client` as coroutines and asynchronous iterators."""

from taskgrove.aio.client import AsyncClient
from taskgrove.aio.watch import AsyncEventWatch, AsyncWatch

__all__ = ["AsyncClient", "AsyncEventWatch", "AsyncWatch"]
