"""The SQL of who is told that a flag was killed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.platform.feature_flag.contract import FlagEntry, FlagId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction

UPSERT_PLATFORM_STAFF = "INSERT INTO feature_flag.platform_staff (user_id) VALUES ($user_id) ON CONFLICT DO NOTHING"


async def upsert_platform_staff(tx: Transaction, user_id: UserId) -> None:
    await tx.run(UPSERT_PLATFORM_STAFF, user_id=user_id)


LIST_PLATFORM_STAFF = "SELECT user_id FROM feature_flag.platform_staff ORDER BY user_id DESC LIMIT 1000"


async def list_platform_staff(db: Connection) -> list[UserId]:
    """List who may administrate the platform; whether they still do is to be asked."""
    return [row["user_id"] for row in await db.rows(LIST_PLATFORM_STAFF)]


INSERT_REPORTS = """
INSERT INTO feature_flag.kill_reports (report_id, user_id, flag_id, version, org_id, reported_at)
SELECT $report_id, user_id, $flag_id, $version, $org_id, $now FROM unnest($people::uuid[]) AS user_id
ON CONFLICT DO NOTHING
"""


async def insert_reports(tx: Transaction, report_id: UUID, flag: FlagEntry, version: int, people: list[UserId]) -> int:
    """Note who is told of a kill; return how many were not noted before."""
    return await tx.run(
        INSERT_REPORTS, report_id=report_id, flag_id=flag.id, version=version, org_id=flag.org_id, people=people
    )


LIST_REPORTED = """
SELECT user_id FROM feature_flag.kill_reports
WHERE report_id = $report_id AND ($after::uuid IS NULL OR user_id > $after)
ORDER BY user_id LIMIT $limit
"""


async def list_reported(db: Connection, report_id: UUID, *, after: UUID | None, limit: int) -> list[UserId]:
    """List who is told of a kill, by their ids."""
    rows = await db.rows(LIST_REPORTED, report_id=report_id, after=after, limit=limit)
    return [row["user_id"] for row in rows]


FIND_KILLED = """
SELECT f.id, f.org_id, f.key, f.title FROM feature_flag.kill_reports r JOIN feature_flag.flags f ON f.id = r.flag_id
WHERE r.report_id = $report_id AND f.state = 'killed' AND f.version >= r.version LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A flag that is killed, as people are told of it."""

    id: FlagId
    org_id: OrgId | None
    key: str
    title: str


async def find_killed(db: Connection, report_id: UUID) -> Killed | None:
    """Find the flag of a report while it is killed."""
    return await db.maybe(Killed, FIND_KILLED, report_id=report_id)


DELETE_REPORTS = """
DELETE FROM feature_flag.kill_reports WHERE (report_id, user_id) IN (
    SELECT report_id, user_id FROM feature_flag.kill_reports WHERE reported_at < $before
    ORDER BY reported_at LIMIT $limit)
"""


async def delete_reports(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_REPORTS, before=before, limit=limit)
