"""The SQL of totals."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.totals.rules import WHOLE, Given, Item, Scheme
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A learner whose totals are computed."""

    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What the scores of a learner make of a category, or of the run."""

    enrollment_id: EnrollmentId
    category_id: UUID
    percent: Decimal | None
    released_percent: Decimal | None
    scheme_version: int
    stale: bool


UPSERT_SCHEME = """
INSERT INTO progress.schemes AS s (run_id, org_id, course_id, scheme_version) VALUES ($run_id, $org_id, $course_id, 1)
ON CONFLICT (run_id) DO UPDATE SET scheme_version = s.scheme_version + 1
RETURNING scheme_version
"""


async def upsert_scheme(tx: Transaction, *, run_id: UUID, org_id: OrgId, course_id: UUID) -> int:
    """Count a change of what makes the totals of a run."""
    return await tx.value(UPSERT_SCHEME, run_id=run_id, org_id=org_id, course_id=course_id)


FIND_SCHEME = "SELECT scheme_version FROM progress.schemes WHERE run_id = $run_id"


async def find_scheme(db: Connection, run_id: UUID) -> int | None:
    return await db.value(FIND_SCHEME, run_id=run_id)


UPDATE_SCHEME = """
UPDATE progress.schemes SET scheme_version = scheme_version + 1 WHERE run_id = $run_id RETURNING scheme_version
"""


async def update_scheme(tx: Transaction, run_id: UUID) -> int | None:
    """Count that a line item is due now; None: nothing is graded there any more."""
    return await tx.value(UPDATE_SCHEME, run_id=run_id)


LOCK_SCHEME = FIND_SCHEME + " FOR SHARE"


async def lock_scheme(tx: Transaction, run_id: UUID) -> int | None:
    """Hold what makes the totals of a run as it is, and return its version."""
    return await tx.value(LOCK_SCHEME, run_id=run_id)


LIST_CATEGORIES = """
SELECT id, weight, drop_lowest, extra_credit, missing_as_zero FROM progress.categories
WHERE run_id = $run_id ORDER BY id LIMIT 1000
"""
LIST_ITEMS = """
SELECT id, category_id, weight, score_maximum, due_at, released FROM progress.line_items
WHERE run_id = $run_id AND deleted_at IS NULL ORDER BY id LIMIT 1000
"""


async def list_scheme(db: Connection, run_id: UUID) -> tuple[list[Scheme], list[Item]]:
    """Return the categories and line items of a run."""
    return await db.all(Scheme, LIST_CATEGORIES, run_id=run_id), await db.all(Item, LIST_ITEMS, run_id=run_id)


UPSERT_STALE = """
INSERT INTO progress.totals AS t (enrollment_id, category_id, org_id, course_id, run_id, user_id, scheme_version, stale)
SELECT DISTINCT enrollment_id, $whole::uuid, org_id, course_id, run_id, user_id, 0, true
FROM unnest($enrollment_id::uuid[], $org_id::uuid[], $course_id::uuid[], $run_id::uuid[], $user_id::uuid[])
  AS new (enrollment_id, org_id, course_id, run_id, user_id)
