"""The SQL of media: assets, quotas, and whose courses and runs are. Unfinished uploads have a store of their own."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from api.media.media.contract import Asset, AssetId, Reason, State, TargetKind
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.data.objects import bucket
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsset:
    """An asset to insert."""

    id: AssetId
    org_id: OrgId | None
    course_id: UUID | None
    run_id: UUID | None
    owner_id: UserId
    holder_id: UUID
    """Whose quota it counts against: the organization, or the person."""
    purpose: str
    filename: str
    declared_type: str | None
    size_bytes: int
    state: State


@dataclass(frozen=True, slots=True)
class DeletedAsset:
    """A deleted asset and whose quota it counts against once it is restored."""

    asset: Asset
    holder_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of a list; None: not by this field."""

    states: list[State] | None
    purpose: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A course or run, and the organization that it belongs to."""

    course_id: UUID
    org_id: OrgId


ASSET = """id, org_id, course_id, run_id, owner_id, purpose, filename, coalesce(content_type, declared_type) AS content_type,
    size_bytes, state, reason, sha256, object_key, version, created_at,
    (SELECT expires_at FROM media.uploads WHERE asset_id = assets.id) AS expires_at"""


def asset_of(row: Any) -> Asset:
    """Make an asset of a row of `ASSET`: its bucket is a setting, not a column."""
    return Asset(**row, bucket=bucket("media").name)


FIND_ASSET = "SELECT " + ASSET + " FROM media.assets WHERE id = $asset_id AND deleted_at IS NULL"


async def find_asset(db: Connection, asset_id: AssetId) -> Guarded[Asset] | None:
    rows = await db.rows(FIND_ASSET, asset_id=asset_id)
    return asset_of(rows[0]).guarded() if rows else None


LIST_ASSETS_BY_ID = (
    "SELECT "
    + ASSET
    + " FROM media.assets WHERE id = ANY($asset_ids::uuid[]) AND deleted_at IS NULL ORDER BY id LIMIT 1000"
)


async def list_assets_by_id(db: Connection, asset_ids: Collection[AssetId]) -> list[Asset]:
    """List those of up to 1,000 assets that are not deleted."""
    return [asset_of(row) for row in await db.rows(LIST_ASSETS_BY_ID, asset_ids=list(asset_ids))]


LIST_PERSONAL_ASSETS = """
SELECT id FROM media.assets WHERE owner_id = $user_id AND org_id IS NULL ORDER BY id LIMIT 10000
"""


async def list_personal_assets(db: Connection, user_id: UserId) -> list[AssetId]:
    """List the files that belong to a person and to no organization, deleted ones too."""
    return [row["id"] for row in await db.rows(LIST_PERSONAL_ASSETS, user_id=user_id)]


LIST_UPLOADED = """
SELECT id, filename, object_key FROM media.assets
WHERE owner_id = $user_id AND org_id IS NOT DISTINCT FROM $org_id AND object_key IS NOT NULL
    AND deleted_at IS NULL AND ($after::uuid IS NULL OR id > $after)
ORDER BY id LIMIT 500
"""


async def list_uploaded(
    db: Connection, user_id: UserId, org_id: OrgId | None, after: AssetId | None
) -> list[tuple[AssetId, str, str]]:
    """List id, name and object of files that a person uploaded to an organization, or as their own; a page after `after`."""
    rows = await db.rows(LIST_UPLOADED, user_id=user_id, org_id=org_id, after=after)
    return [(row["id"], row["filename"], row["object_key"]) for row in rows]


_WITHIN_REACH = (
    "SELECT "
    + ASSET
    + """ FROM media.assets
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[]) OR course_id = ANY($course_ids::uuid[])
           OR run_id = ANY($run_ids::uuid[]) OR owner_id = $own)
      AND """
)
_NEWEST_FIRST = """ AND deleted_at IS NULL
      AND ($states::text[] IS NULL OR state = ANY($states))
      AND ($purpose::text IS NULL OR purpose = $purpose)
      AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
# One statement for each kind of place: each has an index of its own.
LIST_ASSETS_OF_ORGANIZATION = _WITHIN_REACH + "org_id = $place_id" + _NEWEST_FIRST
LIST_ASSETS_OF_COURSE = _WITHIN_REACH + "course_id = $place_id" + _NEWEST_FIRST
LIST_ASSETS_OF_RUN = _WITHIN_REACH + "run_id = $place_id" + _NEWEST_FIRST
LIST_ASSETS_OF_PERSON = _WITHIN_REACH + "owner_id = $place_id" + _NEWEST_FIRST


