"""Which projections have been filled from snapshots: `hub.subscriptions`."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.data import Connection
from cluster.events.declare import handlers_of


@dataclass(frozen=True, slots=True, order=True)
class Subscription:
    """A service that projects a type of event."""

    consumer: str
    type: str


def subscriptions(services: Iterable[str]) -> list[Subscription]:
    """Return what these services project, by the handlers imported so far."""
    return sorted(Subscription(service, type) for service in services for type in handlers_of(service).projections)


# Sorted, so that two hosts that start at once wait for each other instead of deadlocking.
_INSERT = """
INSERT INTO hub.subscriptions (consumer, type)
SELECT consumer, type FROM unnest($1::text[], $2::text[]) AS wanted (consumer, type) ORDER BY consumer, type
ON CONFLICT DO NOTHING RETURNING consumer, type
"""
_MISSING = """
SELECT EXISTS (
    SELECT FROM unnest($1::text[], $2::text[]) AS wanted (consumer, type)
    WHERE NOT EXISTS (
        SELECT FROM hub.subscriptions AS known WHERE known.consumer = wanted.consumer AND known.type = wanted.type
    )
)
"""


async def are_new(db: Connection, wanted: list[Subscription]) -> bool:
    """Tell whether one of these is not noted yet."""
    return await db.value(_MISSING, [each.consumer for each in wanted], [each.type for each in wanted])


async def insert_subscriptions(db: Connection, wanted: list[Subscription]) -> list[Subscription]:
    """Note them, and return those that are new."""
    return await db.all(Subscription, _INSERT, [each.consumer for each in wanted], [each.type for each in wanted])


async def delete_subscriptions(db: Connection, consumer: str, type: str | None) -> list[Subscription]:
    """Forget the projections of a service, or one of them, so that a worker host fills them again."""
    return await db.all(
        Subscription,
        "DELETE FROM hub.subscriptions WHERE consumer = $1 AND ($2::text IS NULL OR type = $2) RETURNING consumer, type",
        consumer,
        type,
    )
