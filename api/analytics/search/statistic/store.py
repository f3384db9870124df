"""The SQL of statistics: who asked what how often, and what was clicked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How often somebody asked a question on a day."""

    org_id: OrgId
    day: date
    language: str
    query: str
    asker: bytes
    asked: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicked:
    """The best that was clicked of an answer."""

    answer_id: UUID
    org_id: OrgId
    day: date
    language: str
    query: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuery:
    """A question that enough people asked."""

    language: str
    query: str
    people: int
    asked: int
    unanswered: int
    clicked: int
    mean_reciprocal_position: float | None
    rank: int


INSERT_KEY = "INSERT INTO search.asker_keys (era, sealed) VALUES ($era, $sealed) ON CONFLICT DO NOTHING"


async def insert_key(tx: Transaction, era: int, sealed: bytes) -> None:
    """Keep the key of an era; one that is there stays."""
    await tx.run(INSERT_KEY, era=era, sealed=sealed)


# Whoever counts people holds the key until they are written: it is deleted after them, or they are not counted.
LIST_KEYS = "SELECT era, sealed FROM search.asker_keys ORDER BY era LIMIT 10"
LOCK_KEYS = LIST_KEYS + " FOR SHARE"


async def lock_keys(tx: Transaction) -> dict[int, bytes]:
    """Return the sealed key of each era, and keep it until the end of the transaction."""
    return {row["era"]: row["sealed"] for row in await tx.rows(LOCK_KEYS)}


async def list_keys(db: Connection) -> dict[int, bytes]:
    return {row["era"]: row["sealed"] for row in await db.rows(LIST_KEYS)}


DELETE_KEYS = "DELETE FROM search.asker_keys WHERE era < $before"


async def delete_keys(tx: Transaction, before: int) -> None:
    """Forget who was who before this era."""
    await tx.run(DELETE_KEYS, before=before)


# Sorted, so that two transactions that count the same wait for each other instead of deadlocking.
UPSERT_ASKED = """
INSERT INTO search.asked AS known (org_id, day, language, query, asker, asked, unanswered)
SELECT * FROM unnest($org_ids::uuid[], $days::date[], $languages::text[], $queries::text[], $askers::bytea[],
                     $asked::integer[], $unanswered::integer[])
    AS told (org_id, day, language, query, asker, asked, unanswered)
ORDER BY org_id, day, language, query, asker
ON CONFLICT (org_id, day, language, query, asker)
DO UPDATE SET asked = known.asked + excluded.asked, unanswered = known.unanswered + excluded.unanswered
"""


async def upsert_asked(tx: Transaction, rows: Sequence[Asked]) -> None:
    """Add to what was counted; nobody stands twice among the rows for a question and a day."""
    await tx.run(
        UPSERT_ASKED,
        org_ids=[row.org_id for row in rows],
        days=[row.day for row in rows],
        languages=[row.language for row in rows],
        queries=[row.query for row in rows],
        askers=[row.asker for row in rows],
        asked=[row.asked for row in rows],
        unanswered=[row.unanswered for row in rows],
    )


UPSERT_CLICKED = """
INSERT INTO search.clicked AS known (answer_id, org_id, day, language, query, position)
SELECT * FROM unnest($answer_ids::uuid[], $org_ids::uuid[], $days::date[], $languages::text[], $queries::text[],
                     $positions::smallint[])
    AS told (answer_id, org_id, day, language, query, position) ORDER BY answer_id
ON CONFLICT (answer_id) DO UPDATE SET position = least(known.position, excluded.position)
"""


async def upsert_clicked(tx: Transaction, rows: Sequence[Clicked]) -> None:
    """Note the best position that was clicked of each answer; no answer stands twice among the rows."""
    await tx.run(
        UPSERT_CLICKED,
        answer_ids=[row.answer_id for row in rows],
        org_ids=[row.org_id for row in rows],
        days=[row.day for row in rows],
        languages=[row.language for row in rows],
        queries=[row.query for row in rows],
        positions=[row.position for row in rows],
    )


