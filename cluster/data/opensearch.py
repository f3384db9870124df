"""OpenSearch: one client per process, made on first use; its library is loaded then."""

from typing import TYPE_CHECKING, Any

from cluster.base.problems import Unavailable
from cluster.base.settings import settings

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch

_client: "AsyncOpenSearch | None" = None


def opensearch() -> "AsyncOpenSearch":
    """Return the client.

    Raises:
        Unavailable: the platform runs without OpenSearch.
    """
    global _client
    if _client is None:
        url = settings().opensearch_url
        if not url:
            raise Unavailable("this platform runs without OpenSearch: ./hub up --full starts it", retry_after_s=60)
        from opensearchpy import AsyncOpenSearch

        # It repeats nothing: requests have no time for it and say how long they wait, jobs come again.
        options: dict[str, Any] = {"timeout": 60, "max_retries": 0, "retry_on_timeout": False}
        _client = AsyncOpenSearch(url, **options)
    return _client


def index_name(*parts: object) -> str:
    """Name an index or an alias of this stack."""
    return "-".join(str(part) for part in (settings().stack, *parts))


async def close() -> None:
    """Close the connections."""
    global _client
    client, _client = _client, None
    if client is not None:
        await client.close()
