"""The SQL of clauses and their versions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from api.platform.moderation.contract import Category, ClauseId, CodeTaken
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded
from cluster.people.wording import fallbacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    id: ClauseId
    org_id: OrgId | None
    code: str
    category: Category
    severity: int
    texts: dict[str, dict[str, str]]
    """Title and text by language."""
    retired_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    def title(self, locale: str = "en") -> str:
        """Return its title in a language, else in English, else in any."""
        for each in fallbacks(locale):
            if each in self.texts:
                return self.texts[each]["title"]
        return next((each["title"] for each in self.texts.values()), self.code)


_CLAUSE = "id, org_id, code, category, severity, texts, retired_at, version, created_at, updated_at"
FIND_CLAUSE = "SELECT " + _CLAUSE + " FROM moderation.clauses WHERE id = $clause_id"


async def find_clause(db: Connection, clause_id: ClauseId) -> Clause | None:
    return await db.maybe(Clause, FIND_CLAUSE, clause_id=clause_id)


async def find_guarded(db: Connection, clause_id: ClauseId) -> Guarded[Clause] | None:
    clause = await find_clause(db, clause_id)
    return None if clause is None else Guarded(clause, org_id=clause.org_id, see="moderation-clause:read")


FIND_CLAUSE_AT = """
SELECT c.id, c.org_id, c.code, v.category, v.severity, v.texts, c.retired_at, v.version, c.created_at, v.created_at AS updated_at
FROM moderation.clause_versions v JOIN moderation.clauses c ON c.id = v.clause_id
WHERE v.clause_id = $clause_id AND v.version = $version
"""


async def find_clause_at(db: Connection, clause_id: ClauseId, version: int) -> Clause | None:
    """Find what a clause said in one of its versions."""
    return await db.maybe(Clause, FIND_CLAUSE_AT, clause_id=clause_id, version=version)


LIST_CLAUSES = (
    "SELECT "
    + _CLAUSE
    + """ FROM moderation.clauses
    WHERE (org_id IS NULL OR org_id = $org_id) AND retired_at IS NULL
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($after::uuid IS NULL OR id < $after)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_clauses(
    db: Connection, org_id: OrgId | None, *, ids: list[ClauseId] | None, after: ClauseId | None, limit: int
) -> list[Clause]:
    """List what holds in an organization, or on the platform alone."""
    return await db.all(Clause, LIST_CLAUSES, org_id=org_id, ids=ids, after=after, limit=limit)


_REMEMBERED = """ , remembered AS (
        INSERT INTO moderation.clause_versions (clause_id, version, org_id, category, severity, texts, created_at)
        SELECT id, version, org_id, category, severity, texts, updated_at FROM clause
    )
    SELECT """
INSERT_CLAUSE = (
    """WITH clause AS (
        INSERT INTO moderation.clauses (id, org_id, code, category, severity, texts, created_at, updated_at)
        VALUES ($clause_id, $org_id, $code, $category, $severity, $texts, $now, $now)
        RETURNING """
    + _CLAUSE
    + ")"
    + _REMEMBERED
    + _CLAUSE
    + " FROM clause"
)


async def insert_clause(
    tx: Transaction,
    clause_id: ClauseId,
    org_id: OrgId | None,
    *,
    code: str,
    category: Category,
    severity: int,
    texts: dict[str, Any],
) -> Clause:
    """Insert a clause with its first version.

    Raises:
        CodeTaken
    """
    try:
        return await tx.one(
            Clause,
            INSERT_CLAUSE,
            clause_id=clause_id,
            org_id=org_id,
            code=code,
            category=category,
            severity=severity,
            texts=texts,
        )
    except asyncpg.UniqueViolationError as error:
        raise CodeTaken("choose another code", pointer="/code") from error


LOCK_CLAUSE = FIND_CLAUSE + " FOR UPDATE"


async def lock_clause(tx: Transaction, clause_id: ClauseId) -> Clause | None:
    return await tx.maybe(Clause, LOCK_CLAUSE, clause_id=clause_id)


UPDATE_CLAUSE = (
    """WITH clause AS (
        UPDATE moderation.clauses SET category = $category, severity = $severity, texts = $texts, retired_at = $retired_at,
            version = version + 1, updated_at = $now
        WHERE id = $id RETURNING """
    + _CLAUSE
    + ")"
    + _REMEMBERED
    + _CLAUSE
    + " FROM clause"
)


async def update_clause(tx: Transaction, clause: Clause) -> Clause:
    """Store what a clause says from now on as its next version."""
    return await tx.one(Clause, UPDATE_CLAUSE, clause)


@dataclass(frozen=True, slots=True)
class Gravity:
    """How much clauses matter: their highest severity, and whether one of a category is among them."""

    severity: int
    among: bool


FIND_GRAVITY = """
SELECT coalesce(max(severity), 1) AS severity, coalesce(bool_or(category = ANY($categories::text[])), false) AS among
FROM moderation.clauses WHERE id = ANY($clause_ids::uuid[])
"""


async def find_gravity(db: Connection, clause_ids: list[ClauseId], categories: Collection[Category]) -> Gravity:
    return await db.one(Gravity, FIND_GRAVITY, clause_ids=clause_ids, categories=list(categories))
