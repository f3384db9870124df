"""The SQL of reports."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.platform.moderation.contract import CaseId, ClauseId, DecisionId, ReportId, ReportState
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    id: ReportId
    org_id: OrgId | None
    case_id: CaseId | None
    kind: str
    thing_id: UUID
    clause_id: ClauseId
    reported_by: UserId | None
    text: str
    weight: float
    state: ReportState
    created_at: datetime
    answered_at: datetime | None


_REPORT = (
    """id, org_id, case_id, kind, thing_id, clause_id, reported_by, text, weight, state, created_at, answered_at"""
)
FIND_REPORT = "SELECT " + _REPORT + " FROM moderation.reports WHERE id = $report_id"


async def find_report(db: Connection, report_id: ReportId) -> Guarded[Report] | None:
    report = await db.maybe(Report, FIND_REPORT, report_id=report_id)
    return None if report is None else Guarded(report, owner_id=report.reported_by, see="moderation-report:read")


LIST_REPORTS = (
    "SELECT "
    + _REPORT
    + """ FROM moderation.reports
    WHERE reported_by = $user_id AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_reports(
    db: Connection, user_id: UserId, *, ids: list[ReportId] | None, before: ReportId | None, limit: int
) -> list[Report]:
    """List what somebody reported, newest first."""
    return await db.all(Report, LIST_REPORTS, user_id=user_id, ids=ids, before=before, limit=limit)


LIST_OF_CASE = (
    "SELECT "
    + _REPORT
    + """ FROM moderation.reports
    WHERE case_id = $case_id AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_of_case(
    db: Connection, case_id: CaseId, *, ids: list[UUID] | None, before: UUID | None, limit: int
) -> list[Report]:
    return await db.all(Report, LIST_OF_CASE, case_id=case_id, ids=ids, before=before, limit=limit)


@dataclass(frozen=True, slots=True)
class Record:
    """What became of somebody's reports."""

    acted: int
    kept: int
    open: int


COUNT_OF_PERSON = """
SELECT count(*) FILTER (WHERE state = 'acted') AS acted, count(*) FILTER (WHERE state = 'kept') AS kept,
    count(*) FILTER (WHERE state = 'open') AS open
FROM (SELECT state FROM moderation.reports WHERE reported_by = $user_id ORDER BY id DESC LIMIT 1000) AS latest
"""


async def count_of_person(tx: Transaction, user_id: UserId) -> Record:
    return await tx.one(Record, COUNT_OF_PERSON, user_id=user_id)


FIND_OPEN = """
SELECT id FROM moderation.reports
WHERE reported_by = $user_id AND kind = $kind AND thing_id = $thing_id AND state = 'open'
"""


async def find_open(tx: Transaction, user_id: UserId, kind: str, thing_id: UUID) -> ReportId | None:
    return await tx.value(FIND_OPEN, user_id=user_id, kind=kind, thing_id=thing_id)


INSERT_REPORT = (
    """INSERT INTO moderation.reports (id, org_id, case_id, kind, thing_id, clause_id, reported_by, text, weight, state,
        created_at, answered_at)
    VALUES ($id, $org_id, $case_id, $kind, $thing_id, $clause_id, $reported_by, $text, $weight, $state, $now, $answered_at)
    RETURNING """
    + _REPORT
)


async def insert_report(tx: Transaction, report: Report) -> Report:
    return await tx.one(Report, INSERT_REPORT, report)


UPDATE_ANSWERED = """
UPDATE moderation.reports SET state = $state, decision_id = $decision_id, answered_at = $now
WHERE case_id = $case_id AND state = 'open'
"""


async def update_answered(tx: Transaction, case_id: CaseId, decision_id: DecisionId, state: ReportState) -> int:
    """Answer all open reports of a case by a decision."""
    return await tx.run(UPDATE_ANSWERED, case_id=case_id, decision_id=decision_id, state=state)


LIST_ANSWERED = """
SELECT DISTINCT reported_by FROM moderation.reports
WHERE decision_id = $decision_id AND reported_by IS NOT NULL AND ($after::uuid IS NULL OR reported_by > $after)
ORDER BY reported_by LIMIT $limit
"""


async def list_answered(db: Connection, decision_id: UUID, *, after: UUID | None, limit: int) -> list[UserId]:
    """List the people whose reports a decision answered, by id."""
    return [
        row["reported_by"] for row in await db.rows(LIST_ANSWERED, decision_id=decision_id, after=after, limit=limit)
    ]


DELETE_OLD = """
DELETE FROM moderation.reports WHERE id IN (
    SELECT id FROM moderation.reports WHERE created_at < $until AND (state <> 'open' OR case_id IS NULL)
    ORDER BY created_at LIMIT $limit)
"""


async def delete_old(tx: Transaction, until: datetime, limit: int) -> int:
    """Delete reports from before then that were answered, or were about nothing."""
    return await tx.run(DELETE_OLD, until=until, limit=limit)
