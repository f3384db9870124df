"""The inbox: a service takes each event over once, in order per key; what fails is parked and holds up its key alone.

Taking over is one transaction in three steps, and their order matters:

1. Claim the ids in `hub.inbox`. Of two consumers with the same event (a rebalance, a redelivery) the second waits
   here until the first has committed, and then finds the id taken.
2. Look up which keys are parked, and lock those rows. This is a later statement, so it sees every parking that step 1
   waited for. The row lock also orders us and the drainer: either we append behind its work, or it is done and the
   key is free.
3. Run the handlers of the rest; the events of parked keys go behind those already parked.

When a handler fails, or COMMIT does, nothing of the transaction stays. What failed is then taken over without its
handlers, in a transaction of its own that parks it, so that no state a handler leaves can keep it from being parked.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any

import asyncpg
from prometheus_client import Counter

from cluster import events
from cluster.base.away import is_away
from cluster.base.principal import platform
from cluster.base.telemetry import REGISTRY, span_from
from cluster.data import Transaction, read
from cluster.data.postgres import pool, transaction
from cluster.events import Envelope
from cluster.signals import wake

log = logging.getLogger(__name__)

HANDLER_LIMIT_S = 30.0
BATCH_LIMIT_S = 1.0
"""How long the handlers of one transaction may take together: it holds the locks of all rows that they change."""
MAX_ATTEMPTS = 8
"""Failures of the first parked event of a key before the key is dead: about half an hour."""
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

_REFUSED = (asyncpg.PostgresError, asyncpg.InterfaceError)

Turn = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: the rest of it had been taken over before."""

    handled: int = 0
    parked: int = 0

    def __add__(self, other: "Receipt") -> "Receipt":
        return Receipt(self.handled + other.handled, self.parked + other.parked)


class UnknownEvent(Exception):
    """A parked event has no handler here: a worker of another release put it aside, and can handle it."""


class _Failed(Exception):
    """Events cannot be committed together.

    `at` is the one whose handler failed; None when it shows only at COMMIT, as a deferred constraint does.
    """

    def __init__(self, at: Envelope | None, cause: BaseException) -> None:
        super().__init__(repr(cause))
        self.at = at
        self.cause = cause


async def receive(service: str, envelopes: Sequence[Envelope], turn: Turn = nullcontext) -> Receipt:
    """Take events over for `service`: each takes effect once, or is parked. Afterwards the offsets may move on.

    All at once if that works; else what failed is cut out until it stands alone. Each transaction runs inside `turn`.
    Events that the service has no handler for are left out.

    Raises:
        OSError, asyncpg.PostgresError: the database is away; call again with the same batch, what is done stays done.
    """
    receipt = Receipt()
    # A stack with the first events on top: they are done before the later ones begin.
    parts = [[envelope for envelope in envelopes if events.handlers_of(service).hear(envelope.type)]]
    while parts:
        part = parts.pop()
        if not part:
            continue
        async with turn():
            try:
                taken_over, rest = await _take_over(service, part)
            except _Failed as failure:
                if len(part) > 1:
                    parts += reversed(_divided(part, failure.at))
                    continue
                taken_over, rest = await _take_over(service, part, failure.cause)
        receipt += taken_over
        parts.append(rest)
    return receipt


def _divided(part: list[Envelope], at: Envelope | None) -> tuple[list[Envelope], ...]:
    if at is None:
        middle = len(part) // 2
        return part[:middle], part[middle:]
    position = next(n for n, envelope in enumerate(part) if envelope is at)
    return part[:position], [at], part[position + 1 :]


# Sorted, so that two consumers with overlapping batches wait for each other instead of deadlocking.
_CLAIM = """
INSERT INTO hub.inbox (consumer, event_id)
SELECT $1, id FROM unnest($2::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id
"""
_LOCK_PARKED_KEYS = """
SELECT key FROM hub.parked_keys WHERE consumer = $1 AND key = ANY($2::text[]) ORDER BY key FOR UPDATE
"""
_GIVE_BACK = "DELETE FROM hub.inbox WHERE consumer = $1 AND event_id = ANY($2::uuid[])"


async def _take_over(
    service: str, envelopes: Sequence[Envelope], failed: BaseException | None = None
) -> tuple[Receipt, list[Envelope]]:
    """Do it in one transaction, and return what the time for that did not reach.

    `failed`: what its handler raised just before; the event is parked without another try.

    Raises:
        _Failed: nothing was done.
    """
    async with _one_transaction(service) as attempt:
        tx = attempt.tx
        claimed = {row[0] for row in await tx.rows(_CLAIM, service, list({envelope.id for envelope in envelopes}))}
        fresh: list[Envelope] = []
        for envelope in envelopes:
            if envelope.id in claimed:
                claimed.discard(envelope.id)
                fresh.append(envelope)
        if not fresh:
            return Receipt(), []
        keys = list({envelope.subject for envelope in fresh})
        parked_keys = {row[0] for row in await tx.rows(_LOCK_PARKED_KEYS, service, keys)}
        ready = [envelope for envelope in fresh if envelope.subject not in parked_keys]
        behind = [envelope for envelope in fresh if envelope.subject in parked_keys]
        if failed is not None and ready:
            [envelope] = ready
            log.error("an event is parked", extra=_labels(service, envelope), exc_info=failed)
            await tx.run(_PARK_KEY, service, envelope.subject, _backoff(1), describe(failed))
            ready, behind = [], ready
        done = await _handle(attempt, service, ready)
        ready, rest = ready[:done], ready[done:]
        if rest:
            await tx.run(_GIVE_BACK, service, [envelope.id for envelope in rest])
        await _append(tx, service, behind)
    for envelope in ready:
        _handled.labels(service, envelope.type).inc()
    for envelope in behind:
        _parked.labels(service, envelope.type).inc()
    return Receipt(len(ready), len(behind)), rest


