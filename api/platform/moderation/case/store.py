"""The SQL of cases and of what their things said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api.platform.moderation.contract import CaseId, CaseState, Content
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

Source = Literal["report", "screening"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A thing that somebody has to look at, or has."""

    id: CaseId
    org_id: OrgId | None
    course_id: UUID | None
    kind: str
    thing_id: UUID
    user_id: UserId | None
    url: str
    state: CaseState
    source_kind: Source
    severity: int
    reach: int
    reports: int
    queue_position: float
    opened_at: datetime
    leased_by: UserId | None
    leased_until: datetime | None
    decided_at: datetime | None
    sealed: bool
    """It names a crime or danger to life: few may see it."""
    version: int


_CASE = """id, org_id, course_id, kind, thing_id, user_id, url,
    CASE WHEN state <> 'decided' AND leased_until > now() THEN 'leased' ELSE state END AS state, source_kind, severity, reach,
    reports, queue_position, opened_at, leased_by, leased_until, decided_at, sealed, version"""
FIND_CASE = "SELECT " + _CASE + " FROM moderation.cases WHERE id = $case_id"


async def find_case(db: Connection, case_id: CaseId) -> Guarded[Case] | None:
    case = await db.maybe(Case, FIND_CASE, case_id=case_id)
    return None if case is None else Guarded(case, org_id=case.org_id, see="moderation-case:read")


FIND_AUTHOR = "SELECT user_id FROM moderation.cases WHERE id = $case_id"


async def find_author(db: Connection, case_id: CaseId) -> UserId | None:
    """Return who wrote the thing of a case; None: nobody knows."""
    return await db.value(FIND_AUTHOR, case_id=case_id)


LOCK_CASE = FIND_CASE + " FOR UPDATE"


async def lock_case(tx: Transaction, case_id: CaseId) -> Case | None:
    return await tx.maybe(Case, LOCK_CASE, case_id=case_id)


FIND_CASE_OF_THING = "SELECT id FROM moderation.cases WHERE kind = $kind AND thing_id = $thing_id"


async def find_case_of_thing(tx: Transaction, kind: str, thing_id: UUID) -> CaseId | None:
    return await tx.value(FIND_CASE_OF_THING, kind=kind, thing_id=thing_id)


_WITHIN = """($everywhere OR org_id = ANY($org_ids::uuid[]))
      AND (NOT sealed OR $sealed_everywhere OR org_id = ANY($sealed_org_ids::uuid[]))
      AND (NOT sealed OR (user_id = $reviewer::uuid) IS NOT TRUE)
      AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($kind::text IS NULL OR kind = $kind) AND ($ids::uuid[] IS NULL OR id = ANY($ids))
      AND ($position::double precision IS NULL OR (queue_position, id) > ($position, $after::uuid))
    ORDER BY queue_position, id LIMIT $limit"""
LIST_CASES = "SELECT " + _CASE + " FROM moderation.cases WHERE " + _WITHIN
# What is decided stands in front of what is not, and becomes ever more: the queue has an index without it.
LIST_QUEUE = (
    "SELECT "
    + _CASE
    + " FROM moderation.cases WHERE state <> 'decided' AND (severity <= $severest OR leased_by = $reviewer) AND "
    + _WITHIN
)


async def list_cases(
    db: Connection,
    reach: Reach,
    sealed: Mapping[str, object],
    *,
    org_id: OrgId | None,
    kind: str | None,
    ids: list[CaseId] | None,
    decided: bool,
    reviewer: UserId | None,
    severest: int,
    after: tuple[float, UUID] | None,
    limit: int,
) -> list[Case]:
    """List cases in the order in which somebody should look at them; `decided`: those too that somebody has.

    Without those, cases of more than `severest` are left out, but those that `reviewer` has taken. Sealed cases of what `reviewer`
    wrote are left out always.
    """
    position, after_id = after or (None, None)
    asked = {
        **sealed,
        "reviewer": reviewer,
        "org_id": org_id,
        "kind": kind,
        "ids": ids,
        "position": position,
        "after": after_id,
        "limit": limit,
    }
    if decided:
        return await db.all(Case, LIST_CASES, reach, **asked)
    return await db.all(Case, LIST_QUEUE, reach, **asked, severest=severest)


