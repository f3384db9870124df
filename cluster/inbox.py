"""The inbox: a service takes each event over once, in order per key; what fails is parked and holds up its key alone.

Taking over is one transaction in three steps, and their order matters:

1. Claim the ids in `hub.inbox`. Of two consumers with the same event (a rebalance, a redelivery) the second waits
here until the
   first has committed, and then finds the id taken.
2. Look up which keys are parked, and lock those rows. This is a later statement, so it sees every parking that step 1
waited for.
   The row lock also orders us and the drainer: either we append behind its work, or it is done and the key is free.
3. Run the handlers of the rest; the events of parked keys go behind those already parked.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from prometheus_client import Counter

from cluster import events
from cluster.events import Envelope
from cluster.postgres import Transaction, pool, transaction
from cluster.principal import platform
from cluster.telemetry import REGISTRY, span_from

log = logging.getLogger(__name__)

HANDLER_LIMIT_S = 30.0
MAX_ATTEMPTS = 8
"""Failures of the first parked event of a key before the key is dead: about half an hour."""
_CAREFUL_CHUNK = 50
_DRAIN_CHUNK = 50

_handled = Counter(
    "hub_events_handled_total", "Events whose effect was committed", ["service", "type"], registry=REGISTRY
)
_parked = Counter(
    "hub_events_parked_total",
    "Events put aside: failed, or behind one that failed",
    ["service", "type"],
    registry=REGISTRY,
)

_TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: the rest of it had been taken over before."""

    handled: int = 0
    parked: int = 0

    def __add__(self, other: "Receipt") -> "Receipt":
        return Receipt(self.handled + other.handled, self.parked + other.parked)


class _Failed(Exception):
    """A handler failed in the fast path; the batch is rolled back and done again with care."""


async def receive(service: str, envelopes: Sequence[Envelope]) -> Receipt:
    """Take events over for `service`: each takes effect once, or is parked. Afterwards the offsets may move on.

    Raises:
        OSError, asyncpg.PostgresError: the database is away; call again with the same batch, what is done stays done.
    """
    if not envelopes:
        return Receipt()
    try:
        return await _receive(service, envelopes, careful=False)
    except _Failed as failure:
        log.warning(
            "a batch is done again event by event", extra={"service": service, "error": repr(failure.__cause__)}
        )
    receipt = Receipt()
    for start in range(0, len(envelopes), _CAREFUL_CHUNK):
        receipt += await _receive(service, envelopes[start : start + _CAREFUL_CHUNK], careful=True)
    return receipt


# Sorted, so that two consumers with overlapping batches wait for each other instead of deadlocking.
_CLAIM = """
INSERT INTO hub.inbox (consumer, event_id)
SELECT $1, id FROM unnest($2::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id
"""
_LOCK_PARKED_KEYS = """
SELECT key FROM hub.parked_keys WHERE consumer = $1 AND key = ANY($2::text[]) ORDER BY key FOR UPDATE
"""


async def _receive(service: str, envelopes: Sequence[Envelope], *, careful: bool) -> Receipt:
    async with pool().acquire() as raw:
        async with transaction(raw, platform(service)) as tx:
            claimed = {row[0] for row in await tx.rows(_CLAIM, service, list({envelope.id for envelope in envelopes}))}
            fresh: list[Envelope] = []
            for envelope in envelopes:
                if envelope.id in claimed:
                    claimed.discard(envelope.id)
                    fresh.append(envelope)
            if not fresh:
                return Receipt()
            keys = list({envelope.subject for envelope in fresh})
            parked_keys = {row[0] for row in await tx.rows(_LOCK_PARKED_KEYS, service, keys)}
            ready = [envelope for envelope in fresh if envelope.subject not in parked_keys]
            behind = [envelope for envelope in fresh if envelope.subject in parked_keys]
            if careful:
                ready, failed = await _handle_one_by_one(tx, service, ready, parked_keys)
                behind += failed
            else:
                await _handle_batch(tx, service, ready)
            await _append(tx, service, behind)
        await tx.committed()
    for envelope in ready:
        _handled.labels(service, envelope.type).inc()
    for envelope in behind:
        _parked.labels(service, envelope.type).inc()
    return Receipt(len(ready), len(behind))


async def _handle_batch(tx: Transaction, service: str, ready: list[Envelope]) -> None:
    try:
        await _run_all_handlers(tx, service, ready)
        for envelope in ready:
            await run_handlers(tx, service, envelope)
        await tx.flush()
    except Exception as error:
        if is_transient(tx, error):
            raise
        raise _Failed from error


async def _handle_one_by_one(
    tx: Transaction, service: str, ready: list[Envelope], parked_keys: set[str]
) -> tuple[list[Envelope], list[Envelope]]:
    """Handle each event in a savepoint; return those done, and those that failed or came behind one that did."""
    done: list[Envelope] = []
    put_aside: list[Envelope] = []
    for envelope in ready:
        if envelope.subject in parked_keys:
            put_aside.append(envelope)
            continue
        try:
            await _handle_one(tx, service, envelope)
            done.append(envelope)
        except Exception as error:
            if is_transient(tx, error):
                raise
            log.exception("an event is parked", extra=_labels(service, envelope))
            await _park_key(tx, service, envelope.subject, error)
            parked_keys.add(envelope.subject)
            put_aside.append(envelope)
    return done, put_aside


async def _handle_one(tx: Transaction, service: str, envelope: Envelope) -> None:
    async with tx.savepoint():
        await _run_all_handlers(tx, service, [envelope])
        await run_handlers(tx, service, envelope)


async def _run_all_handlers(tx: Transaction, service: str, envelopes: list[Envelope]) -> None:
    if envelopes:
        for handle_all in events.handlers_of(service).of_all:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                await handle_all(tx, envelopes)


