"""The SQL of pins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.analytics.search.contract import Named, PinId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Documents, the first on top, for a question in a language; None: in every language that has no pin of its own."""

    id: PinId
    org_id: OrgId
    query: str
    language: str | None
    kinds: Sequence[str]
    document_ids: Sequence[UUID]
    version: int = 1
    created_at: datetime

    @property
    def documents(self) -> list[Named]:
        return [Named(kind, id) for kind, id in zip(self.kinds, self.document_ids, strict=True)]


_COLUMNS = "id, org_id, query, language, kinds, document_ids, version, created_at"

INSERT_PIN = (
    """INSERT INTO search.pins (id, org_id, query, language, kinds, document_ids, version, created_at)
    VALUES ($id, $org_id, $query, $language, $kinds, $document_ids, $version, $created_at)
    ON CONFLICT DO NOTHING RETURNING """
    + _COLUMNS
)


async def insert_pin(tx: Transaction, pin: Pin) -> Pin | None:
    """Keep a pin; None: the question has one in this language."""
    return await tx.maybe(Pin, INSERT_PIN, pin)


COUNT_PINS = "SELECT count(*) FROM search.pins WHERE org_id = $org_id"


async def count_pins(tx: Transaction, org_id: OrgId) -> int:
    return await tx.value(COUNT_PINS, org_id=org_id)


FIND_PIN = "SELECT " + _COLUMNS + " FROM search.pins WHERE id = $id"


async def find_pin(db: Connection, pin_id: PinId) -> Guarded[Pin] | None:
    pin = await db.maybe(Pin, FIND_PIN, id=pin_id)
    return None if pin is None else Guarded(pin, org_id=pin.org_id)


LIST_PINS = "SELECT " + _COLUMNS + " FROM search.pins WHERE org_id = $org_id ORDER BY query, language LIMIT 500"


async def list_pins(db: Connection, org_id: OrgId) -> list[Pin]:
    """List all pins of an organization, by their questions."""
    return await db.all(Pin, LIST_PINS, org_id=org_id)


LOCK_PIN = FIND_PIN + " FOR UPDATE"


async def lock_pin(tx: Transaction, pin_id: PinId) -> Pin | None:
    return await tx.maybe(Pin, LOCK_PIN, id=pin_id)


# Whoever writes pins of an organization takes turns: another pin for the question is seen here, not by its index.
UPDATE_PIN = (
    """UPDATE search.pins AS mine SET query = $query, language = $language, kinds = $kinds, document_ids = $document_ids,
        version = version + 1
    WHERE id = $id AND NOT EXISTS (
        SELECT FROM search.pins AS other WHERE other.org_id = mine.org_id AND other.query = $query
            AND other.language IS NOT DISTINCT FROM $language AND other.id <> mine.id)
    RETURNING """
    + _COLUMNS
)


async def update_pin(tx: Transaction, pin: Pin) -> Pin | None:
    """Keep what a pin is now, as its next version; None: its question has another pin in this language."""
    return await tx.maybe(Pin, UPDATE_PIN, pin)


DELETE_PIN = "DELETE FROM search.pins WHERE id = $id"


async def delete_pin(tx: Transaction, pin_id: PinId) -> None:
    await tx.run(DELETE_PIN, id=pin_id)
