"""Races: coroutines that all reach their first write transaction before any of them begins it."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from unittest import mock

from cluster.data.postgres import pool

T = TypeVar("T")
_LIMIT_S = 30.0


class _Racer:
    """One of those who wait for each other; `has_come` when it is about to write, or has ended without."""

    def __init__(self, line: "_Line") -> None:
        self.line = line
        self.has_come = False

    def come(self) -> None:
        if not self.has_come:
            self.has_come = True
            self.line.missing -= 1
            if self.line.missing == 0:
                self.line.open.set()

    async def run(self, race: Coroutine[Any, Any, T]) -> T:
        _racer.set(self)
        try:
            return await race
        finally:
            self.come()


class _Line:
    def __init__(self, racers: int) -> None:
        self.missing = racers
        self.open = asyncio.Event()


_racer: ContextVar[_Racer | None] = ContextVar("racer", default=None)


class _PoolBehindTheLine:
    """What `write` takes its connection from: not before every racer has come."""

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Any]:
        racer = _racer.get()
        if racer is not None and not racer.has_come:
            racer.come()
            async with asyncio.timeout(_LIMIT_S):
                await racer.line.open.wait()
        async with pool().acquire() as raw:
            yield raw


async def at_once(*races: Coroutine[Any, Any, T]) -> list[T]:
    """Run all beside each other and return their results in order; see `Hub.at_once`."""
    line = _Line(len(races))
    with mock.patch.object(importlib.import_module("cluster.data.write"), "pool", _PoolBehindTheLine):
        ended = await asyncio.gather(*(_Racer(line).run(race) for race in races), return_exceptions=True)
    results: list[T] = []
    for each in ended:
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results
