"""The SQL of bans. A ban holds when its decision was heard of, its reversal was not, and its time is not over."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction

_HOLDS = "banned AND NOT reversed AND (until_at IS NULL OR until_at > now())"

UPSERT_BANNED = """
INSERT INTO organization.bans AS b (decision_id, org_id, user_id, banned, until_at, created_at)
VALUES ($decision_id, $org_id, $user_id, true, $until_at, $now)
ON CONFLICT (decision_id) DO UPDATE SET banned = true, until_at = excluded.until_at WHERE NOT b.banned
"""


async def upsert_banned(
    tx: Transaction, decision_id: UUID, org_id: OrgId, user_id: UserId, until_at: datetime | None
) -> None:
    """Remember that a decision bans somebody; one that is reversed already stays so."""
    await tx.run(UPSERT_BANNED, decision_id=decision_id, org_id=org_id, user_id=user_id, until_at=until_at)


UPSERT_REVERSED = """
INSERT INTO organization.bans (decision_id, org_id, user_id, reversed, created_at)
VALUES ($decision_id, $org_id, $user_id, true, $now)
ON CONFLICT (decision_id) DO UPDATE SET reversed = true
"""


async def upsert_reversed(tx: Transaction, decision_id: UUID, org_id: OrgId, user_id: UserId) -> None:
    """Remember that a decision was reversed, heard of or not."""
    await tx.run(UPSERT_REVERSED, decision_id=decision_id, org_id=org_id, user_id=user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What bans say of a person in an organization."""

    banned: bool
    suspends: bool
    """A ban, of now or of before, suspended the membership."""
    refused: bool
    """A ban that holds was not carried out, because the person is the last owner."""
    until_at: datetime | None
    """When the last of the bans ends that hold; None: one has no end, or none holds."""


FIND_STANDING = (
    "SELECT coalesce(bool_or("
    + _HOLDS
    + "), false) AS banned, coalesce(bool_or(suspends), false) AS suspends, coalesce(bool_or(refused AND "
    + _HOLDS
    + "), false) AS refused, nullif(max(coalesce(until_at, 'infinity')) FILTER (WHERE "
    + _HOLDS
    + "), 'infinity') AS until_at FROM organization.bans WHERE user_id = $user_id AND org_id = $org_id"
)


async def find_standing(db: Connection, org_id: OrgId, user_id: UserId) -> Standing:
    return await db.one(Standing, FIND_STANDING, org_id=org_id, user_id=user_id)


UPDATE_CARRIED_OUT = (
    """UPDATE organization.bans SET suspends = $suspends AND """
    + _HOLDS
    + """, refused = $refused AND """
    + _HOLDS
    + """
    WHERE user_id = $user_id AND org_id = $org_id"""
)


async def update_carried_out(
    tx: Transaction, org_id: OrgId, user_id: UserId, *, suspends: bool = False, refused: bool = False
) -> None:
    """Note what became of the bans of a person that hold; of the others nothing is left to undo."""
    await tx.run(UPDATE_CARRIED_OUT, org_id=org_id, user_id=user_id, suspends=suspends, refused=refused)


LIST_REFUSED = "SELECT DISTINCT user_id FROM organization.bans WHERE org_id = $org_id AND refused LIMIT 100"


async def list_refused(db: Connection, org_id: OrgId) -> list[UserId]:
    """List whose bans wait for another owner."""
    return [row["user_id"] for row in await db.rows(LIST_REFUSED, org_id=org_id)]