# A decided case is opened again by what its thing says now, not by more reports of what was judged.
UPSERT_CASE = """
INSERT INTO moderation.cases AS c (id, org_id, course_id, kind, thing_id, user_id, url, state, source_kind, severity, reach,
    reports, weight, opened_at, opened_hours, sealed, updated_at)
VALUES ($case_id, $org_id, $course_id, $kind, $thing_id, $user_id, $url, 'open', $source_kind, $severity, $reach, $reports,
    $weight, $now, extract(epoch FROM $now::timestamptz) / 3600, $sealed, $now)
ON CONFLICT (kind, thing_id) DO UPDATE SET
    state = CASE c.state WHEN 'decided' THEN 'reopened' ELSE c.state END,
    source_kind = CASE c.state WHEN 'decided' THEN excluded.source_kind ELSE c.source_kind END,
    severity = CASE c.state WHEN 'decided' THEN excluded.severity ELSE greatest(c.severity, excluded.severity) END,
    reports = CASE c.state WHEN 'decided' THEN 0 ELSE c.reports END + excluded.reports,
    weight = CASE c.state WHEN 'decided' THEN 0 ELSE c.weight END + excluded.weight,
    opened_at = CASE c.state WHEN 'decided' THEN excluded.opened_at ELSE c.opened_at END,
    opened_hours = CASE c.state WHEN 'decided' THEN excluded.opened_hours ELSE c.opened_hours END,
    leased_by = CASE c.state WHEN 'decided' THEN NULL ELSE c.leased_by END,
    leased_until = CASE c.state WHEN 'decided' THEN NULL ELSE c.leased_until END,
    user_id = excluded.user_id, url = excluded.url, reach = excluded.reach, course_id = excluded.course_id,
    sealed = c.sealed OR excluded.sealed, version = c.version + 1, updated_at = excluded.updated_at
WHERE c.state <> 'decided' OR c.decided_sha256 IS DISTINCT FROM $sha256
RETURNING id, version, severity, sealed, opened_at = $now OR (sealed AND NOT coalesce(old.sealed, true)) AS is_opened
"""


@dataclass(frozen=True, slots=True)
class Opened:
    id: CaseId
    version: int
    severity: int
    sealed: bool
    is_opened: bool
    """Now, for the first time or again, or for those who see what is sealed, as it is from now on."""


async def upsert_case(
    tx: Transaction,
    case_id: CaseId,
    kind: str,
    content: Content,
    *,
    source: Source,
    severity: int,
    reports: int,
    weight: float,
    sealed: bool,
    sha256: bytes,
) -> Opened | None:
    """Open a case of a thing, or add to the one that there is; None: it was decided, and the thing says what it said then."""
    return await tx.maybe(
        Opened,
        UPSERT_CASE,
        case_id=case_id,
        org_id=content.org_id,
        course_id=content.course_id,
        kind=kind,
        thing_id=content.id,
        user_id=content.user_id,
        url=content.url,
        source_kind=source,
        severity=severity,
        reach=content.reach,
        reports=reports,
        weight=weight,
        sealed=sealed,
        sha256=sha256,
    )


INSERT_CONTENT = """
INSERT INTO moderation.contents (case_id, sha256, org_id, user_id, texts, findings, seen_at)
VALUES ($case_id, $sha256, $org_id, $user_id, $texts, $findings, $now)
ON CONFLICT (case_id, sha256) DO UPDATE SET findings = excluded.findings WHERE excluded.findings <> '[]'
"""


