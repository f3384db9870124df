"""The SQL of exposures."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from api.platform.moderation.contract import CaseId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction

Part = Literal["case", "second_review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What somebody was shown in a day."""

    points: int
    times: list[datetime]


FIND_SEEN = """
SELECT coalesce(sum(points), 0)::int AS points, coalesce(array_agg(seen_at), '{}') AS times
FROM moderation.exposures WHERE user_id = $user_id AND day = $day
"""


async def find_seen(db: Connection, user_id: UserId, day: date) -> Seen:
    return await db.one(Seen, FIND_SEEN, user_id=user_id, day=day)


FIND_IS_COUNTED = """
SELECT EXISTS (SELECT FROM moderation.exposures WHERE user_id = $user_id AND day = $day AND case_id = $case_id AND part = $part)
"""


async def find_is_counted(db: Connection, user_id: UserId, day: date, case_id: CaseId, part: Part) -> bool:
    """Tell whether it was counted that day that somebody was shown this."""
    return await db.value(FIND_IS_COUNTED, user_id=user_id, day=day, case_id=case_id, part=part)


INSERT_EXPOSURE = """
INSERT INTO moderation.exposures (user_id, day, case_id, part, org_id, points, seen_at)
VALUES ($user_id, $day, $case_id, $part, $org_id, $points, $now) ON CONFLICT DO NOTHING
"""


async def insert_exposure(
    tx: Transaction, user_id: UserId, day: date, case_id: CaseId, part: Part, org_id: OrgId | None, points: int
) -> None:
    """Count that somebody is shown this; once a day."""
    await tx.run(INSERT_EXPOSURE, user_id=user_id, day=day, case_id=case_id, part=part, org_id=org_id, points=points)


DELETE_EXPOSURES = """
DELETE FROM moderation.exposures WHERE (user_id, day, case_id, part) IN (
    SELECT user_id, day, case_id, part FROM moderation.exposures WHERE day < $until ORDER BY day LIMIT $limit)
"""


async def delete_old(tx: Transaction, until: date, limit: int) -> int:
    """Delete exposures of days before then."""
    return await tx.run(DELETE_EXPOSURES, until=until, limit=limit)
