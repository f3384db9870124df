"""Use cases of exposure: say how much somebody may still be shown today, and count what they are shown.

Cases count by their severity when they are taken, sealed ones too, and so do second reviews: each once a day. When the budget is
used up, what is harmless is offered still.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.platform.moderation.contract import CaseId, ExposureUsedUp
from api.platform.moderation.exposure import store
from api.platform.moderation.exposure.rules import POINTS, break_until, end_of_day, severest
from api.platform.moderation.exposure.store import Part
from api.platform.moderation.offers import BREAK_AFTER_MINUTES, EXPOSURE_POINTS
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import Transaction, read
from cluster.people.access import Guarded, permit
from cluster.people.org_settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How much somebody was shown today, and may still be shown."""

    budget: int
    used: int
    severest: int
    """Cases up to this severity are offered."""
    until_at: datetime
    """Then the day is over, and the whole budget is there again."""
    break_until: datetime | None
    """A break is asked for until then."""


async def own_exposure(caller: Principal, org_id: OrgId | None) -> Exposure:
    """Return how much the caller was shown today, and may still be shown in an organization."""
    user_id = caller.person()
    await permit(caller, "moderation-exposure:read", Guarded(user_id, owner_id=user_id))
    return await exposure_of(user_id, org_id)


async def exposure_of(user_id: UserId, org_id: OrgId | None) -> Exposure:
    now = datetime.now(UTC)
    budget = await setting(EXPOSURE_POINTS, org_id)
    after = timedelta(minutes=await setting(BREAK_AFTER_MINUTES, org_id))
    async with read() as db:
        seen = await store.find_seen(db, user_id, now.date())
    return Exposure(
        budget=budget,
        used=seen.points,
        severest=severest(budget - seen.points),
        until_at=end_of_day(now),
        break_until=break_until(seen.times, now, after),
    )


async def budget_of(org_id: OrgId | None) -> int:
    """Return how many points of an organization's cases somebody may be shown in a day."""
    return await setting(EXPOSURE_POINTS, org_id)


async def spend(
    tx: Transaction, user_id: UserId, case_id: CaseId, part: Part, org_id: OrgId | None, *, severity: int, budget: int
) -> None:
    """Count that somebody is shown this, in the transaction that shows it. All that they were shown anywhere counts.

    Raises:
        ExposureUsedUp
    """
    points = POINTS[severity]
    if points == 0:
        return
    day = tx.now.astimezone(UTC).date()
    await tx.take_turns("moderation.exposures", user_id)
    if await store.find_is_counted(tx, user_id, day, case_id, part):
        return
    seen = await store.find_seen(tx, user_id, day)
    if seen.points + points > budget:
        raise ExposureUsedUp(
            "you were shown enough today: GET /v1/moderation-cases offers what is harmless",
            until=end_of_day(tx.now).isoformat(),
        )
    await store.insert_exposure(tx, user_id, day, case_id, part, org_id, points)