async def insert_content(
    tx: Transaction, case_id: CaseId, content: Content, sha256: bytes, findings: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Remember what a thing says; once for each text."""
    await tx.run(
        INSERT_CONTENT,
        case_id=case_id,
        sha256=sha256,
        org_id=content.org_id,
        user_id=content.user_id,
        texts=content.texts,
        findings=list(findings),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenContent:
    """What a thing said."""

    texts: dict[str, str]
    findings: list[dict[str, Any]]
    seen_at: datetime


LIST_CONTENTS = """
SELECT texts, findings, seen_at FROM moderation.contents WHERE case_id = $case_id ORDER BY seen_at, sha256 LIMIT 100
"""


async def list_contents(db: Connection, case_id: CaseId) -> list[SeenContent]:
    return await db.all(SeenContent, LIST_CONTENTS, case_id=case_id)


UPDATE_LEASED = (
    """UPDATE moderation.cases SET leased_by = $by, leased_until = $until, version = version + 1, updated_at = $now
    WHERE id = $case_id AND state <> 'decided' AND (leased_by IS NULL OR leased_by = $by OR leased_until <= $now)
    RETURNING """
    + _CASE
)


async def update_leased(tx: Transaction, case_id: CaseId, by: UserId, until: datetime) -> Case | None:
    """Give a case to somebody for a while, or longer to who has it; None when another has it, or it is decided."""
    return await tx.maybe(Case, UPDATE_LEASED, case_id=case_id, by=by, until=until)


UPDATE_RELEASED = (
    """UPDATE moderation.cases SET leased_by = NULL, leased_until = NULL, version = version + 1, updated_at = $now
    WHERE id = $case_id AND leased_by = $by AND state <> 'decided' RETURNING """
    + _CASE
)


async def update_released(tx: Transaction, case_id: CaseId, by: UserId) -> Case | None:
    return await tx.maybe(Case, UPDATE_RELEASED, case_id=case_id, by=by)


UPDATE_DECIDED = """
UPDATE moderation.cases SET state = 'decided', decided_sha256 = coalesce($sha256, decided_sha256), decided_at = $now,
    leased_by = NULL, leased_until = NULL, version = version + 1, updated_at = $now
WHERE id = $case_id RETURNING version
"""


async def update_decided(tx: Transaction, case_id: CaseId, sha256: bytes | None) -> int:
    """Mark a case as decided, on what its thing says, and return its version."""
    return await tx.value(UPDATE_DECIDED, case_id=case_id, sha256=sha256)


UPDATE_REVERSED = """
UPDATE moderation.cases SET version = version + 1, updated_at = $now WHERE id = $case_id RETURNING version
"""


async def update_reversed(tx: Transaction, case_id: CaseId) -> int:
    """Count the reversal of a decision of a case, and return its version."""
    return await tx.value(UPDATE_REVERSED, case_id=case_id)


FIND_IS_PARTY = """
SELECT EXISTS (SELECT FROM moderation.reports WHERE case_id = $case_id AND reported_by = $user_id)
    OR EXISTS (SELECT FROM moderation.cases WHERE id = $case_id AND user_id = $user_id)
"""


async def find_is_party(db: Connection, case_id: CaseId, user_id: UserId) -> bool:
    """Tell whether somebody wrote the thing of a case, or reported it."""
    return await db.value(FIND_IS_PARTY, case_id=case_id, user_id=user_id)


DELETE_CONTENTS = """
DELETE FROM moderation.contents WHERE (case_id, sha256) IN (
    SELECT c.case_id, c.sha256 FROM moderation.contents c JOIN moderation.cases k ON k.id = c.case_id
    WHERE c.seen_at < $until AND k.state = 'decided' AND k.decided_at < $until ORDER BY c.seen_at LIMIT $limit)
"""


async def delete_contents(tx: Transaction, until: datetime, limit: int) -> int:
    """Delete what things said whose case was decided before then."""
    return await tx.run(DELETE_CONTENTS, until=until, limit=limit)


async def get_case(db: Connection, case_id: CaseId) -> Case:
    return await db.one(Case, FIND_CASE, case_id=case_id)
