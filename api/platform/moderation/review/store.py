"""The SQL of second reviews."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from api.platform.moderation.contract import CaseId, ClauseId, DecisionId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A decision that waits to be judged once more, without what was decided."""

    decision_id: DecisionId
    org_id: OrgId | None
    case_id: CaseId
    kind: str
    clause_id: ClauseId
    user_id: UserId | None
    decided_by: UserId | None
    acted: bool
    sealed: bool
    severity: int
    """Of its case."""
    is_waiting: bool


_CANDIDATE = """SELECT d.id AS decision_id, d.org_id, d.case_id, d.kind, d.clause_id, d.user_id, d.decided_by,
        d.actions <> '{}' AS acted, d.sealed, k.severity, d.wants_review AND v.id IS NULL AS is_waiting
    FROM moderation.decisions d JOIN moderation.cases k ON k.id = d.case_id
    LEFT JOIN moderation.reviews v ON v.decision_id = d.id """
FIND_CANDIDATE = _CANDIDATE + "WHERE d.id = $decision_id"


async def find_candidate(db: Connection, decision_id: DecisionId) -> Guarded[Candidate] | None:
    found = await db.maybe(Candidate, FIND_CANDIDATE, decision_id=decision_id)
    return None if found is None else Guarded(found, org_id=found.org_id, see="moderation-case:judge")


FIND_WAITING = (
    _CANDIDATE
    + """WHERE d.wants_review AND v.id IS NULL AND ($everywhere OR d.org_id = ANY($org_ids::uuid[]))
        AND (NOT d.sealed OR $sealed_everywhere OR d.org_id = ANY($sealed_org_ids::uuid[]))
        AND (k.severity <= $severest OR EXISTS (
            SELECT FROM moderation.exposures e WHERE e.user_id = $by AND e.day = $day AND e.case_id = d.case_id
                AND e.part = 'second_review'))
        AND d.decided_by IS DISTINCT FROM $by AND d.user_id IS DISTINCT FROM $by
    ORDER BY d.id LIMIT 1"""
)


async def find_waiting(
    db: Connection, reach: Reach, sealed: Mapping[str, object], by: UserId, *, severest: int, day: date
) -> Candidate | None:
    """Return the oldest decision within reach that waits for somebody else than `by`, up to a severity or shown that day."""
    return await db.maybe(Candidate, FIND_WAITING, reach, **sealed, by=by, severest=severest, day=day)


LIST_TEXTS = """
SELECT texts FROM moderation.contents WHERE case_id = $case_id ORDER BY seen_at DESC, sha256 LIMIT 1
"""


async def find_texts(db: Connection, case_id: CaseId) -> dict[str, str]:
    """Return what the thing of a case said when it was judged."""
    return await db.value(LIST_TEXTS, case_id=case_id) or {}


INSERT_REVIEW = """
INSERT INTO moderation.reviews (id, decision_id, org_id, clause_id, reviewed_by, first_acted, second_acted, created_at)
VALUES ($review_id, $decision_id, $org_id, $clause_id, $by, $first_acted, $second_acted, $now)
ON CONFLICT (decision_id) DO NOTHING
"""


async def insert_review(
    tx: Transaction, review_id: UUID, candidate: Candidate, by: UserId, *, second_acted: bool
) -> bool:
    """Record a second judgement; False when there is one."""
    return (
        await tx.run(
            INSERT_REVIEW,
            review_id=review_id,
            decision_id=candidate.decision_id,
            org_id=candidate.org_id,
            clause_id=candidate.clause_id,
            by=by,
            first_acted=candidate.acted,
            second_acted=second_acted,
        )
        == 1
    )


LIST_JUDGEMENTS = """
SELECT r.clause_id, c.code, r.first_acted, r.second_acted
FROM moderation.reviews r JOIN moderation.clauses c ON c.id = r.clause_id
WHERE r.created_at >= $since AND r.created_at < $until AND ($everywhere OR r.org_id = ANY($org_ids::uuid[]))
ORDER BY r.id DESC LIMIT 20000
"""


async def list_judgements(db: Connection, reach: Reach, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """List first and second judgements of a time, with their clauses; the newest 20,000."""
    return [dict(row) for row in await db.rows(LIST_JUDGEMENTS, reach, since=since, until=until)]
