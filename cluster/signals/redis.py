"""Redis in cluster mode: one client per process, and keys that name their slot."""

from typing import Any, cast

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from cluster.base.settings import settings

_client: "RedisCluster | None" = None


async def connect() -> None:
    """Make this process's client. It connects on first use: a process starts while Redis is away."""
    global _client
    if _client is None:
        _client = cast(Any, RedisCluster).from_url(
            settings().redis_url,
            decode_responses=False,
            socket_timeout=3.0,
            socket_connect_timeout=1.0,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        )


async def disconnect() -> None:
    global _client
    client, _client = _client, None
    if client is not None:
        await client.aclose()


def redis() -> "RedisCluster":
    """Return the client.

    Raises:
        RuntimeError: this process has not called `connect`.
    """
    if _client is None:
        raise RuntimeError("no Redis client: start a ServiceHost or a WorkerHost first")
    return _client


async def read_stream(stream: str, after: bytes, *, count: int, block_ms: int) -> Any:
    """XREAD one stream, and wait for entries after that id; what it returns differs by protocol, see `wake.entries_of`.

    The client's own `xread` asks a server with each call where in the command the key stands. Here it is told the node.
    """
    client = cast(Any, redis())
    await client.initialize()
    command = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", stream, after)
    return await client.execute_command(*command, target_nodes=client.get_node_from_key(stream))


def key(*parts: object) -> str:
    """Name a key of this stack: `key("room", id, "log")` is `{hub:room:<id>}:log`.

    The first two parts are the hash tag, so that all keys of one thing share a slot and a script may touch them
    together.
    """
    stack = settings().stack
    tag = ":".join(str(part) for part in (stack, *parts[:2]))
    return ":".join([f"{{{tag}}}", *(str(part) for part in parts[2:])])
