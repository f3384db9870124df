"""The SQL of signing keys."""

from dataclasses import dataclass
from datetime import datetime

from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    kid: str
    sealed: bytes
    public_key: bytes
    signs_from: datetime
    signs_until: datetime


LIST_KEYS = """
SELECT kid, sealed, public_key, signs_from, signs_until FROM auth.signing_keys
WHERE withdrawn_at IS NULL ORDER BY signs_from DESC LIMIT 20
"""


async def list_keys(db: Connection) -> list[StoredKey]:
    """List the keys that are not withdrawn, newest first."""
    return await db.all(StoredKey, LIST_KEYS)


INSERT_KEY = """
INSERT INTO auth.signing_keys (kid, sealed, public_key, signs_from, signs_until, created_at)
VALUES ($kid, $sealed, $public_key, $signs_from, $signs_until, $now)
"""


async def insert_key(tx: Transaction, key: StoredKey) -> None:
    await tx.run(INSERT_KEY, key)


UPDATE_WITHDRAWN = "UPDATE auth.signing_keys SET withdrawn_at = $now WHERE kid = $kid"


async def update_withdrawn(tx: Transaction, kid: str) -> None:
    """Record that a key must not sign any more."""
    await tx.run(UPDATE_WITHDRAWN, kid=kid)


DELETE_KEYS = "DELETE FROM auth.signing_keys WHERE signs_until < $before"


async def delete_keys(tx: Transaction, before: datetime) -> None:
    """Delete keys that stopped signing before this time."""
    await tx.run(DELETE_KEYS, before=before)