@dataclass(slots=True)
class _Attempt:
    tx: Transaction
    handled: bool = False
    """From here on it is the handlers' doing when the database refuses."""
    failure: _Failed | None = None


@asynccontextmanager
async def _one_transaction(service: str) -> AsyncGenerator[_Attempt]:
    """Run the body in a transaction.

    Raises:
        _Failed: what the body set as the attempt's failure, or COMMIT would not have it.
    """
    attempt: _Attempt | None = None
    try:
        async with pool().acquire() as raw:
            try:
                async with transaction(raw, platform(service)) as tx:
                    attempt = _Attempt(tx)
                    yield attempt
            except _REFUSED as error:
                if attempt is not None and attempt.handled and not is_transient(raw, error):
                    attempt.failure = attempt.failure or _Failed(None, error)
                raise
    except BaseException as error:
        # Whatever is raised on the way out: a failed handler may leave a connection that cannot even be rolled back.
        if attempt is None or attempt.failure is None or wake.cancelled():
            raise
        raise attempt.failure from error
    await attempt.tx.committed()


async def _handle(attempt: _Attempt, service: str, envelopes: list[Envelope]) -> int:
    """Run the handlers of these events in order until `BATCH_LIMIT_S` is over; return how many were handled.

    Raises:
        _Failed: one failed.
    """
    if not envelopes:
        return 0
    tx, done, began_at = attempt.tx, 0, monotonic()
    at = envelopes[0] if len(envelopes) == 1 else None
    try:
        in_one_piece = await _run_all_handlers(tx, service, envelopes)
        for at in envelopes:
            await run_handlers(tx, service, at)
            done += 1
            if monotonic() - began_at > BATCH_LIMIT_S and not in_one_piece:
                break
        attempt.handled = True
    except (Exception, asyncio.CancelledError) as error:
        if wake.cancelled() or is_transient(tx.raw, error):
            raise
        attempt.failure = _Failed(at, error)
        raise attempt.failure from error
    return done


async def _run_all_handlers(tx: Transaction, service: str, envelopes: list[Envelope]) -> bool:
    """Run what hears every event, and tell whether there is such a handler: it gets the batch in one piece."""
    of_all = events.handlers_of(service).of_all
    for handle_all in of_all:
        async with asyncio.timeout(HANDLER_LIMIT_S):
            await handle_all(tx, envelopes)
    return bool(of_all)


async def run_handlers(tx: Transaction, service: str, envelope: Envelope) -> None:
    """Run what `service` does about one event, decoded, with the span that caused it as the parent.

    Raises:
        UnknownEvent: it does nothing about events of this type.
    """
    heard = events.handlers_of(service)
    handlers, kind = heard.by_type.get(envelope.type), events.event_type(envelope.type)
    if not handlers or kind is None:
        if heard.of_all:
            return
        raise UnknownEvent(f"this release of {service} has no handler for {envelope.type}")
    with span_from(envelope.traceparent, f"handle {envelope.type}", "consumer", _labels(service, envelope)):
        decoded = kind.decode(envelope)
        for handle in handlers:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                await handle(tx, envelope, decoded)


def is_transient(raw: Any, error: BaseException) -> bool:
    """Tell whether the database is away, full or asks to try again: nothing is parked then."""
    return raw.is_closed() or is_away(error)


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
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:2000] + place
    # What PostgreSQL's text does not hold: a failure that cannot be recorded would never end.
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


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
        except _Failed as failure:
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
    async with _one_transaction("") as attempt:
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
            attempt.failure = _Failed(None, error)
            raise attempt.failure from error
        done = await _handle(attempt, drained.service, drained.envelopes)
        await tx.run(_DELETE_PARKED, drained.service, drained.key, [row["seq"] for row in waiting[:done]])
        all_done = done == len(waiting) < limit
        await tx.run(_FREE_KEY if all_done else _GO_ON, drained.service, drained.key)
    for envelope in drained.envelopes[:done]:
        _handled.labels(drained.service, envelope.type).inc()


async def _note_failure(drained: _Drained, cause: BaseException) -> None:
    attempts, error = drained.attempts + 1, describe(cause)
    if isinstance(cause, UnknownEvent):
        async with read() as db:
            await db.run(_WAIT, drained.service, drained.key, _UNKNOWN_AGAIN, error)
        return
    if attempts >= MAX_ATTEMPTS:
        log.error("a key is dead", extra={"service": drained.service, "key": drained.key, "error": error})
    async with read() as db:
        later = _backoff(attempts)
        await db.run(_RETRY_LATER, drained.service, drained.key, attempts - 1, later, MAX_ATTEMPTS, error)