async def list_assets(
    db: Connection,
    reach: Reach,
    filters: Filters,
    *,
    kind: TargetKind,
    place_id: UUID,
    before: AssetId | None,
    limit: int,
) -> list[Asset]:
    """List the files of an organization, a course, a run or a person, newest first, as far as `reach` goes."""
    named = {"place_id": place_id, "before": before, "limit": limit}
    match kind:
        case "org":
            rows = await db.rows(LIST_ASSETS_OF_ORGANIZATION, reach, filters, **named)
        case "course":
            rows = await db.rows(LIST_ASSETS_OF_COURSE, reach, filters, **named)
        case "run":
            rows = await db.rows(LIST_ASSETS_OF_RUN, reach, filters, **named)
        case "user":
            rows = await db.rows(LIST_ASSETS_OF_PERSON, reach, filters, **named)
        case _:
            assert_never(kind)
    return [asset_of(row) for row in rows]


INSERT_ASSET = (
    """INSERT INTO media.assets (id, org_id, course_id, run_id, owner_id, holder_id, purpose, filename, declared_type,
                              size_bytes, state, created_at)
    VALUES ($id, $org_id, $course_id, $run_id, $owner_id, $holder_id, $purpose, $filename, $declared_type,
            $size_bytes, $state, $now)
    RETURNING """
    + ASSET
)


async def insert_asset(tx: Transaction, new: NewAsset) -> Asset:
    [row] = await tx.rows(INSERT_ASSET, new)
    return asset_of(row)


UPDATE_CHECKING = """
UPDATE media.assets SET state = 'checking', version = version + 1 WHERE id = $asset_id AND deleted_at IS NULL
"""


async def update_checking(tx: Transaction, asset_id: AssetId) -> None:
    """Note that all bytes have arrived."""
    await tx.run(UPDATE_CHECKING, asset_id=asset_id)


UPDATE_READY = (
    """UPDATE media.assets
    SET state = 'ready', content_type = $content_type, sha256 = $sha256, object_key = $object_key, version = version + 1
    WHERE id = $asset_id AND state = 'checking' AND deleted_at IS NULL RETURNING """
    + ASSET
)


async def update_ready(
    tx: Transaction, asset_id: AssetId, *, content_type: str, sha256: str, object_key: str
) -> Asset | None:
    """Finish the check; None when it was finished or deleted before."""
    rows = await tx.rows(
        UPDATE_READY, asset_id=asset_id, content_type=content_type, sha256=sha256, object_key=object_key
    )
    return asset_of(rows[0]) if rows else None


UPDATE_REJECTED = (
    """UPDATE media.assets SET state = 'rejected', reason = $reason, version = version + 1
    WHERE id = $asset_id AND state = 'checking' AND deleted_at IS NULL RETURNING """
    + ASSET
)


async def update_rejected(tx: Transaction, asset_id: AssetId, *, reason: Reason) -> Asset | None:
    """Finish the check; None when it was finished or deleted before."""
    rows = await tx.rows(UPDATE_REJECTED, asset_id=asset_id, reason=reason)
    return asset_of(rows[0]) if rows else None


LOCK_UPLOAD = "SELECT FROM media.uploads WHERE asset_id = $asset_id FOR UPDATE"
LOCK_ASSET = "SELECT id FROM media.assets WHERE id = $asset_id AND deleted_at IS NULL FOR UPDATE"


async def lock_asset(tx: Transaction, asset_id: AssetId) -> bool:
    """Hold the asset until the transaction ends and tell whether it is there.

    Its upload's row goes first: a request that writes holds that row first too.
    """
    await tx.run(LOCK_UPLOAD, asset_id=asset_id)
    return await tx.value(LOCK_ASSET, asset_id=asset_id) is not None


UPDATE_DELETED = (
    """WITH gone AS (
        UPDATE media.assets SET deleted_at = $now, version = version + 1
        WHERE id = $asset_id AND deleted_at IS NULL RETURNING *
    ), freed AS (
        UPDATE media.quotas SET used_bytes = greatest(used_bytes - gone.size_bytes, 0)
        FROM gone WHERE quotas.holder_id = gone.holder_id
    ), ended AS (DELETE FROM media.uploads WHERE asset_id IN (SELECT id FROM gone)
    ), unlisted AS (DELETE FROM media.parts WHERE asset_id IN (SELECT id FROM gone))
    SELECT """
    + ASSET
    + " FROM gone AS assets"
)


async def update_deleted(tx: Transaction, asset_id: AssetId) -> Asset:
    """Mark an asset as deleted, give its bytes back to the quota, and forget the parts of an unfinished one."""
    [row] = await tx.rows(UPDATE_DELETED, asset_id=asset_id)
    return asset_of(row)


FIND_DELETED = (
    "SELECT "
    + ASSET
    + ", holder_id FROM media.assets WHERE id = $asset_id AND deleted_at IS NOT NULL AND state = 'ready'"
)


