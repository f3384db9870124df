"""Use cases of clauses: write, read and retire them."""

from dataclasses import replace
from typing import Any

from api.platform.moderation.clause import store
from api.platform.moderation.clause.store import Clause
from api.platform.moderation.contract import Category, ClauseId, ClauseNotFound, ClauseUnknown
from api.platform.moderation.screening import kept
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import read, write
from cluster.people.access import permit, permitted, within


async def create_clause(
    caller: Principal,
    org_id: OrgId | None,
    *,
    code: str,
    category: Category,
    severity: int,
    texts: dict[str, Any],
) -> Clause:
    """Write a clause for an organization, or for the whole platform.

    Raises:
        CodeTaken
    """
    await permit(caller, "moderation-clause:edit", within(org_id=org_id))
    clause_id = ClauseId(new_id())
    async with write(caller, result=clause_id, status=201) as tx:
        return await store.insert_clause(
            tx, clause_id, org_id, code=code, category=category, severity=severity, texts=texts
        )


async def get_clause(caller: Principal, clause_id: ClauseId) -> Clause:
    return await permitted(caller, "moderation-clause:read", store.find_guarded, clause_id, missing=ClauseNotFound)


async def list_clauses(
    caller: Principal, org_id: OrgId | None, *, ids: list[ClauseId] | None, after: ClauseId | None, limit: int
) -> list[Clause]:
    """List what holds in an organization, for everybody who is signed in: what one may not do is no secret."""
    await permit(caller, "moderation-clause:read", within())
    async with read() as db:
        return await store.list_clauses(db, org_id, ids=ids, after=after, limit=limit)


async def change_clause(
    caller: Principal, clause_id: ClauseId, changes: dict[str, Any], expected_version: int
) -> Clause:
    """Write the next version of a clause; decisions keep the one that they cite. `retired`: nothing cites it any more.

    Raises:
        ClauseNotFound, Stale
    """
    await permitted(caller, "moderation-clause:edit", store.find_guarded, clause_id, missing=ClauseNotFound)
    async with write(caller, result=clause_id) as tx:
        present = await store.lock_clause(tx, clause_id)
        if present is None:
            raise ClauseNotFound
        if present.version != expected_version:
            raise Stale(present.version)
        texts = {**present.texts, **changes.pop("texts", {})}
        retired = changes.pop("retired", present.retired_at is not None)
        kept.drop(tx)
        return await store.update_clause(
            tx, replace(present, **changes, texts=texts, retired_at=(present.retired_at or tx.now) if retired else None)
        )


async def get_citable(clause_id: ClauseId, org_id: OrgId | None) -> Clause:
    """Return a clause that holds in an organization.

    Raises:
        ClauseUnknown
    """
    async with read() as db:
        clause = await store.find_clause(db, clause_id)
    if clause is None or clause.retired_at is not None or clause.org_id not in (None, org_id):
        raise ClauseUnknown("GET /v1/moderation-clauses lists what holds there", pointer="/clause_id")
    return clause
