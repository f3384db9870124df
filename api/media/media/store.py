"""The SQL of media: assets, claims, quotas, and whose courses and runs are. Unfinished uploads have a store of their own."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.media.media.contract import Asset, AssetId, Reason, State, TargetKind
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.data.objects import bucket
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True)
class Place:
    """A course or run, and the organization that it belongs to."""

    course_id: UUID
    org_id: OrgId


@dataclass(frozen=True, slots=True)
class Quota:
    used_bytes: int
    limit_bytes: int


ASSET = """id, org_id, course_id, run_id, owner_id, purpose, filename, coalesce(content_type, declared_type) AS content_type,
    size_bytes, state, reason, sha256, object_key, version, created_at,
    coalesce(expires_at, (SELECT expires_at FROM media.uploads WHERE asset_id = assets.id)) AS expires_at,
    EXISTS (SELECT FROM media.claims WHERE asset_id = assets.id) AS claimed"""


def bucket_name() -> str:
    """Return the bucket with everybody's files."""
    return bucket("media").name


def asset_of(row: Any) -> Asset:
    """Make an asset of a row of `ASSET`."""
    return Asset(**row, bucket=bucket_name())


async def find_asset(db: Connection, asset_id: AssetId) -> Guarded[Asset] | None:
    rows = await db.rows("SELECT " + ASSET + " FROM media.assets WHERE id = $1 AND deleted_at IS NULL", asset_id)
    return asset_of(rows[0]).guarded() if rows else None


async def find_assets(db: Connection, asset_ids: Collection[AssetId]) -> list[Asset]:
    rows = await db.rows(
        "SELECT "
        + ASSET
        + " FROM media.assets WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY id LIMIT 1000",
        list(asset_ids),
    )
    return [asset_of(row) for row in rows]


async def list_own(db: Connection, user_id: UserId) -> list[Asset]:
    """List the files that belong to a person and to no organization."""
    rows = await db.rows(
        "SELECT "
        + ASSET
        + """ FROM media.assets WHERE owner_id = $1 AND org_id IS NULL AND deleted_at IS NULL ORDER BY id LIMIT 10000""",
        user_id,
    )
    return [asset_of(row) for row in rows]


_WITHIN_REACH = (
    "($1 OR org_id = ANY($2::uuid[]) OR course_id = ANY($3::uuid[]) OR run_id = ANY($4::uuid[]) OR owner_id = $5)"
)
_LISTED = "SELECT " + ASSET + " FROM media.assets WHERE " + _WITHIN_REACH + " AND "
_NEWEST = """ AND deleted_at IS NULL AND ($7::text[] IS NULL OR state = ANY($7)) AND ($8::text IS NULL OR purpose = $8)
    AND ($9::uuid IS NULL OR id < $9) ORDER BY id DESC LIMIT $10"""
LISTS: dict[TargetKind, str] = {
    "org": _LISTED + "org_id = $6" + _NEWEST,
    "course": _LISTED + "course_id = $6" + _NEWEST,
    "run": _LISTED + "run_id = $6" + _NEWEST,
    "user": _LISTED + "owner_id = $6" + _NEWEST,
}
"""One statement per kind of place, each with an index of its own."""


async def list_assets(
    db: Connection,
    reach: Reach,
    *,
    kind: TargetKind,
    id: UUID,
    states: list[State] | None,
    purpose: str | None,
    before: AssetId | None,
    limit: int,
) -> list[Asset]:
    """List what belongs to an organization, a course, a run or a person, newest first, as far as `reach` goes."""
    rows = await db.rows(
        LISTS[kind],
        reach.everywhere,
        reach.org_ids,
        reach.course_ids,
        reach.run_ids,
        reach.own,
        id,
        states,
        purpose,
        before,
        limit,
    )
    return [asset_of(row) for row in rows]


