"""The SQL of flags."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api.platform.feature_flag.contract import FlagEntry, FlagId, FlagState
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach
from cluster.people.flags import FlagRow

UNUSED_FOR = timedelta(days=30)
"""After which a flag counts as stale."""
_NOTED_EVERY = timedelta(minutes=10)

_COLUMNS = """id, org_id, key, declared_by, title, owner, owner_id, public, state, definition, experiments, expires_at,
  last_used_at, version, created_at, updated_at"""

LIST_CHANGES = """
SELECT id, key, org_id, state, public, seq,
  jsonb_set(definition, '{rules}', experiments || (definition -> 'rules')) AS definition
FROM feature_flag.flags WHERE seq > $after ORDER BY seq LIMIT $limit
"""


async def list_changes(db: Connection, after: int, limit: int) -> list[FlagRow]:
    """List flags that changed after a number, with the rules of running experiments first."""
    return await db.all(FlagRow, LIST_CHANGES, after=after, limit=limit)


UPDATE_USED = """
UPDATE feature_flag.flags SET last_used_at = $now
WHERE id = ANY($ids::uuid[]) AND (last_used_at IS NULL OR last_used_at < $before)
"""


async def update_used(tx: Transaction, ids: list[UUID]) -> None:
    await tx.run(UPDATE_USED, ids=ids, before=tx.now - _NOTED_EVERY)


UPDATE_HEAD = "UPDATE feature_flag.heads SET seq = seq + 1 WHERE id = 1 RETURNING seq"


async def update_head(tx: Transaction) -> int:
    """Return the number of the next change. Changes of flags wait for each other until they commit."""
    return await tx.value(UPDATE_HEAD)


FIND_FLAG = "SELECT " + _COLUMNS + " FROM feature_flag.flags WHERE id = $flag_id"


async def find_flag(db: Connection, flag_id: FlagId) -> Guarded[FlagEntry] | None:
    found = await db.maybe(FlagEntry, FIND_FLAG, flag_id=flag_id)
    return None if found is None else Guarded(found, org_id=found.org_id, see="flag:read")


LOCK_FLAG = FIND_FLAG + " FOR UPDATE"


async def lock_flag(tx: Transaction, flag_id: FlagId) -> FlagEntry | None:
    return await tx.maybe(FlagEntry, LOCK_FLAG, flag_id=flag_id)


LIST_FLAGS = (
    "SELECT "
    + _COLUMNS
    + """ FROM feature_flag.flags
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($key::text IS NULL OR key = $key)
      AND ($states::text[] IS NULL OR state = ANY($states)) AND ($before::uuid IS NULL OR id < $before)
      AND (NOT $stale OR (state IN ('live', 'killed') AND 
        (expires_at < $now OR coalesce(last_used_at, created_at) < $unused_since)))
    ORDER BY id DESC LIMIT $limit"""
)


async def list_flags(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[FlagId] | None,
    key: str | None,
    states: list[FlagState] | None,
    stale: bool,
    now: datetime,
    before: FlagId | None,
    limit: int,
) -> list[FlagEntry]:
    """List flags within reach, newest first."""
    return await db.all(
        FlagEntry,
        LIST_FLAGS,
        reach,
        org_id=org_id,
        ids=ids,
        key=key,
        states=states,
        stale=stale,
        now=now,
        unused_since=now - UNUSED_FOR,
        before=before,
        limit=limit,
    )


LIST_DECIDING = """
SELECT key, definition, state FROM feature_flag.flags
WHERE coalesce(org_id, '00000000-0000-0000-0000-000000000000') = coalesce($org_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND state IN ('draft', 'live', 'killed')
ORDER BY key LIMIT 5000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """A flag that others may depend on."""

    key: str
    definition: dict[str, Any]
    state: FlagState


async def list_deciding(db: Connection, org_id: OrgId | None) -> list[Deciding]:
    """List the flags of one owner that are not archived."""
    return await db.all(Deciding, LIST_DECIDING, org_id=org_id)


LIST_DECLARED = (
    "SELECT "
    + _COLUMNS
    + " FROM feature_flag.flags WHERE org_id IS NULL AND key = ANY($keys::text[]) ORDER BY key LIMIT 5000"
)


async def list_declared(db: Connection, keys: list[str]) -> list[FlagEntry]:
    """List the platform's flags of these keys."""
    return await db.all(FlagEntry, LIST_DECLARED, keys=keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagCount:
    """How many flags an organization has."""

    all: int
    deciding: int
    """Without those that are archived."""


COUNT_FLAGS = """
SELECT count(*) AS "all", count(*) FILTER (WHERE state <> 'archived') AS deciding
FROM feature_flag.flags WHERE org_id = $org_id
"""


async def count_flags(tx: Transaction, org_id: OrgId) -> FlagCount:
    return await tx.one(FlagCount, COUNT_FLAGS, org_id=org_id)


INSERT_FLAG = (
    """INSERT INTO feature_flag.flags
      (id, org_id, key, declared_by, title, owner, owner_id, public, state, definition, expires_at, seq, created_at, updated_at)
    VALUES ($flag_id, $org_id, $key, $declared_by, $title, $owner, $owner_id, $public, $state, $definition::jsonb, $expires_at,
      $seq, $now, $now)
    ON CONFLICT DO NOTHING RETURNING """
    + _COLUMNS
)


async def insert_flag(tx: Transaction, flag_id: FlagId, *, seq: int, **fields: Any) -> FlagEntry | None:
    """Insert a flag with its first version; return None when its key is taken."""
    made = await tx.maybe(FlagEntry, INSERT_FLAG, flag_id=flag_id, seq=seq, **fields)
    if made is not None:
        await insert_version(tx, made)
    return made


UPDATE_FLAG = (
    """UPDATE feature_flag.flags SET title = $title, owner = $owner, owner_id = $owner_id, public = $public, state = $state,
      definition = $definition::jsonb, expires_at = $expires_at, seq = $seq, version = version + 1, updated_at = $now
    WHERE id = $flag_id RETURNING """
    + _COLUMNS
)


async def update_flag(tx: Transaction, present: FlagEntry, changes: Mapping[str, Any], *, seq: int) -> FlagEntry:
    """Change a flag whose row is held, and keep the new version."""
    fields = {
        name: changes.get(name, getattr(present, name))
        for name in ("title", "owner", "owner_id", "public", "state", "definition", "expires_at")
    }
    changed = await tx.one(FlagEntry, UPDATE_FLAG, flag_id=present.id, seq=seq, **fields)
    await insert_version(tx, changed)
    return changed


INSERT_VERSION = """
INSERT INTO feature_flag.flag_versions (flag_id, version, org_id, state, definition, changed_at)
VALUES ($id, $version, $org_id, $state, $definition::jsonb, $now)
"""


async def insert_version(tx: Transaction, flag: FlagEntry) -> None:
    await tx.run(
        INSERT_VERSION,
        id=flag.id,
        version=flag.version,
        org_id=flag.org_id,
        state=flag.state,
        definition=flag.definition,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagVersion:
    """What a flag decided from a time on."""

    version: int
    state: FlagState
    definition: dict[str, Any]
    changed_at: datetime


LIST_VERSIONS = """
SELECT version, state, definition, changed_at FROM feature_flag.flag_versions
WHERE flag_id = $flag_id AND ($before::bigint IS NULL OR version < $before) ORDER BY version DESC LIMIT $limit
"""


async def list_versions(db: Connection, flag_id: FlagId, before: int | None, limit: int) -> list[FlagVersion]:
    return await db.all(FlagVersion, LIST_VERSIONS, flag_id=flag_id, before=before, limit=limit)
