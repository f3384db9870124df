"""The SQL of decisions. They are never changed: a reversal is a decision of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api.platform.moderation.contract import Action, CaseId, ClauseId, DecisionId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    id: DecisionId
    org_id: OrgId | None
    course_id: UUID | None
    case_id: CaseId
    kind: str
    thing_id: UUID
    user_id: UserId | None
    actions: list[Action]
    clause_id: ClauseId
    clause_version: int
    facts: str
    source_kind: Literal["report", "screening"]
    until_at: datetime | None
    strikes: int
    decided_by: UserId | None
    reverses_id: DecisionId | None
    reversed_id: DecisionId | None
    """The decision that reversed this one."""
    wants_review: bool
    sealed: bool = False
    created_at: datetime


_DECISION = """d.id, d.org_id, d.course_id, d.case_id, d.kind, d.thing_id, d.user_id, d.actions, d.clause_id, d.clause_version,
    d.facts, d.source_kind, d.until_at, d.strikes, d.decided_by, d.reverses_id, r.id AS reversed_id, d.wants_review,
    d.sealed, d.created_at"""
_FROM = " FROM moderation.decisions d LEFT JOIN moderation.decisions r ON r.reverses_id = d.id "
FIND_DECISION = "SELECT " + _DECISION + _FROM + "WHERE d.id = $decision_id"


async def find_decision(db: Connection, decision_id: DecisionId) -> Decision | None:
    return await db.maybe(Decision, FIND_DECISION, decision_id=decision_id)


async def find_guarded(db: Connection, decision_id: DecisionId) -> Guarded[Decision] | None:
    found = await find_decision(db, decision_id)
    if found is None:
        return None
    return Guarded(found, org_id=found.org_id, owner_id=found.user_id, see="moderation-decision:read")


LIST_DECISIONS = (
    "SELECT "
    + _DECISION
    + _FROM
    + """WHERE ($everywhere OR d.org_id = ANY($org_ids::uuid[]) OR d.user_id = $own)
      AND (NOT d.sealed OR $sealed_everywhere OR d.org_id = ANY($sealed_org_ids::uuid[]) OR d.user_id = $own)
      AND ($org_id::uuid IS NULL OR d.org_id = $org_id) AND ($ids::uuid[] IS NULL OR d.id = ANY($ids))
      AND ($case_id::uuid IS NULL OR d.case_id = $case_id) AND ($before::uuid IS NULL OR d.id < $before)
    ORDER BY d.id DESC LIMIT $limit"""
)


async def list_decisions(
    db: Connection,
    reach: Reach,
    sealed: Mapping[str, object],
    *,
    org_id: OrgId | None,
    case_id: CaseId | None,
    ids: list[DecisionId] | None,
    before: DecisionId | None,
    limit: int,
) -> list[Decision]:
    """List decisions within reach, and those about the caller, newest first."""
    return await db.all(
        Decision,
        LIST_DECISIONS,
        reach,
        **sealed,
        org_id=org_id,
        case_id=case_id,
        ids=ids,
        before=before,
        limit=limit,
    )


LIST_OF_CASE = "SELECT " + _DECISION + _FROM + "WHERE d.case_id = $case_id ORDER BY d.id DESC LIMIT 100"


async def list_of_case(db: Connection, case_id: CaseId) -> list[Decision]:
    return await db.all(Decision, LIST_OF_CASE, case_id=case_id)


INSERT_DECISION = """
INSERT INTO moderation.decisions (id, org_id, course_id, case_id, kind, thing_id, user_id, actions, clause_id, clause_version,
    facts, source_kind, until_at, strikes, decided_by, reverses_id, wants_review, sealed, created_at)
VALUES ($id, $org_id, $course_id, $case_id, $kind, $thing_id, $user_id, $actions, $clause_id, $clause_version,
    $facts, $source_kind, $until_at, $strikes, $decided_by, $reverses_id, $wants_review, $sealed, $now)
"""


async def insert_decision(tx: Transaction, decision: Decision) -> None:
    await tx.run(INSERT_DECISION, decision)


FIND_IN_FORCE = """
SELECT d.actions FROM moderation.decisions d LEFT JOIN moderation.decisions r ON r.reverses_id = d.id
WHERE d.case_id = $case_id AND d.reverses_id IS NULL AND r.id IS NULL
ORDER BY d.id DESC LIMIT 1
"""


async def find_in_force(tx: Transaction, case_id: CaseId) -> list[Action]:
    """Return the actions of the newest decision of a case that was not reversed."""
    return await tx.value(FIND_IN_FORCE, case_id=case_id) or []


LIST_JUDGES = """
SELECT DISTINCT decided_by FROM moderation.decisions
WHERE (org_id = $org_id OR (org_id IS NULL AND $org_id::uuid IS NULL)) AND decided_by IS NOT NULL
    AND created_at > now() - interval '90 days' AND (sealed OR NOT $sealed) AND decided_by IS DISTINCT FROM $author::uuid
    AND ($after::uuid IS NULL OR decided_by > $after)
