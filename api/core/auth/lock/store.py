"""The SQL of locks; `throttle.store` finds them with the identity.

A lock holds when its decision was heard of, its reversal was not, and its time is not over.
"""

from datetime import datetime
from uuid import UUID

from cluster.base.ids import UserId
from cluster.data import Transaction

UPSERT_BANNED = """
INSERT INTO auth.locks AS l (decision_id, user_id, banned, until_at, created_at)
VALUES ($decision_id, $user_id, true, $until_at, $now)
ON CONFLICT (decision_id) DO UPDATE SET banned = true, until_at = excluded.until_at WHERE NOT l.banned
RETURNING NOT reversed AND (until_at IS NULL OR until_at > $now) AS holds
"""


async def upsert_banned(tx: Transaction, decision_id: UUID, user_id: UserId, until_at: datetime | None) -> bool:
    """Remember that a decision bans somebody; True: this is news, and it holds."""
    return await tx.value(UPSERT_BANNED, decision_id=decision_id, user_id=user_id, until_at=until_at) or False


UPSERT_REVERSED = """
INSERT INTO auth.locks (decision_id, user_id, reversed, created_at) VALUES ($decision_id, $user_id, true, $now)
ON CONFLICT (decision_id) DO UPDATE SET reversed = true
"""


async def upsert_reversed(tx: Transaction, decision_id: UUID, user_id: UserId) -> None:
    """Remember that a decision was reversed, heard of or not."""
    await tx.run(UPSERT_REVERSED, decision_id=decision_id, user_id=user_id)


UPDATE_IDENTITIES = "UPDATE auth.identities SET version = version + 1 WHERE user_id = $user_id"


async def update_identities(tx: Transaction, user_id: UserId) -> None:
    """Have whoever is signing in at this moment checked once more: a session is made for the version that was checked."""
    await tx.run(UPDATE_IDENTITIES, user_id=user_id)