async def find_deleted(db: Connection, asset_id: AssetId) -> Guarded[DeletedAsset] | None:
    """Find a deleted asset that was ready: an unfinished one is not restored."""
    rows = await db.rows(FIND_DELETED, asset_id=asset_id)
    if not rows:
        return None
    fields = dict(rows[0])
    holder_id = fields.pop("holder_id")
    asset = asset_of(fields)
    return Guarded(
        DeletedAsset(asset, holder_id),
        org_id=asset.org_id,
        course_id=asset.course_id,
        run_id=asset.run_id,
        owner_id=asset.owner_id,
    )


UPDATE_RESTORED = (
    """UPDATE media.assets SET deleted_at = NULL, version = version + 1
    WHERE id = $asset_id AND deleted_at IS NOT NULL AND state = 'ready' RETURNING """
    + ASSET
)


async def update_restored(tx: Transaction, asset_id: AssetId) -> Asset | None:
    """Bring a deleted asset back; None when it is not deleted any more."""
    rows = await tx.rows(UPDATE_RESTORED, asset_id=asset_id)
    return asset_of(rows[0]) if rows else None


LIST_EXPIRED = "SELECT asset_id FROM media.uploads WHERE expires_at <= $at ORDER BY expires_at LIMIT $limit"


async def list_expired(db: Connection, now: datetime, limit: int) -> list[AssetId]:
    """List uploads that were not finished in time."""
    return [row["asset_id"] for row in await db.rows(LIST_EXPIRED, at=now, limit=limit)]


LOCK_EXPIRED = "SELECT expires_at <= $at FROM media.uploads WHERE asset_id = $asset_id FOR UPDATE"


async def lock_expired(tx: Transaction, asset_id: AssetId, now: datetime) -> bool:
    """Hold an upload and its asset until the transaction ends and tell whether it is unfinished and its time is up."""
    return bool(await tx.value(LOCK_EXPIRED, asset_id=asset_id, at=now)) and await lock_asset(tx, asset_id)


DELETE_PURGED = "DELETE FROM media.assets WHERE id = $asset_id AND deleted_at IS NOT NULL"


async def delete_purged(tx: Transaction, asset_id: AssetId) -> int:
    """Delete the row of a deleted asset whose objects are gone, and return the number of rows."""
    return await tx.run(DELETE_PURGED, asset_id=asset_id)


# `limit_bytes` is what hosts of the release before read.
UPSERT_USED_BYTES = """
INSERT INTO media.quotas AS q (holder_id, used_bytes, limit_bytes)
SELECT $holder_id, $size_bytes::bigint, $limit_bytes::bigint WHERE $size_bytes <= $limit_bytes
ON CONFLICT (holder_id) DO UPDATE SET used_bytes = q.used_bytes + excluded.used_bytes, limit_bytes = excluded.limit_bytes
WHERE q.used_bytes + excluded.used_bytes <= excluded.limit_bytes
"""


async def upsert_used_bytes(tx: Transaction, holder_id: UUID, size_bytes: int, limit_bytes: int) -> bool:
    """Take bytes from a quota of `limit_bytes`; False when they do not fit.

    Requests of one holder wait for each other on its row.
    """
    touched = await tx.run(UPSERT_USED_BYTES, holder_id=holder_id, size_bytes=size_bytes, limit_bytes=limit_bytes)
    return touched == 1


FIND_USED_BYTES = "SELECT used_bytes FROM media.quotas WHERE holder_id = $holder_id"


async def find_used_bytes(db: Connection, holder_id: UUID) -> int:
    """Return how many bytes of a quota are taken; 0: none ever was."""
    return await db.value(FIND_USED_BYTES, holder_id=holder_id) or 0


FIND_PLACE = "SELECT course_id, org_id FROM media.places WHERE id = $place_id AND kind = $kind"


async def find_place(db: Connection, place_id: UUID, kind: TargetKind) -> Place | None:
    return await db.maybe(Place, FIND_PLACE, place_id=place_id, kind=kind)


INSERT_PLACE = """
INSERT INTO media.places (id, kind, course_id, org_id) VALUES ($place_id, $kind, $course_id, $org_id) ON CONFLICT DO NOTHING
"""


async def insert_place(tx: Transaction, place_id: UUID, kind: TargetKind, *, course_id: UUID, org_id: OrgId) -> None:
    await tx.run(INSERT_PLACE, place_id=place_id, kind=kind, course_id=course_id, org_id=org_id)


LIST_REFERENCED_KEYS = """
SELECT object_key FROM media.assets WHERE id = ANY($asset_ids::uuid[]) AND object_key IS NOT NULL
UNION ALL
SELECT object_key FROM media.parts WHERE asset_id = ANY($asset_ids::uuid[])
"""


async def list_referenced_keys(db: Connection, asset_ids: Collection[UUID]) -> set[str]:
    """Return the keys of all objects that these assets consist of, deleted ones too: they can be restored."""
    return {row["object_key"] for row in await db.rows(LIST_REFERENCED_KEYS, asset_ids=list(asset_ids))}
