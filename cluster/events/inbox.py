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

import logging
from collections import Counter as Counts
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from prometheus_client import Counter

from cluster import events
from cluster.base.telemetry import REGISTRY
from cluster.data import Transaction
from cluster.events import Envelope
from cluster.events.handling import Failed, backoff, describe, handle, handled, labels_of, one_transaction

log = logging.getLogger(__name__)

_parked = Counter(
    "hub_events_parked_total",
    "Events put aside: failed, or behind one that failed",
    ["service", "type"],
    registry=REGISTRY,
)

Turn = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: the rest of it had been taken over before."""

    handled: int = 0
    parked: int = 0

    def __add__(self, other: "Receipt") -> "Receipt":
        return Receipt(self.handled + other.handled, self.parked + other.parked)


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
            except Failed as failure:
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
        Failed: nothing was done.
    """
    async with one_transaction(service) as attempt:
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
            log.error("an event is parked", extra=labels_of(service, envelope), exc_info=failed)
            await tx.run(_PARK_KEY, service, envelope.subject, backoff(1), describe(failed))
            ready, behind = [], ready
        done = await handle(attempt, service, ready)
        ready, rest = ready[:done], ready[done:]
        if rest:
            await tx.run(_GIVE_BACK, service, [envelope.id for envelope in rest])
        await _append(tx, service, behind)
    for kind, count in Counts(envelope.type for envelope in ready).items():
        handled.labels(service, kind).inc(count)
    for kind, count in Counts(envelope.type for envelope in behind).items():
        _parked.labels(service, kind).inc(count)
    return Receipt(len(ready), len(behind)), rest


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
