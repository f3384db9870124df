"""What search hears: every event that an offer of documents names. It marks the document, a job fetches it."""

from typing import Any
from uuid import UUID

from api.analytics.search import store
from api.analytics.search.contract import IndexMarked
from api.analytics.search.kinds import kinds
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue


def _hear(event_class: type, kind: str, field: str) -> None:
    @on(event_class)
    async def mark(tx: Transaction, envelope: Envelope, event: Any) -> None:
        named: UUID | tuple[UUID, ...] = getattr(event, field)
        await store.upsert_marks(tx, kind, named if isinstance(named, tuple) else [named])
        enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())


for name, found in kinds().items():
    for heard, id_field in found.offer.events.items():
        _hear(heard, name, id_field)