# People are told apart within an era alone: the era with most of them counts, so that nobody is counted twice.
LIST_REPORT = """
WITH eras AS (
    SELECT language, query, count(DISTINCT asker) AS people, sum(asked) AS asked, sum(unanswered) AS unanswered
    FROM search.asked
    WHERE org_id = $org_id AND day >= $since AND ($language::text IS NULL OR language = $language)
    GROUP BY language, query, (day - date '1970-01-01') / $era_days::integer
), shown AS (
    SELECT language, query, max(people) AS people, sum(asked)::bigint AS asked, sum(unanswered)::bigint AS unanswered,
        (CASE WHEN $unanswered THEN sum(unanswered) ELSE sum(asked) END)::bigint AS rank
    FROM eras GROUP BY language, query HAVING max(people) >= $fewest
), opened AS (
    SELECT language, query, count(*) AS clicked, avg(1.0 / position)::float8 AS mean_reciprocal_position
    FROM search.clicked WHERE org_id = $org_id AND day >= $since GROUP BY language, query
)
SELECT shown.language, shown.query, people, asked, unanswered, rank,
    least(coalesce(clicked, 0), asked) AS clicked, mean_reciprocal_position
FROM shown LEFT JOIN opened ON opened.language = shown.language AND opened.query = shown.query
WHERE rank > 0 AND ($rank::bigint IS NULL OR rank < $rank
    OR (rank = $rank AND (shown.query, shown.language) > ($query::text, $query_language::text)))
ORDER BY rank DESC, shown.query, shown.language LIMIT $limit
"""


async def list_report(
    db: Connection,
    org_id: OrgId,
    *,
    since: date,
    language: str | None,
    unanswered: bool,
    fewest: int,
    era_days: int,
    after: tuple[int, str, str] | None,
    limit: int,
) -> list[AskedQuery]:
    """List questions of an organization that at least `fewest` people asked, the most frequent first."""
    rank, query, query_language = after or (None, None, None)
    return await db.all(
        AskedQuery,
        LIST_REPORT,
        org_id=org_id,
        since=since,
        language=language,
        unanswered=unanswered,
        fewest=fewest,
        era_days=era_days,
        rank=rank,
        query=query,
        query_language=query_language,
        limit=limit,
    )


LIST_ASKED = """
SELECT org_id, day, language, query, asker, asked, unanswered FROM search.asked
WHERE (org_id, day, language, query, asker) > ($after_org, $after_day, $after_language, $after_query, $after_asker)
    AND org_id <= $last_org AND day >= $since
ORDER BY org_id, day, language, query, asker LIMIT $limit
"""
_FIRST = (UUID(int=0), date(1970, 1, 1), "", "", b"")
_LAST_ORG = UUID(int=2**128 - 1)


async def list_asked(
    db: Connection, org_id: OrgId | None, *, since: date, after: Asked | None, limit: int
) -> list[Asked]:
    """List what was counted since a day, page by page; of one organization, or of all."""
    first = _FIRST if org_id is None else (org_id, *_FIRST[1:])
    org, day, language, query, asker = (
        first if after is None else (after.org_id, after.day, after.language, after.query, after.asker)
    )
    return await db.all(
        Asked,
        LIST_ASKED,
        after_org=org,
        after_day=day,
        after_language=language,
        after_query=query,
        after_asker=asker,
        last_org=org_id or _LAST_ORG,
        since=since,
        limit=limit,
    )


DELETE_ASKED = """
DELETE FROM search.asked USING unnest($org_ids::uuid[], $days::date[], $languages::text[], $queries::text[], $askers::bytea[])
    AS mine (org_id, day, language, query, asker)
WHERE asked.org_id = mine.org_id AND asked.day = mine.day AND asked.language = mine.language
    AND asked.query = mine.query AND asked.asker = mine.asker
"""


async def delete_asked(tx: Transaction, rows: Collection[Asked]) -> int:
    return await tx.run(
        DELETE_ASKED,
        org_ids=[row.org_id for row in rows],
        days=[row.day for row in rows],
        languages=[row.language for row in rows],
        queries=[row.query for row in rows],
        askers=[row.asker for row in rows],
    )


DELETE_OLD_ASKED = """
DELETE FROM search.asked USING (
    SELECT org_id, day, language, query, asker FROM search.asked WHERE day < $before ORDER BY day LIMIT $limit
) AS old
WHERE asked.org_id = old.org_id AND asked.day = old.day AND asked.language = old.language
    AND asked.query = old.query AND asked.asker = old.asker
"""
DELETE_OLD_CLICKED = """
DELETE FROM search.clicked WHERE answer_id IN (
    SELECT answer_id FROM search.clicked WHERE day < $before ORDER BY day LIMIT $limit)
"""


async def delete_old_asked(tx: Transaction, before: date, limit: int) -> int:
    return await tx.run(DELETE_OLD_ASKED, before=before, limit=limit)


async def delete_old_clicked(tx: Transaction, before: date, limit: int) -> int:
    return await tx.run(DELETE_OLD_CLICKED, before=before, limit=limit)
