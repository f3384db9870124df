"""The SQL of unfinished uploads. `epoch` is the fence: only the request that began last may move the offset."""

from dataclasses import dataclass
from datetime import datetime

from api.media.media.contract import Asset, AssetId
from api.media.media.rules import Unfinished
from api.media.media.store import ASSET, asset_of
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True)
class Part:
    """One object of an upload; all but the last have the same size."""

    number: int
    size_bytes: int
    object_key: str


@dataclass(frozen=True, slots=True)
class Upload:
    """An asset, and how much of it has arrived."""

    asset: Asset
    offset_bytes: int | None
    """How many bytes are durable; None: there is nothing left to write."""
    deleted: bool


INSERT_UPLOAD = "INSERT INTO media.uploads (asset_id, expires_at) VALUES ($asset_id, $expires_at)"


async def insert_upload(tx: Transaction, asset_id: AssetId, expires_at: datetime) -> None:
    await tx.run(INSERT_UPLOAD, asset_id=asset_id, expires_at=expires_at)


_UNFINISHED = """SELECT count(*) AS uploads, coalesce(sum(a.size_bytes - u.offset_bytes), 0)::bigint AS awaited_bytes
    FROM media.assets a JOIN media.uploads u ON u.asset_id = a.id
    WHERE a.deleted_at IS NULL AND u.expires_at > $now AND """
COUNT_UNFINISHED_OF_PERSON = _UNFINISHED + "a.owner_id = $owner_id"
COUNT_UNFINISHED_OF_ORGANIZATION = _UNFINISHED + "a.org_id = $org_id"


async def count_unfinished_of_person(tx: Transaction, owner_id: UserId) -> Unfinished:
    return await tx.one(Unfinished, COUNT_UNFINISHED_OF_PERSON, owner_id=owner_id)


async def count_unfinished_of_organization(tx: Transaction, org_id: OrgId) -> Unfinished:
    return await tx.one(Unfinished, COUNT_UNFINISHED_OF_ORGANIZATION, org_id=org_id)


FIND_UPLOAD = (
    "SELECT "
    + ASSET
    + """, deleted_at, (SELECT offset_bytes FROM media.uploads WHERE asset_id = assets.id) AS offset_bytes
    FROM media.assets WHERE id = $asset_id"""
)


async def find_upload(db: Connection, asset_id: AssetId) -> Guarded[Upload] | None:
    """Find an upload by its asset, finished and deleted ones too. Only its owner may know of it."""
    rows = await db.rows(FIND_UPLOAD, asset_id=asset_id)
    if not rows:
        return None
    fields = dict(rows[0])
    deleted_at, offset = fields.pop("deleted_at"), fields.pop("offset_bytes")
    asset = asset_of(fields)
    return Guarded(Upload(asset, offset, deleted_at is not None), owner_id=asset.owner_id)


UPDATE_EPOCH = """
UPDATE media.uploads SET epoch = epoch + 1, expires_at = $expires_at
WHERE asset_id = $asset_id AND offset_bytes = $offset_bytes AND expires_at > $now RETURNING epoch
"""


async def update_epoch(tx: Transaction, asset_id: AssetId, offset_bytes: int, expires_at: datetime) -> int | None:
    """Become the only writer and return the epoch; None when the upload stands elsewhere, has expired or is gone."""
    epoch: int | None = await tx.value(
        UPDATE_EPOCH, asset_id=asset_id, offset_bytes=offset_bytes, expires_at=expires_at
    )
    return epoch


FIND_PART = "SELECT number, size_bytes, object_key FROM media.parts WHERE asset_id = $asset_id AND number = $number"


async def find_part(db: Connection, asset_id: AssetId, number: int) -> Part | None:
    return await db.maybe(Part, FIND_PART, asset_id=asset_id, number=number)


LIST_PARTS = """
SELECT number, size_bytes, object_key FROM media.parts WHERE asset_id = $asset_id ORDER BY number LIMIT 1000000
"""


async def list_parts(db: Connection, asset_id: AssetId) -> list[Part]:
    return await db.all(Part, LIST_PARTS, asset_id=asset_id)


UPSERT_PARTS = """
WITH moved AS (
    UPDATE media.uploads SET offset_bytes = $offset_bytes, expires_at = $expires_at
    WHERE asset_id = $asset_id AND epoch = $epoch AND offset_bytes = $from_bytes RETURNING asset_id
)
INSERT INTO media.parts (asset_id, number, size_bytes, object_key)
SELECT moved.asset_id, part.number, part.size_bytes, part.object_key
FROM moved, unnest($numbers::int[], $sizes_bytes::bigint[], $object_keys::text[]) AS part (number, size_bytes, object_key)
ON CONFLICT (asset_id, number) DO UPDATE SET size_bytes = excluded.size_bytes, object_key = excluded.object_key
"""


async def upsert_parts(
    tx: Transaction,
    asset_id: AssetId,
    parts: list[Part],
    *,
    epoch: int,
    from_bytes: int,
    offset_bytes: int,
    expires_at: datetime,
) -> bool:
    """Make parts count and move the offset behind them; False when another request took the upload over."""
    return await tx.run(
        UPSERT_PARTS,
        asset_id=asset_id,
        epoch=epoch,
        from_bytes=from_bytes,
        offset_bytes=offset_bytes,
        expires_at=expires_at,
        numbers=[part.number for part in parts],
        sizes_bytes=[part.size_bytes for part in parts],
        object_keys=[part.object_key for part in parts],
    ) == len(parts)


INSERT_PART = """
INSERT INTO media.parts (asset_id, number, size_bytes, object_key) VALUES ($asset_id, $number, $size_bytes, $object_key)
"""


async def insert_part(tx: Transaction, asset_id: AssetId, part: Part) -> None:
    await tx.run(INSERT_PART, part, asset_id=asset_id)


DELETE_UPLOAD = "DELETE FROM media.uploads WHERE asset_id = $asset_id"


async def delete_upload(tx: Transaction, asset_id: AssetId) -> None:
    """End a complete upload: there is nothing more to write."""
    await tx.run(DELETE_UPLOAD, asset_id=asset_id)


DELETE_PARTS = "DELETE FROM media.parts WHERE asset_id = $asset_id"


async def delete_parts(tx: Transaction, asset_id: AssetId) -> None:
    await tx.run(DELETE_PARTS, asset_id=asset_id)
