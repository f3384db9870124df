"""The SQL of screening: active rules, and where an author stands."""

from dataclasses import dataclass
from datetime import datetime

from api.platform.moderation.screening.matching import Rule
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection

LIST_ACTIVE_RULES = """
SELECT r.id, r.clause_id, coalesce(c.texts -> 'en' ->> 'title', c.code) AS clause, r.kind, r.effect_kind, r.entries, r.places,
    r.least_strikes
FROM moderation.rules r JOIN moderation.clauses c ON c.id = r.clause_id
WHERE r.state = 'active' AND (r.org_id = $org_id OR (r.org_id IS NULL AND $org_id::uuid IS NULL))
ORDER BY r.id LIMIT 1000
"""


async def list_active_rules(db: Connection, org_id: OrgId | None) -> list[Rule]:
    """Return the active rules of an organization; None: those of the platform."""
    return await db.all(Rule, LIST_ACTIVE_RULES, org_id=org_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decisions that were not reversed leave of an author, in an organization and on the platform."""

    strikes: int
    """Of a year."""
    muted_until: datetime | None
    """The end of the longest mute or ban; far in the future for one without an end."""
    banned: bool


FIND_STANDING = """
SELECT coalesce(sum(d.strikes) FILTER (WHERE d.created_at > now() - interval '1 year'), 0)::int AS strikes,
    max(coalesce(d.until_at, '9999-01-01')) FILTER (
        WHERE d.actions && '{mute,ban}' AND coalesce(d.until_at, 'infinity') > now()) AS muted_until,
    coalesce(bool_or('ban' = ANY(d.actions) AND coalesce(d.until_at, 'infinity') > now()), false) AS banned
FROM moderation.decisions d
LEFT JOIN moderation.decisions r ON r.reverses_id = d.id
WHERE d.user_id = $user_id AND (d.org_id IS NULL OR d.org_id = $org_id) AND d.reverses_id IS NULL AND r.id IS NULL
"""


async def find_standing(db: Connection, user_id: UserId, org_id: OrgId | None) -> Standing:
    return await db.one(Standing, FIND_STANDING, user_id=user_id, org_id=org_id)