async def insert_asset(
    tx: Transaction,
    asset_id: AssetId,
    *,
    org_id: OrgId | None,
    course_id: UUID | None,
    run_id: UUID | None,
    owner_id: UserId,
    holder_id: UUID,
    purpose: str,
    filename: str,
    declared_type: str | None,
    size_bytes: int,
    state: State,
) -> None:
    await tx.run(
        """INSERT INTO media.assets
               (id, org_id, course_id, run_id, owner_id, holder_id, purpose, filename, declared_type, size_bytes, state,
                created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        *(asset_id, org_id, course_id, run_id, owner_id, holder_id),
        *(purpose, filename, declared_type, size_bytes, state, tx.now),
    )


async def update_checking(tx: Transaction, asset_id: AssetId) -> None:
    """All bytes are there."""
    await tx.run(
        "UPDATE media.assets SET state = 'checking', version = version + 1 WHERE id = $1 AND deleted_at IS NULL",
        asset_id,
    )


async def update_ready(
    tx: Transaction, asset_id: AssetId, *, content_type: str, sha256: str, object_key: str, expires_at: datetime
) -> int | None:
    """Finish the check; return the version, None when it was finished or deleted before."""
    version: int | None = await tx.value(
        """UPDATE media.assets SET state = 'ready', content_type = $2, sha256 = $3, object_key = $4, expires_at = $5,
               version = version + 1
           WHERE id = $1 AND state = 'checking' AND deleted_at IS NULL RETURNING version""",
        *(asset_id, content_type, sha256, object_key, expires_at),
    )
    return version


async def update_rejected(tx: Transaction, asset_id: AssetId, *, reason: Reason, expires_at: datetime) -> int | None:
    """Finish the check; return the version, None when it was finished or deleted before."""
    version: int | None = await tx.value(
        """UPDATE media.assets SET state = 'rejected', reason = $2, expires_at = $3, version = version + 1
           WHERE id = $1 AND state = 'checking' AND deleted_at IS NULL RETURNING version""",
        *(asset_id, reason, expires_at),
    )
    return version


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is told about an asset that is gone."""

    id: AssetId
    org_id: OrgId | None
    purpose: str
    version: int


async def delete_asset(tx: Transaction, asset_id: AssetId, *, expired_at: datetime | None = None) -> Deleted | None:
    """Mark an unclaimed asset as deleted and give its bytes back to the quota; None when there is nothing to delete.

    `expired_at`: only if it has expired by then. Its upload's row goes first: whoever writes holds that row first too.
    """
    await tx.run(
        "DELETE FROM media.uploads WHERE asset_id = $1 AND ($2::timestamptz IS NULL OR expires_at <= $2)",
        *(asset_id, expired_at),
    )
    # Held before the next statement begins: else it would not see a claim that commits while it waits for the row.
    await tx.run("SELECT FROM media.assets WHERE id = $1 FOR UPDATE", asset_id)
    return await tx.maybe(
        Deleted,
        """WITH gone AS (
               UPDATE media.assets SET deleted_at = $3, version = version + 1
               WHERE id = $1 AND deleted_at IS NULL
                 AND NOT EXISTS (SELECT FROM media.claims WHERE asset_id = $1)
                 AND ($2::timestamptz IS NULL OR expires_at <= $2
                      OR (state = 'uploading' AND NOT EXISTS (SELECT FROM media.uploads WHERE asset_id = $1)))
               RETURNING id, org_id, purpose, version, holder_id, size_bytes
           ), freed AS (
               UPDATE media.quotas SET used_bytes = greatest(used_bytes - gone.size_bytes, 0)
               FROM gone WHERE quotas.holder_id = gone.holder_id
           ), unlisted AS (DELETE FROM media.parts WHERE asset_id IN (SELECT id FROM gone))
           SELECT id, org_id, purpose, version FROM gone""",
        *(asset_id, expired_at, tx.now),
    )


async def list_expired(db: Connection, now: datetime, limit: int) -> list[AssetId]:
    rows = await db.rows(
        """(SELECT asset_id AS id FROM media.uploads WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
           UNION ALL
           (SELECT id FROM media.assets WHERE deleted_at IS NULL AND expires_at IS NOT NULL AND expires_at <= $1
            ORDER BY expires_at LIMIT $2)""",
        *(now, limit),
    )
    return [row["id"] for row in rows]


async def purge_deleted(tx: Transaction, before: datetime) -> int:
    """Forget assets that were deleted before that instant, at most 1,000, and return how many."""
    return await tx.run(
        """DELETE FROM media.assets WHERE id IN (
               SELECT id FROM media.assets WHERE deleted_at IS NOT NULL AND deleted_at < $1 ORDER BY deleted_at LIMIT 1000)""",
        before,
    )


async def lock_asset(tx: Transaction, asset_id: AssetId) -> Asset | None:
    """Hold the asset until the transaction ends: claims and deletion wait for each other."""
    rows = await tx.rows(
        "SELECT " + ASSET + " FROM media.assets WHERE id = $1 AND deleted_at IS NULL FOR UPDATE OF assets", asset_id
    )
    return asset_of(rows[0]) if rows else None


async def insert_claim(tx: Transaction, asset_id: AssetId, claimant: str) -> None:
    await tx.run(
        """WITH kept AS (UPDATE media.assets SET expires_at = NULL WHERE id = $1)
           INSERT INTO media.claims (asset_id, claimant, claimed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING""",
        *(asset_id, claimant, tx.now),
    )


async def delete_claim(tx: Transaction, asset_id: AssetId, claimant: str, expires_at: datetime) -> None:
    """Take a claim back; when it was the last, the asset expires."""
    removed = await tx.run("DELETE FROM media.claims WHERE asset_id = $1 AND claimant = $2", asset_id, claimant)
    if removed:
        await tx.run(
            """UPDATE media.assets SET expires_at = $2
               WHERE id = $1 AND NOT EXISTS (SELECT FROM media.claims WHERE asset_id = $1)""",
            *(asset_id, expires_at),
        )


async def reserve(tx: Transaction, holder_id: UUID, size_bytes: int, limit_bytes: int) -> bool:
    """Take bytes from a quota, made with `limit_bytes` where there is none; False when they do not fit.

    Requests of one holder wait for each other on its row.
    """
    return (
        await tx.run(
            """INSERT INTO media.quotas (holder_id, used_bytes, limit_bytes)
               SELECT $1, $2::bigint, $3::bigint
               WHERE $2 <= coalesce((SELECT limit_bytes FROM media.quotas WHERE holder_id = $1), $3)
               ON CONFLICT (holder_id) DO UPDATE SET used_bytes = quotas.used_bytes + excluded.used_bytes
               WHERE quotas.used_bytes + excluded.used_bytes <= quotas.limit_bytes""",
            *(holder_id, size_bytes, limit_bytes),
        )
        == 1
    )


async def find_quota(db: Connection, holder_id: UUID) -> Quota | None:
    return await db.maybe(Quota, "SELECT used_bytes, limit_bytes FROM media.quotas WHERE holder_id = $1", holder_id)


async def find_place(db: Connection, id: UUID, kind: TargetKind) -> Place | None:
    return await db.maybe(Place, "SELECT course_id, org_id FROM media.places WHERE id = $1 AND kind = $2", *(id, kind))


async def insert_place(tx: Transaction, id: UUID, kind: TargetKind, *, course_id: UUID, org_id: OrgId) -> None:
    await tx.run(
        "INSERT INTO media.places (id, kind, course_id, org_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        *(id, kind, course_id, org_id),
    )


async def referenced_keys(db: Connection, asset_ids: Collection[UUID]) -> set[str]:
    """Return the keys of all objects that these assets consist of."""
    rows = await db.rows(
        """SELECT object_key FROM media.assets WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND object_key IS NOT NULL
           UNION ALL
           SELECT object_key FROM media.parts WHERE asset_id = ANY($1::uuid[])""",
        list(asset_ids),
    )
    return {row["object_key"] for row in rows}
