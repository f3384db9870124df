"""Snapshots: the present state of a service, told by the same events that tell each change of it.

For each aggregate that others project a service has one state event (`CourseChanged`): it is emitted whenever that
state changes, and `snapshots.py` of the service tells it for every aggregate there is. So a projection that joins late
ends equal to one that was there from the start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from cluster.base.problems import Unavailable
from cluster.data import Connection, Transaction, read
from cluster.events.declare import Envelope, envelope_of, event_type, handlers_of, type_of

E = TypeVar("E")
List = Callable[[Connection, UUID, int], Awaitable[list[tuple[E, int]]]]

_lists: dict[str, List[Any]] = {}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One page of a service's present state as events; `next` is where to go on, None at the end."""

    envelopes: list[Envelope]
    next: UUID | None


class Snapshots(Protocol):
    """What a service answers whose state others project."""

    async def snapshot(self, type: str, after: UUID | None, limit: int) -> Snapshot:
        """Return the state events of this type for the aggregates after this id.

        Raises:
            Unavailable: this release does not tell them.
        """
        return await page(type, after, limit)


def snapshot(event_class: type[E]) -> Callable[[List[E]], List[E]]:
    """Declare that the function below lists this state event, each with its version, by the id of its aggregate.

    It gets the id to go on after and how many at most.
    """

    def register(function: List[E]) -> List[E]:
        _lists[type_of(event_class).name] = function
        return function

    return register


def told_types() -> set[str]:
    """Return the types of the state events that the modules imported so far can list."""
    return set(_lists)


async def page(type: str, after: UUID | None, limit: int) -> Snapshot:
    function = _lists.get(type)
    if function is None:
        raise Unavailable(f"this release has no snapshot of {type}; try again later")
    async with read() as db:
        told = await function(db, after or UUID(int=0), limit)
    envelopes = [envelope_of(event, version=version) for event, version in told]
    return Snapshot(envelopes, UUID(envelopes[-1].subject) if len(envelopes) == limit else None)


async def project(tx: Transaction, consumer: str, envelopes: list[Envelope]) -> None:
    """Run state events through the projections of `consumer`, without its reactions.

    The inbox is not asked: a projection ignores what is older than what it has.
    """
    projections = handlers_of(consumer).projections
    for envelope in envelopes:
        kind = event_type(envelope.type)
        for handle in projections.get(envelope.type, ()):
            await handle(tx, envelope, kind.decode(envelope) if kind else None)
