"""The one write transaction of a request, which stores its Idempotency-Key beside its effect."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from cluster.base.principal import Principal
from cluster.data import idempotency
from cluster.data.postgres import Transaction, holds_connection, pool, transaction


@asynccontextmanager
async def write(principal: Principal, *, result: UUID | None = None, status: int = 200) -> AsyncGenerator[Transaction]:
    """Run the body in one transaction, in the name of `principal`.

    `result` is the id of what the request makes or changes, `status` its HTTP status: with an `Idempotency-Key` both are
    stored under the key before anything else.

    Raises:
        Replayed: the key was used before with the same body; nothing was done.
        KeyInFlight, KeyReused: see `cluster.data.idempotency`.
    """
    if holds_connection():
        raise RuntimeError("a write transaction while a connection is held: one per request; more is a process")
    async with pool().acquire() as raw, transaction(raw, principal) as tx:
        await idempotency.claim(tx, result, status)
        yield tx
    await tx.committed()
