"""Legal holds of things: while one lasts the thing may be deleted and restored, but is not purged.

Order of locks: the row of the owner first, then the thing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.data.postgres import Connection, Transaction
from cluster.data.uses import Ref

PURGE_MARGIN = timedelta(minutes=1)
"""A purge deletes objects without a lock. Every transaction ends within this time, so that none places a hold during a purge."""


@dataclass(frozen=True, slots=True)
class Hold:
    reason: str
    held_at: datetime


_FIND = """
SELECT held_reason AS reason, held_at FROM hub.things WHERE kind = $1 AND id = $2 AND held_at IS NOT NULL
"""


async def find_hold(db: Connection, ref: Ref) -> Hold | None:
    return await db.maybe(Hold, _FIND, *ref)


_PLACE = """
UPDATE hub.things SET held = true, held_at = coalesce(held_at, $4), held_reason = $3
WHERE kind = $1 AND id = $2 AND (held OR purge_at IS NULL OR purge_at > $5)
RETURNING held_reason AS reason, held_at
"""


async def place_hold(tx: Transaction, ref: Ref, reason: str) -> Hold | None:
    """Hold a thing, deleted or not; a hold that lasts gets the new reason.

    None: there is no such thing, or it can no longer be restored, so that its purge may have begun.
    """
    return await tx.maybe(Hold, _PLACE, *ref, reason, tx.now, tx.now + PURGE_MARGIN)


_RELEASE = "UPDATE hub.things SET held = false, held_at = NULL, held_reason = NULL WHERE kind = $1 AND id = $2 AND held"


async def release_hold(tx: Transaction, ref: Ref) -> bool:
    """End a hold and tell whether there was one."""
    return bool(await tx.run(_RELEASE, *ref))
