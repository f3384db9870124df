"""The drainer: handles parked events again, those of a key in order, until a key is free or dead."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from cluster.base.principal import platform
from cluster.data import read
from cluster.events import Envelope
from cluster.events.handling import Failed, UnknownEvent, backoff, describe, handle, handled, one_transaction

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
"""Failures of the first parked event of a key before the key is dead: about half an hour."""
_DRAIN_CHUNK = 50

_DUE = """
SELECT DISTINCT consumer FROM hub.parked_keys WHERE NOT dead AND retry_at <= now() AND consumer = ANY($1::text[])
"""
# SKIP LOCKED: several drainers share the keys, and one that a consumer is appending to waits for the next round.
_NEXT_KEY = """
SELECT consumer, key, attempts FROM hub.parked_keys
WHERE NOT dead AND retry_at <= now() AND consumer = ANY($1::text[])
ORDER BY retry_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_NEXT_PARKED = "SELECT seq, envelope FROM hub.parked WHERE consumer = $1 AND key = $2 ORDER BY seq LIMIT $3"
_DELETE_PARKED = "DELETE FROM hub.parked WHERE consumer = $1 AND key = $2 AND seq = ANY($3::bigint[])"
_FREE_KEY = "DELETE FROM hub.parked_keys WHERE consumer = $1 AND key = $2"
# Unless another drainer or an operator has moved the key on since the failure.
_RETRY_LATER = """
UPDATE hub.parked_keys SET attempts = $3::int + 1, retry_at = now() + $4, dead = $3::int + 1 >= $5::int, last_error = $6
WHERE consumer = $1 AND key = $2 AND attempts = $3::int AND NOT dead
"""
# No attempt is counted: the key must not be dead when a worker that knows the event comes.
_WAIT = """
UPDATE hub.parked_keys SET retry_at = now() + $3, last_error = $4 WHERE consumer = $1 AND key = $2 AND NOT dead
"""
_UNKNOWN_AGAIN = timedelta(seconds=5)
_GO_ON = "UPDATE hub.parked_keys SET attempts = 0, retry_at = now() WHERE consumer = $1 AND key = $2"


async def due(services: Iterable[str]) -> list[str]:
    """Return the services that have a parked key to work on."""
    async with read() as db:
        return [row[0] for row in await db.rows(_DUE, list(services))]


async def drain_once(services: Iterable[str]) -> bool:
    """Work on one parked key that is due: its events in order, up to the first that fails. False when none is due.

    Raises:
        OSError, asyncpg.PostgresError: the database is away; the key stays as it was.
    """
    names, limit = list(services), _DRAIN_CHUNK
    while True:
        drained = _Drained()
        try:
            await _drain(names, limit, drained)
        except Failed as failure:
            position = next((n for n, envelope in enumerate(drained.envelopes) if envelope is failure.at), None)
            if len(drained.envelopes) > 1 and position != 0:
                # Those before it first, or half of them, so that what fails stands alone in the end.
                limit = position or len(drained.envelopes) // 2
                continue
            await _note_failure(drained, failure.cause)
        return bool(drained.key)


@dataclass(slots=True)
class _Drained:
    """What one transaction of the drainer worked on."""

    service: str = ""
    key: str = ""
    attempts: int = 0
    envelopes: list[Envelope] = field(default_factory=list[Envelope])


async def _drain(services: list[str], limit: int, drained: _Drained) -> None:
    async with one_transaction("") as attempt:
        tx = attempt.tx
        row = next(iter(await tx.rows(_NEXT_KEY, services)), None)
        if row is None:
            return
        drained.service, drained.key, drained.attempts = row
        tx.principal = platform(drained.service)
        waiting = await tx.rows(_NEXT_PARKED, drained.service, drained.key, limit)
        try:
            drained.envelopes = [Envelope.decode(row["envelope"]) for row in waiting]
        except ValueError as error:
            attempt.failure = Failed(None, error)
            raise attempt.failure from error
        done = await handle(attempt, drained.service, drained.envelopes)
        await tx.run(_DELETE_PARKED, drained.service, drained.key, [row["seq"] for row in waiting[:done]])
        all_done = done == len(waiting) < limit
        await tx.run(_FREE_KEY if all_done else _GO_ON, drained.service, drained.key)
    for envelope in drained.envelopes[:done]:
        handled.labels(drained.service, envelope.type).inc()


async def _note_failure(drained: _Drained, cause: BaseException) -> None:
    attempts, error = drained.attempts + 1, describe(cause)
    if isinstance(cause, UnknownEvent):
        async with read() as db:
            await db.run(_WAIT, drained.service, drained.key, _UNKNOWN_AGAIN, error)
        return
    if attempts >= MAX_ATTEMPTS:
        log.error("a key is dead", extra={"service": drained.service, "key": drained.key, "error": error})
    async with read() as db:
        later = backoff(attempts)
        await db.run(_RETRY_LATER, drained.service, drained.key, attempts - 1, later, MAX_ATTEMPTS, error)