ORDER BY enrollment_id
ON CONFLICT (enrollment_id, category_id) DO UPDATE SET stale = true WHERE NOT t.stale
"""
_OF_PLACE = tuple(Place.__dataclass_fields__)


async def upsert_stale(tx: Transaction, places: Sequence[Place]) -> None:
    """Note that the totals of these learners are to be computed again."""
    arrays: dict[str, Any] = {name: [getattr(each, name) for each in places] for name in _OF_PLACE}
    await tx.run(UPSERT_STALE, **arrays, whole=WHOLE)


LOCK_STALE = """
SELECT enrollment_id, org_id, course_id, run_id, user_id FROM progress.totals
WHERE run_id = $run_id AND stale ORDER BY enrollment_id LIMIT $limit FOR UPDATE
"""


async def lock_stale(tx: Transaction, run_id: UUID, limit: int) -> list[Place]:
    """Hold learners of a run whose totals are stale."""
    return await tx.all(Place, LOCK_STALE, run_id=run_id, limit=limit)


LIST_LEARNERS = """
SELECT enrollment_id, org_id, course_id, run_id, user_id FROM progress.learners
WHERE run_id = $run_id AND ($after::uuid IS NULL OR enrollment_id > $after) ORDER BY enrollment_id LIMIT $limit
"""


async def list_learners(db: Connection, run_id: UUID, *, after: EnrollmentId | None, limit: int) -> list[Place]:
    """List the learners of a run by id."""
    return await db.all(Place, LIST_LEARNERS, run_id=run_id, after=after, limit=limit)


LOCK_TOTALS = """
SELECT enrollment_id FROM progress.totals
WHERE enrollment_id = ANY($enrollment_ids::uuid[]) AND category_id = $whole::uuid ORDER BY enrollment_id LIMIT 1000 FOR UPDATE
"""


async def lock_totals(tx: Transaction, enrollment_ids: Sequence[EnrollmentId]) -> None:
    """Hold the totals of learners: who posts a score for one of them waits, and notes it afterwards."""
    await tx.rows(LOCK_TOTALS, enrollment_ids=enrollment_ids, whole=WHOLE)


LIST_GIVEN = """
SELECT enrollment_id, line_item_id, state, score_given, score_maximum FROM progress.results
WHERE enrollment_id = ANY($enrollment_ids::uuid[]) LIMIT 1000000
"""


async def list_given(db: Connection, enrollment_ids: Sequence[EnrollmentId]) -> dict[EnrollmentId, dict[UUID, Given]]:
    """Return what each of these learners has, by line item."""
    found: dict[EnrollmentId, dict[UUID, Given]] = {each: {} for each in enrollment_ids}
    for row in await db.rows(LIST_GIVEN, enrollment_ids=enrollment_ids):
        found[row["enrollment_id"]][row["line_item_id"]] = Given(
            state=row["state"], score_given=row["score_given"], score_maximum=row["score_maximum"]
        )
    return found


UPSERT_TOTALS = """
INSERT INTO progress.totals (enrollment_id, category_id, org_id, course_id, run_id, user_id, percent, released_percent,
    scheme_version, stale)
SELECT enrollment_id, category_id, org_id, course_id, run_id, user_id, percent, released_percent, $version, false
FROM unnest($enrollment_id::uuid[], $category_id::uuid[], $org_id::uuid[], $course_id::uuid[], $run_id::uuid[],
    $user_id::uuid[], $percent::numeric[], $released_percent::numeric[])
  AS new (enrollment_id, category_id, org_id, course_id, run_id, user_id, percent, released_percent)
ORDER BY enrollment_id, category_id
ON CONFLICT (enrollment_id, category_id) DO UPDATE
SET percent = excluded.percent, released_percent = excluded.released_percent, scheme_version = excluded.scheme_version,
    stale = false
"""
DELETE_OTHERS = """
DELETE FROM progress.totals WHERE enrollment_id = ANY($enrollment_ids::uuid[]) AND scheme_version < $version
"""
Percents = tuple[Decimal | None, Decimal | None]


async def upsert_totals(tx: Transaction, totals: Sequence[tuple[Place, dict[UUID, Percents]]], version: int) -> None:
    """Write the totals of learners, and delete those of categories that are gone."""
    rows = [(place, id, percents) for place, of in totals for id, percents in of.items()]
    arrays: dict[str, Any] = {name: [getattr(place, name) for place, _, _ in rows] for name in _OF_PLACE}
    await tx.run(
        UPSERT_TOTALS,
        **arrays,
        category_id=[id for _, id, _ in rows],
        percent=[percents[0] for _, _, percents in rows],
        released_percent=[percents[1] for _, _, percents in rows],
        version=version,
    )
    await tx.run(DELETE_OTHERS, enrollment_ids=[place.enrollment_id for place, _ in totals], version=version)


LIST_TOTALS = """
SELECT enrollment_id, category_id, percent, released_percent, scheme_version, stale FROM progress.totals
WHERE enrollment_id = ANY($enrollment_ids::uuid[]) ORDER BY enrollment_id, category_id LIMIT 10000
"""


async def list_totals(db: Connection, enrollment_ids: Sequence[EnrollmentId]) -> dict[EnrollmentId, list[Total]]:
    """Return the totals of learners; each of them is a key."""
    found: dict[EnrollmentId, list[Total]] = {each: [] for each in enrollment_ids}
    for total in await db.all(Total, LIST_TOTALS, enrollment_ids=enrollment_ids):
        found[total.enrollment_id].append(total)
    return found
