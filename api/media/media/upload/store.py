"""The SQL of unfinished uploads. `epoch` is the fence: only the request that began last may move the offset."""

from dataclasses import dataclass
from datetime import datetime

from api.media.media.contract import Asset, AssetId
from api.media.media.rules import Unfinished
from api.media.media.store import ASSET, asset_of
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True)
class Part:
    """One object of an upload; all but the last have the same size."""

    number: int
    size_bytes: int
    object_key: str


@dataclass(frozen=True, slots=True)
class Upload:
    asset: Asset
    offset_bytes: int | None
    """How many bytes are durable; None: there is nothing left to write."""
    deleted: bool


async def insert_upload(tx: Transaction, asset_id: AssetId, expires_at: datetime) -> None:
    await tx.run("INSERT INTO media.uploads (asset_id, expires_at) VALUES ($1, $2)", asset_id, expires_at)


UNFINISHED_OF_PERSON = """
SELECT count(*) AS uploads, coalesce(sum(a.size_bytes - u.offset_bytes), 0)::bigint AS awaited_bytes
FROM media.assets a JOIN media.uploads u ON u.asset_id = a.id
WHERE a.owner_id = $1 AND a.deleted_at IS NULL AND u.expires_at > $2
"""
UNFINISHED_OF_ORGANIZATION = """
SELECT count(*) AS uploads, coalesce(sum(a.size_bytes - u.offset_bytes), 0)::bigint AS awaited_bytes
FROM media.assets a JOIN media.uploads u ON u.asset_id = a.id
WHERE a.org_id = $1 AND a.deleted_at IS NULL AND u.expires_at > $2
"""


async def count_unfinished(tx: Transaction, owner_id: UserId) -> Unfinished:
    return await tx.one(Unfinished, UNFINISHED_OF_PERSON, owner_id, tx.now)


async def count_unfinished_in(tx: Transaction, org_id: OrgId) -> Unfinished:
    return await tx.one(Unfinished, UNFINISHED_OF_ORGANIZATION, org_id, tx.now)


async def find_upload(db: Connection, asset_id: AssetId) -> Upload | None:
    """Find an upload by its asset, finished and deleted ones too."""
    rows = await db.rows(
        "SELECT "
        + ASSET
        + """, deleted_at, (SELECT offset_bytes FROM media.uploads WHERE asset_id = assets.id) AS offset_bytes
            FROM media.assets WHERE id = $1""",
        asset_id,
    )
    if not rows:
        return None
    row = dict(rows[0])
    deleted_at, offset = row.pop("deleted_at"), row.pop("offset_bytes")
    return Upload(asset_of(row), offset, deleted_at is not None)


async def take_over(tx: Transaction, asset_id: AssetId, offset_bytes: int, expires_at: datetime) -> int | None:
    """Become the only writer and return the epoch; None when the upload stands elsewhere, has expired or is gone."""
    epoch: int | None = await tx.value(
        """UPDATE media.uploads SET epoch = epoch + 1, expires_at = $3
           WHERE asset_id = $1 AND offset_bytes = $2 AND expires_at > $4 RETURNING epoch""",
        *(asset_id, offset_bytes, expires_at, tx.now),
    )
    return epoch


async def find_part(db: Connection, asset_id: AssetId, number: int) -> Part | None:
    return await db.maybe(
        Part,
        "SELECT number, size_bytes, object_key FROM media.parts WHERE asset_id = $1 AND number = $2",
        *(asset_id, number),
    )


async def list_parts(db: Connection, asset_id: AssetId) -> list[Part]:
    return await db.all(
        Part,
        "SELECT number, size_bytes, object_key FROM media.parts WHERE asset_id = $1 ORDER BY number LIMIT 1000000",
        asset_id,
    )


async def commit_parts(
    tx: Transaction,
    asset_id: AssetId,
    *,
    epoch: int,
    from_bytes: int,
    offset_bytes: int,
    parts: list[Part],
    expires_at: datetime,
) -> bool:
    """Make parts count and move the offset behind them; False when another request took the upload over."""
    return await tx.run(
        """WITH moved AS (
                   UPDATE media.uploads SET offset_bytes = $3, expires_at = $7
                   WHERE asset_id = $1 AND epoch = $2 AND offset_bytes = $8 RETURNING asset_id
               )
               INSERT INTO media.parts (asset_id, number, size_bytes, object_key)
               SELECT moved.asset_id, part.number, part.size_bytes, part.object_key
               FROM moved, unnest($4::int[], $5::int[], $6::text[]) AS part (number, size_bytes, object_key)
               ON CONFLICT (asset_id, number) DO UPDATE
                   SET size_bytes = excluded.size_bytes, object_key = excluded.object_key""",
        *(asset_id, epoch, offset_bytes),
        [part.number for part in parts],
        [part.size_bytes for part in parts],
        [part.object_key for part in parts],
        *(expires_at, from_bytes),
    ) == len(parts)


async def insert_part(tx: Transaction, asset_id: AssetId, part: Part) -> None:
    await tx.run(
        "INSERT INTO media.parts (asset_id, number, size_bytes, object_key) VALUES ($1, $2, $3, $4)",
        *(asset_id, part.number, part.size_bytes, part.object_key),
    )


async def delete_upload(tx: Transaction, asset_id: AssetId) -> None:
    """Complete: there is nothing more to write."""
    await tx.run("DELETE FROM media.uploads WHERE asset_id = $1", asset_id)


async def delete_parts(tx: Transaction, asset_id: AssetId) -> None:
    await tx.run("DELETE FROM media.parts WHERE asset_id = $1", asset_id)
