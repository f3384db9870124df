"""A client of OFREP's event streams, by hand: the stock provider for Python follows none."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import orjson

from tests.harness import Person, done

Event = tuple[str | None, dict[str, Any]]
"""The id and the data."""


async def where(person: Person, org_id: UUID | None = None) -> str:
    """Return the address of the stream that a bulk evaluation names."""
    context = {} if org_id is None else {"organization_id": str(org_id)}
    [stream] = done(await person.post("/ofrep/v1/evaluate/flags", {"context": context}))["eventStreams"]
    assert stream["type"] == "sse"
    return stream["endpoint"]["requestUri"]


class Following:
    """One stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines: AsyncIterator[str] = response.aiter_lines()
        self.comments = 0
        self.retry = ""

    async def next(self) -> Event | None:
        """Return the next event; None: the server ended the stream."""
        id: str | None = None
        data = ""
        async with asyncio.timeout(30):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif found := re.fullmatch(r"(id|data|retry): (.*)", line):
                    name, value = found.groups()
                    if name == "id":
                        id = value
                    elif name == "data":
                        data += value
                    else:
                        self.retry = value
                elif not line and data:
                    return id, orjson.loads(data)
        return None


@asynccontextmanager
async def following(url: str, path: str, after: str | None = None) -> AsyncGenerator[Following]:
    headers = {"Host": "hub.test"} | ({} if after is None else {"Last-Event-ID": after})
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Following(response)
