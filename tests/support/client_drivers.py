"""Drives the blocking and the asyncio client in the same way, so that one test holds for both."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Protocol, Self

import taskgrove


class Driver(Protocol):
    """One of the two clients, connected to a target."""

    def __init__(self, target: str, **options: Any) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method that returns one thing."""
        ...

    async def collect(self, method: str, *arguments: Any, **options: Any) -> list[Any]:
        """Returns all that a method iterates."""
        ...


class Blocking:
    """Drives `taskgrove.Client` in a thread."""

    def __init__(self, target: str, **options: Any) -> None:
        self.client = taskgrove.Client(target, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.client.close)

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client, method), *arguments, **options)

    async def collect(self, method: str, *arguments: Any, **options: Any) -> list[Any]:
        return await asyncio.to_thread(lambda: list(getattr(self.client, method)(*arguments, **options)))


class Asyncio:
    """Drives `taskgrove.AsyncClient`."""

    def __init__(self, target: str, **options: Any) -> None:
        self.client = taskgrove.AsyncClient(target, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await getattr(self.client, method)(*arguments, **options)

    async def collect(self, method: str, *arguments: Any, **options: Any) -> list[Any]:
        return [item async for item in getattr(self.client, method)(*arguments, **options)]
