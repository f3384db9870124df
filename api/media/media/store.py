"""The SQL of media: assets, quotas, and whose courses and runs are. Unfinished uploads have a store of their own."""

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
    (SELECT expires_at FROM media.uploads WHERE asset_id = assets.id) AS expires_at"""


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


async def list_own(db: Connection, user_id: UserId) -> list[AssetId]:
    """List the files that belong to a person and to no organization, deleted ones too."""
    rows = await db.rows(
        "SELECT id FROM media.assets WHERE owner_id = $1 AND org_id IS NULL ORDER BY id LIMIT 10000", user_id
    )
    return [row["id"] for row in rows]


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
) -> Asset:
    rows = await tx.rows(
        """INSERT INTO media.assets
               (id, org_id, course_id, run_id, owner_id, holder_id, purpose, filename, declared_type, size_bytes, state,
                created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING """
        + ASSET,
        *(asset_id, org_id, course_id, run_id, owner_id, holder_id),
        *(purpose, filename, declared_type, size_bytes, state, tx.now),
    )
    return asset_of(rows[0])


async def update_checking(tx: Transaction, asset_id: AssetId) -> None:
    """All bytes are there."""
    await tx.run(
        "UPDATE media.assets SET state = 'checking', version = version + 1 WHERE id = $1 AND deleted_at IS NULL",
        asset_id,
    )


async def update_ready(
    tx: Transaction, asset_id: AssetId, *, content_type: str, sha256: str, object_key: str
) -> Asset | None:
    """Finish the check; None when it was finished or deleted before."""
    rows = await tx.rows(
        """UPDATE media.assets SET state = 'ready', content_type = $2, sha256 = $3, object_key = $4, version = version + 1
           WHERE id = $1 AND state = 'checking' AND deleted_at IS NULL RETURNING """
        + ASSET,
        *(asset_id, content_type, sha256, object_key),
    )
    return asset_of(rows[0]) if rows else None


async def update_rejected(tx: Transaction, asset_id: AssetId, *, reason: Reason) -> Asset | None:
    """Finish the check; None when it was finished or deleted before."""
    rows = await tx.rows(
        """UPDATE media.assets SET state = 'rejected', reason = $2, version = version + 1
           WHERE id = $1 AND state = 'checking' AND deleted_at IS NULL RETURNING """
        + ASSET,
        *(asset_id, reason),
    )
    return asset_of(rows[0]) if rows else None


async def lock_asset(tx: Transaction, asset_id: AssetId) -> bool:
    """Hold the asset until the transaction ends and tell whether it is there.

    Its upload's row goes first: a request that writes holds that row first too.
    """
    await tx.run("SELECT FROM media.uploads WHERE asset_id = $1 FOR UPDATE", asset_id)
    sql = "SELECT id FROM media.assets WHERE id = $1 AND deleted_at IS NULL FOR UPDATE"
    return await tx.value(sql, asset_id) is not None


async def update_deleted(tx: Transaction, asset_id: AssetId) -> Asset:
    """Mark an asset as deleted, give its bytes back to the quota, and forget the parts of what was not finished."""
    rows = await tx.rows(
        """WITH gone AS (
               UPDATE media.assets SET deleted_at = $2, version = version + 1 WHERE id = $1 AND deleted_at IS NULL RETURNING *
           ), freed AS (
               UPDATE media.quotas SET used_bytes = greatest(used_bytes - gone.size_bytes, 0)
               FROM gone WHERE quotas.holder_id = gone.holder_id
           ), ended AS (DELETE FROM media.uploads WHERE asset_id IN (SELECT id FROM gone)
           ), unlisted AS (DELETE FROM media.parts WHERE asset_id IN (SELECT id FROM gone))
           SELECT """
        + ASSET
        + " FROM gone AS assets",
        *(asset_id, tx.now),
    )
    return asset_of(rows[0])


@dataclass(frozen=True, slots=True)
class DeletedAsset:
    """A deleted asset and whose quota it counts against once it is restored."""

    asset: Asset
    holder_id: UUID


async def find_deleted(db: Connection, asset_id: AssetId) -> Guarded[DeletedAsset] | None:
    """Find a deleted asset that was ready: what was not finished is not restored."""
    rows = await db.rows(
        "SELECT "
        + ASSET
        + ", holder_id FROM media.assets WHERE id = $1 AND deleted_at IS NOT NULL AND state = 'ready'",
        asset_id,
    )
    if not rows:
        return None
    row = dict(rows[0])
    holder_id = row.pop("holder_id")
    asset = asset_of(row)
    return Guarded(
        DeletedAsset(asset, holder_id),
        org_id=asset.org_id,
        course_id=asset.course_id,
        run_id=asset.run_id,
        owner_id=asset.owner_id,
    )


async def update_restored(tx: Transaction, asset_id: AssetId) -> Asset | None:
    """Bring a deleted asset back; None when it is not deleted any more."""
    rows = await tx.rows(
        """UPDATE media.assets SET deleted_at = NULL, version = version + 1
           WHERE id = $1 AND deleted_at IS NOT NULL AND state = 'ready' RETURNING """
        + ASSET,
        asset_id,
    )
    return asset_of(rows[0]) if rows else None


async def list_expired(db: Connection, now: datetime, limit: int) -> list[AssetId]:
    """List uploads that were not finished in time."""
    rows = await db.rows(
        "SELECT asset_id FROM media.uploads WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2", now, limit
    )
    return [row["asset_id"] for row in rows]


async def lock_expired(tx: Transaction, asset_id: AssetId, now: datetime) -> bool:
    """Hold an upload and its asset until the transaction ends and tell whether it is unfinished and its time is up."""
    sql = "SELECT expires_at <= $2 FROM media.uploads WHERE asset_id = $1 FOR UPDATE"
    return bool(await tx.value(sql, asset_id, now)) and await lock_asset(tx, asset_id)


async def delete_purged(tx: Transaction, asset_id: AssetId) -> None:
    """Forget a deleted asset whose objects are gone."""
    await tx.run("DELETE FROM media.assets WHERE id = $1 AND deleted_at IS NOT NULL", asset_id)


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
    """Return the keys of all objects that these assets consist of, deleted ones too: they can be restored."""
    rows = await db.rows(
        """SELECT object_key FROM media.assets WHERE id = ANY($1::uuid[]) AND object_key IS NOT NULL
           UNION ALL
           SELECT object_key FROM media.parts WHERE asset_id = ANY($1::uuid[])""",
        list(asset_ids),
    )
    return {row["object_key"] for row in rows}
