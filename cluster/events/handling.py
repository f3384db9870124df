"""Handling: run the handlers of events in one transaction, and tell what failed.

The inbox does it for events that arrive, the drainer for those that were parked.
"""

import asyncio
import random
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

import asyncpg
from prometheus_client import Counter

from cluster import events
from cluster.base.away import is_away
from cluster.base.principal import platform
from cluster.base.telemetry import REGISTRY, exports_spans, span_from
from cluster.data import Transaction
from cluster.data.postgres import pool, transaction
from cluster.events import Envelope
from cluster.signals import wake

HANDLER_LIMIT_S = 30.0
BATCH_LIMIT_S = 1.0
"""How long the handlers of one transaction may take together: it holds the locks of all rows that they change."""

handled = Counter(
    "hub_events_handled_total", "Events whose effect was committed", ["service", "type"], registry=REGISTRY
)
_REFUSED = (asyncpg.PostgresError, asyncpg.InterfaceError)


class UnknownEvent(Exception):
    """A parked event has no handler here: a worker of another release put it aside, and can handle it."""


class Failed(Exception):
    """Events cannot be committed together.

    `at` is the one whose handler failed; None when it shows only at COMMIT, as a deferred constraint does.
    """

    def __init__(self, at: Envelope | None, cause: BaseException) -> None:
        super().__init__(repr(cause))
        self.at = at
        self.cause = cause


@dataclass(slots=True)
class Attempt:
    tx: Transaction
    handled: bool = False
    """From here on it is the handlers' doing when the database refuses."""
    failure: Failed | None = None


@asynccontextmanager
async def one_transaction(service: str) -> AsyncGenerator[Attempt]:
    """Run the body in a transaction.

    Raises:
        Failed: what the body set as the attempt's failure, or COMMIT would not have it.
    """
    attempt: Attempt | None = None
    try:
        async with pool().acquire() as raw:
            try:
                async with transaction(raw, platform(service)) as tx:
                    attempt = Attempt(tx)
                    yield attempt
            except _REFUSED as error:
                if attempt is not None and attempt.handled and not is_transient(raw, error):
                    attempt.failure = attempt.failure or Failed(None, error)
                raise
    except BaseException as error:
        # Whatever is raised on the way out: a failed handler may leave a connection that cannot even be rolled back.
        if attempt is None or attempt.failure is None or wake.cancelled():
            raise
        raise attempt.failure from error
    await attempt.tx.committed()


async def handle(attempt: Attempt, service: str, envelopes: list[Envelope]) -> int:
    """Run the handlers of these events in order until `BATCH_LIMIT_S` is over; return how many were handled.

    Raises:
        Failed: one failed.
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
        attempt.failure = Failed(at, error)
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
    labels = labels_of(service, envelope) if exports_spans() else None
    with span_from(envelope.traceparent, f"handle {envelope.type}", "consumer", labels):
        decoded = kind.decode(envelope)
        for handle in handlers:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                await handle(tx, envelope, decoded)


def is_transient(raw: Any, error: BaseException) -> bool:
    """Tell whether the database is away, full or asks to try again: nothing is parked then."""
    return raw.is_closed() or is_away(error)


def labels_of(service: str, envelope: Envelope) -> dict[str, str]:
    return {
        "service": service,
        "event_type": envelope.type,
        "event_id": str(envelope.id),
        "subject": envelope.subject,
    }


def backoff(attempts: int) -> timedelta:
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