ORDER BY decided_by LIMIT $limit
"""


async def list_judges(
    db: Connection, org_id: OrgId | None, *, sealed: bool, author: UserId | None, after: UUID | None, limit: int
) -> list[UserId]:
    """List who decided cases, or sealed ones, of an organization within 90 days, by id; `author` judges nothing of their own."""
    rows = await db.rows(LIST_JUDGES, org_id=org_id, sealed=sealed, author=author, after=after, limit=limit)
    return [row["decided_by"] for row in rows]


COUNT_REPORTS = """
SELECT c.category, count(*) AS notices, count(*) FILTER (WHERE r.state = 'acted') AS acted,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM r.answered_at - r.created_at))
        FILTER (WHERE r.answered_at IS NOT NULL) AS median_s
FROM moderation.reports r JOIN moderation.clauses c ON c.id = r.clause_id
WHERE r.created_at >= $since AND r.created_at < $until AND ($everywhere OR r.org_id = ANY($org_ids::uuid[]))
GROUP BY c.category ORDER BY c.category LIMIT 100
"""


async def count_reports(db: Connection, reach: Reach, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Count reports by category, and those that led to something."""
    return [dict(row) for row in await db.rows(COUNT_REPORTS, reach, since=since, until=until)]


COUNT_DECISIONS = """
SELECT c.category, d.source_kind AS source, count(*) AS decisions, count(*) FILTER (WHERE d.actions <> '{}') AS acted,
    count(*) FILTER (WHERE 'remove' = ANY(d.actions)) AS removals,
    count(*) FILTER (WHERE d.actions && '{mute,ban}') AS suspensions
FROM moderation.decisions d JOIN moderation.clauses c ON c.id = d.clause_id
WHERE d.created_at >= $since AND d.created_at < $until AND d.reverses_id IS NULL
  AND ($everywhere OR d.org_id = ANY($org_ids::uuid[]))
GROUP BY c.category, d.source_kind ORDER BY c.category, d.source_kind LIMIT 100
"""


async def count_decisions(db: Connection, reach: Reach, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Count decisions by category and by what began them."""
    return [dict(row) for row in await db.rows(COUNT_DECISIONS, reach, since=since, until=until)]


COUNT_APPEALS = """
SELECT count(*) AS filed, count(*) FILTER (WHERE state = 'upheld') AS upheld,
    count(*) FILTER (WHERE state = 'reversed') AS reversed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM answered_at - created_at))
        FILTER (WHERE answered_at IS NOT NULL) AS median_s
FROM moderation.appeals
WHERE created_at >= $since AND created_at < $until AND ($everywhere OR org_id = ANY($org_ids::uuid[]))
"""


async def count_appeals(db: Connection, reach: Reach, since: datetime, until: datetime) -> dict[str, Any]:
    """Count appeals by how they ended."""
    [row] = await db.rows(COUNT_APPEALS, reach, since=since, until=until)
    return dict(row)


LIST_STATEMENTS = (
    "SELECT "
    + _DECISION
    + ", c.category, v.texts"
    + _FROM
    + """JOIN moderation.clauses c ON c.id = d.clause_id
    JOIN moderation.clause_versions v ON v.clause_id = d.clause_id AND v.version = d.clause_version
    WHERE d.created_at >= $since AND d.created_at < $until AND d.actions <> '{}' AND d.user_id IS NOT NULL
      AND ($everywhere OR d.org_id = ANY($org_ids::uuid[])) AND ($ids::uuid[] IS NULL OR d.id = ANY($ids))
      AND ($before::uuid IS NULL OR d.id < $before)
    ORDER BY d.id DESC LIMIT $limit"""
)


async def list_statements(
    db: Connection,
    reach: Reach,
    since: datetime,
    until: datetime,
    *,
    ids: list[DecisionId] | None,
    before: DecisionId | None,
    limit: int,
) -> list[tuple[Decision, str, dict[str, Any]]]:
    """List decisions that restricted something, with the category and the words of their clauses, newest first."""
    found: list[tuple[Decision, str, dict[str, Any]]] = []
    for row in await db.rows(LIST_STATEMENTS, reach, since=since, until=until, ids=ids, before=before, limit=limit):
        fields = dict(row)
        category, texts = fields.pop("category"), fields.pop("texts")
        found.append((Decision(**fields), category, texts))
    return found
