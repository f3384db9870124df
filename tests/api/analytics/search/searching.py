"""OpenSearch for tests, started by the first that needs it, and how they ask."""

import asyncio
import os
from pathlib import Path
from typing import Any

from api.analytics.search.engine import languages
from cluster.base.settings import settings
from cluster.data.opensearch import index_name, opensearch
from cluster.servers import Home
from cluster.servers.testing import shared_opensearch
from tests.harness import Hub, Person, done

ADDRESS = "HUB_OPENSEARCH_URL"


async def searching() -> None:
    """Point this process at OpenSearch, with nothing of this stack in it the first time."""
    if os.environ.get(ADDRESS):
        return
    home = Home(Path(os.environ["HUB_HOME"]), volatile=True)
    os.environ[ADDRESS] = await asyncio.to_thread(shared_opensearch, home)
    settings.cache_clear()
    await wipe()


async def wipe() -> None:
    """Delete every index of this stack, as if the server had lost its disk."""
    indexes: Any = await opensearch().indices.get(index=index_name("search", "*"))
    for name in indexes:
        await opensearch().indices.delete(index=name)


class Found:
    """Brings what waits into the index and asks."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def settle(self) -> None:
        """Deliver events, run jobs, and let what was written be found."""
        await self.hub.settle()
        await opensearch().indices.refresh(index=index_name("search", "*"))
        languages.forget()

    async def ask(self, person: Person, q: str, **query: Any) -> dict[str, Any]:
        return done(await person.get("/v1/search", params={"q": q, **query}))

    async def ids(self, person: Person, q: str, **query: Any) -> list[str]:
        return [item["id"] for item in (await self.ask(person, q, **query))["items"]]
