"""The SQL of the catalogue: published courses with their runs and learners, facets and categories."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.course.contract import SEE, CourseId, Published, Visibility
from api.learning.course.rules import HIDDEN_TITLE
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A published course as the world sees it."""

    course_id: CourseId
    org_id: OrgId
    revision: int
    slug: str
    title: str
    summary: str
    language: str
    categories: list[str]
    tags: list[str]
    visibility: Visibility
    learners: int
    published_at: datetime
    runs: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Facet:
    """How many courses of a list have this value."""

    field: str
    value: str
    courses: int


@dataclass(frozen=True, slots=True)
class Category:
    slug: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is restricted to; None: not by this field."""

    org_id: OrgId | None = None
    category: str | None = None
    tag: str | None = None
    language: str | None = None


_LISTING = (
    """k.course_id, k.org_id, k.revision, k.slug, k.title, k.summary, k.language, k.categories, k.tags, k.visibility,
    k.learners, k.published_at,
    coalesce((SELECT jsonb_agg(jsonb_build_object(
                  'id', r.id, 'title', CASE WHEN r.moderation_state IS NULL THEN r.title ELSE '"""
    + HIDDEN_TITLE
    + """' END, 'pace', r.pace, 'is_default', r.is_default, 'starts_at', r.starts_at,
                  'ends_at', r.ends_at, 'enrolment_opens_at', r.enrolment_opens_at,
                  'enrolment_closes_at', r.enrolment_closes_at, 'seats', r.seats) ORDER BY r.id)
              FROM (SELECT * FROM course.runs WHERE course_id = k.course_id AND ended_at IS NULL ORDER BY id LIMIT 50) r),
             '[]') AS runs"""
)
_SHOWN = """NOT k.hidden AND (k.visibility = 'public' OR (k.visibility = 'organization' AND k.org_id = ANY($org_ids::uuid[])))
    AND ($org_id::uuid IS NULL OR k.org_id = $org_id)
    AND ($category::text IS NULL OR k.categories @> ARRAY[$category])
    AND ($tag::text IS NULL OR k.tags @> ARRAY[$tag])
    AND ($language::text IS NULL OR k.language = $language)"""


FIND_LISTING = "SELECT " + _LISTING + " FROM course.catalog k WHERE k.course_id = $course_id AND NOT k.hidden"


async def find_listing(db: Connection, course_id: CourseId) -> Guarded[Listing] | None:
    """Find what the catalogue shows of a course."""
    listing = await db.maybe(Listing, FIND_LISTING, course_id=course_id)
    if listing is None:
        return None
    return Guarded(listing, org_id=listing.org_id, course_id=listing.course_id, see=SEE[listing.visibility])


FIND_PUBLISHED = "SELECT org_id, visibility FROM course.catalog WHERE course_id = $course_id AND NOT hidden"


async def find_published(db: Connection, course_id: CourseId) -> Published | None:
    return await db.maybe(Published, FIND_PUBLISHED, course_id=course_id)


LIST_LISTINGS = (
    "SELECT "
    + _LISTING
    + " FROM course.catalog k WHERE "
    + _SHOWN
    + """
      AND ($ids::uuid[] IS NULL OR k.course_id = ANY($ids)) AND ($before::uuid IS NULL OR k.course_id < $before)
    ORDER BY k.course_id DESC LIMIT $limit"""
)


async def list_listings(
    db: Connection,
    org_ids: tuple[OrgId, ...],
    filters: Filters,
    *,
    ids: list[CourseId] | None,
    before: CourseId | None,
    limit: int,
) -> list[Listing]:
    """List what is public, and what members of `org_ids` may see, newest course first."""
    return await db.all(Listing, LIST_LISTINGS, filters, org_ids=org_ids, ids=ids, before=before, limit=limit)


LIST_FACETS = (
    """WITH shown AS MATERIALIZED (SELECT k.categories, k.tags, k.language FROM course.catalog k WHERE """
    + _SHOWN
    + """)
    SELECT field, value, count(*) AS courses FROM (
        SELECT 'category' AS field, unnest(categories) AS value FROM shown
        UNION ALL SELECT 'tag', unnest(tags) FROM shown
        UNION ALL SELECT 'language', language FROM shown
    ) AS facets
    GROUP BY field, value ORDER BY field, courses DESC, value LIMIT 200"""
)


async def list_facets(db: Connection, org_ids: tuple[OrgId, ...], filters: Filters) -> list[Facet]:
    """Count the values of each facet over the filtered catalogue, commonest first, at most 200."""
    return await db.all(Facet, LIST_FACETS, filters, org_ids=org_ids)


LIST_CATEGORIES = "SELECT slug, title FROM course.categories ORDER BY position LIMIT 100"


async def list_categories(db: Connection) -> list[Category]:
    """List the categories in their order."""
    return await db.all(Category, LIST_CATEGORIES)


LIST_UNKNOWN_CATEGORIES = """
SELECT slug FROM unnest($slugs::text[]) WITH ORDINALITY AS wanted (slug, position)
WHERE NOT EXISTS (SELECT FROM course.categories WHERE categories.slug = wanted.slug) ORDER BY position LIMIT 100
"""


async def list_unknown_categories(db: Connection, slugs: Sequence[str]) -> list[str]:
    """Return the slugs that name no category, in their order."""
    return [row["slug"] for row in await db.rows(LIST_UNKNOWN_CATEGORIES, slugs=slugs)]


# The row keeps the newest version heard: older news changes nothing.
COUNT_LEARNER = """
WITH news AS (
    INSERT INTO course.learner_counts (course_id, enrollment_id, active, version)
    VALUES ($course_id, $enrollment_id, $active, $version)
    ON CONFLICT (course_id, enrollment_id) DO UPDATE SET active = excluded.active, version = excluded.version
    WHERE learner_counts.version < excluded.version
    RETURNING new.active::int - coalesce(old.active::int, 0) AS change
)
UPDATE course.catalog SET learners = learners + news.change FROM news WHERE course_id = $course_id
"""


async def count_learner(
    tx: Transaction, course_id: CourseId, enrollment_id: object, *, active: bool, version: int
) -> None:
    """Count an enrolment in or out of its course. Older news than what is known changes nothing."""
    await tx.run(COUNT_LEARNER, course_id=course_id, enrollment_id=enrollment_id, active=active, version=version)


@dataclass(frozen=True, slots=True)
class Named:
    """A published course by its title."""

    id: CourseId
    org_id: OrgId
    title: str


FIND_NAMED = "SELECT course_id AS id, org_id, title FROM course.catalog WHERE course_id = $course_id AND NOT hidden"


async def find_named(db: Connection, course_id: CourseId) -> Named | None:
    return await db.maybe(Named, FIND_NAMED, course_id=course_id)


LIST_TITLES = """
SELECT c.id, coalesce(k.title, c.title) AS title FROM course.courses c
LEFT JOIN course.catalog k ON k.course_id = c.id WHERE c.id = ANY($course_ids::uuid[]) LIMIT 1000
"""


async def list_titles(db: Connection, course_ids: list[UUID]) -> dict[UUID, str]:
    return {row["id"]: row["title"] for row in await db.rows(LIST_TITLES, course_ids=course_ids)}