async def run_handlers(tx: Transaction, service: str, envelope: Envelope) -> None:
    """Run what `service` does about one event, decoded, with the span that caused it as the parent."""
    handlers = events.handlers_of(service).by_type.get(envelope.type)
    kind = events.event_type(envelope.type)
    if not handlers or kind is None:
        return
    with span_from(envelope.traceparent, f"handle {envelope.type}", "consumer", _labels(service, envelope)):
        decoded = kind.decode(envelope)
        for handle in handlers:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                await handle(tx, envelope, decoded)


def is_transient(tx: Transaction, error: BaseException) -> bool:
    """Tell whether the database is away, full or asks to try again: nothing is parked then."""
    return tx.raw.is_closed() or isinstance(error, _TRANSIENT)


def _labels(service: str, envelope: Envelope) -> dict[str, str]:
    return {
        "service": service,
        "event_type": envelope.type,
        "event_id": str(envelope.id),
        "subject": envelope.subject,
    }


# DO UPDATE although nothing changes: it locks the row that another consumer has just written, or waits until the
# drainer, who is about to delete it, is done.
_PARK_KEY = """
INSERT INTO hub.parked_keys (consumer, key, retry_at, last_error) VALUES ($1, $2, now() + $3, $4)
ON CONFLICT (consumer, key) DO UPDATE SET retry_at = parked_keys.retry_at
"""
_APPEND = """
INSERT INTO hub.parked (consumer, key, event_id, type, envelope)
SELECT $1, key, event_id, type, envelope
FROM unnest($2::text[], $3::uuid[], $4::text[], $5::json[])
    WITH ORDINALITY AS event (key, event_id, type, envelope, position)
ORDER BY position
"""


async def _park_key(tx: Transaction, service: str, key: str, error: BaseException) -> None:
    await tx.run(_PARK_KEY, service, key, _backoff(1), describe(error))


async def _append(tx: Transaction, service: str, envelopes: list[Envelope]) -> None:
    if envelopes:
        await tx.run(
            _APPEND,
            service,
            [envelope.subject for envelope in envelopes],
            [envelope.id for envelope in envelopes],
            [envelope.type for envelope in envelopes],
            [envelope.encode() for envelope in envelopes],
        )


def _backoff(attempts: int) -> timedelta:
    # 1 s, 4 s, 16 s, ... at most 10 minutes; the jitter keeps keys that failed together from coming back together.
    return timedelta(seconds=min(600.0, 4.0 ** (attempts - 1)) * random.uniform(0.75, 1.25))  # noqa: S311


def describe(error: BaseException) -> str:
    """Return the error as an operator reads it in `hub events show`: the message, and where it came from."""
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({where[0].filename.rpartition('/')[2]}:{where[0].lineno})" if where else ""
    # Only the first line: PostgreSQL's DETAIL quotes the row.
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:2000] + place


# SKIP LOCKED: several drainers share the keys, and one that a consumer is appending to waits for the next round.
_NEXT_KEY = """
SELECT consumer, key, attempts FROM hub.parked_keys
WHERE NOT dead AND retry_at <= now() AND consumer = ANY($1::text[])
ORDER BY retry_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_NEXT_PARKED = "SELECT seq, envelope FROM hub.parked WHERE consumer = $1 AND key = $2 ORDER BY seq LIMIT $3"
_DELETE_PARKED = "DELETE FROM hub.parked WHERE consumer = $1 AND key = $2 AND seq = ANY($3::bigint[])"
_FREE_KEY = "DELETE FROM hub.parked_keys WHERE consumer = $1 AND key = $2"
_RETRY_LATER = """
UPDATE hub.parked_keys SET attempts = $3::int, retry_at = now() + $4, dead = $3::int >= $5::int, last_error = $6
WHERE consumer = $1 AND key = $2
"""
_GO_ON = "UPDATE hub.parked_keys SET attempts = 0, retry_at = now() WHERE consumer = $1 AND key = $2"


async def drain_once(services: Iterable[str]) -> bool:
    """Work on one parked key that is due: its events in order, up to the first that fails. False when none is due.

    Raises:
        OSError, asyncpg.PostgresError: the database is away; the key stays as it was.
    """
    async with pool().acquire() as raw:
        async with transaction(raw, platform("")) as tx:
            row = next(iter(await tx.rows(_NEXT_KEY, list(services))), None)
            if row is None:
                return False
            service: str = row["consumer"]
            tx.principal = platform(service)
            await _drain_key(tx, service, row["key"], row["attempts"])
        await tx.committed()
    return True


async def _drain_key(tx: Transaction, service: str, key: str, attempts: int) -> None:
    waiting = await tx.rows(_NEXT_PARKED, service, key, _DRAIN_CHUNK)
    done: list[int] = []
    failure: Exception | None = None
    for row in waiting:
        envelope = Envelope.decode(row["envelope"])
        try:
            await _handle_one(tx, service, envelope)
        except Exception as error:
            if is_transient(tx, error):
                raise
            failure = error
            break
        done.append(row["seq"])
        attempts = 0
        _handled.labels(service, envelope.type).inc()
    if done:
        await tx.run(_DELETE_PARKED, service, key, done)
    if failure is not None:
        attempts += 1
        error_text = describe(failure)
        if attempts >= MAX_ATTEMPTS:
            log.error("a key is dead", extra={"service": service, "key": key, "error": error_text})
        await tx.run(_RETRY_LATER, service, key, attempts, _backoff(attempts), MAX_ATTEMPTS, error_text)
    elif len(waiting) == _DRAIN_CHUNK:
        await tx.run(_GO_ON, service, key)
    else:
        await tx.run(_FREE_KEY, service, key)
