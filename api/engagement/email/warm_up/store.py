"""The SQL of warm-up plans.

Locks are taken in this order: senders, plans by those who change them; destinations, letters, plans by those who hand letters over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from api.engagement.email.contract import Lane, LetterId, SenderId
from api.engagement.email.warm_up.rules import Plan
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction

UPSERT_WARM_UP = """
INSERT INTO email.warm_ups AS w (sender_id, steps, started_on, time_zone)
VALUES ($sender_id, $steps::int[], $started_on, $time_zone)
ON CONFLICT (sender_id) DO UPDATE SET time_zone = excluded.time_zone, steps = excluded.steps,
    started_on = CASE WHEN w.steps = excluded.steps THEN w.started_on ELSE excluded.started_on END
RETURNING coalesce(old.steps <> new.steps, false)
"""


async def upsert_warm_up(
    tx: Transaction, sender_id: SenderId, *, steps: Sequence[int], started_on: date, time_zone: str
) -> bool:
    """Let a sender warm up from a day on; with the steps that it has it goes on from the day on which it began.

    Return whether another plan is replaced.
    """
    return await tx.value(
        UPSERT_WARM_UP, sender_id=sender_id, steps=list(steps), started_on=started_on, time_zone=time_zone
    )


DELETE_WARM_UP = "DELETE FROM email.warm_ups WHERE sender_id = $sender_id"


async def delete_warm_up(tx: Transaction, sender_id: SenderId) -> bool:
    """Let a sender send as many letters as there are; False when it may already."""
    return await tx.run(DELETE_WARM_UP, sender_id=sender_id) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderPlan(Plan):
    """The plan of a sender."""

    sender_id: SenderId
    org_id: OrgId | None
    domain: str


# Held until COMMIT: two that hand letters over at once do not both find room for the last one.
LOCK_PLANS = """
SELECT w.sender_id, s.org_id, s.domain, w.steps, w.started_on, w.time_zone, w.counted_on, w.letters
FROM email.warm_ups w JOIN email.senders s ON s.id = w.sender_id
WHERE (s.org_id = ANY($org_ids::uuid[]) AND s.state = 'verified' OR s.org_id IS NULL)
    AND w.started_on + cardinality(w.steps) >= ($now::timestamptz AT TIME ZONE 'UTC')::date
ORDER BY w.sender_id LIMIT 10000 FOR UPDATE OF w
"""


async def lock_plans(tx: Transaction, org_ids: set[OrgId]) -> list[SenderPlan]:
    """Lock and return the plans of the platform and of these organizations, if they write themselves.

    Not those that are over; of these some for one day more, in whatever time zone they count.
    """
    return await tx.all(SenderPlan, LOCK_PLANS, org_ids=sorted(org_ids))


UPDATE_COUNTED = "UPDATE email.warm_ups SET counted_on = $day, letters = $letters WHERE sender_id = $sender_id"
UPDATE_LETTERS_COUNTED = "UPDATE email.letters SET counted_on = $day WHERE id = ANY($ids::uuid[])"


async def update_counted(tx: Transaction, plan: SenderPlan, day: date, ids: Sequence[LetterId]) -> None:
    """Count letters on a day of a plan that is locked."""
    counted = plan.counted(day) + len(ids)
    await tx.run(UPDATE_COUNTED, sender_id=plan.sender_id, day=day, letters=counted)
    await tx.run(UPDATE_LETTERS_COUNTED, ids=list(ids), day=day)


@dataclass(frozen=True, slots=True)
class Postponed:
    id: LetterId
    lane: Lane
    sender_domain: str
    domain: str


LIST_POSTPONED = """
SELECT waiting.id, d.lane, d.sender_domain, d.domain
FROM email.senders s JOIN email.destinations d ON d.sender_domain = s.domain, LATERAL (
    SELECT id FROM email.letters l
    WHERE l.lane = d.lane AND l.sender_domain = d.sender_domain AND l.domain = d.domain AND l.state = 'queued'
        AND l.due_at > $now AND l.tried_since = l.due_at AND ($after::uuid IS NULL OR l.id > $after)
) AS waiting
WHERE s.id = $sender_id AND d.lane = ANY(ARRAY['bulk', 'personal']) ORDER BY waiting.id LIMIT $limit
"""


async def list_postponed(tx: Transaction, sender_id: SenderId, after: UUID | None, limit: int) -> list[Postponed]:
    """List letters in the name of a sender's domain that wait for the next day."""
    return await tx.all(Postponed, LIST_POSTPONED, sender_id=sender_id, after=after, limit=limit)


# Without waiting for a letter: their destinations are locked by now, and who holds a letter may want one of these.
UPDATE_DUE = """
UPDATE email.letters SET due_at = $now, tried_since = $now, version = version + 1 WHERE id = ANY(ARRAY(
    SELECT id FROM email.letters WHERE id = ANY($ids::uuid[]) AND state = 'queued' FOR UPDATE SKIP LOCKED))
"""


async def update_due(tx: Transaction, ids: Sequence[LetterId]) -> None:
    """Let letters be taken now that wait; hold their destinations first."""
    await tx.run(UPDATE_DUE, ids=list(ids))


@dataclass(frozen=True, slots=True)
class Zoned:
    sender_id: SenderId
    org_id: OrgId | None
    time_zone: str


LIST_ZONES = """
SELECT w.sender_id, s.org_id, w.time_zone FROM email.warm_ups w JOIN email.senders s ON s.id = w.sender_id
WHERE $after::uuid IS NULL OR w.sender_id > $after ORDER BY w.sender_id LIMIT $limit
"""


async def list_zones(db: Connection, after: UUID | None, limit: int) -> list[Zoned]:
    """List in which time zones plans count their days."""
    return await db.all(Zoned, LIST_ZONES, after=after, limit=limit)


UPDATE_ZONE = "UPDATE email.warm_ups SET time_zone = $time_zone WHERE sender_id = $sender_id"


async def update_zone(tx: Transaction, sender_id: SenderId, time_zone: str) -> None:
    await tx.run(UPDATE_ZONE, sender_id=sender_id, time_zone=time_zone)
