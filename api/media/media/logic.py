"""Use cases of assets: see, list, download, delete, claim, and what time does to them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from datetime import datetime, timedelta
from uuid import UUID

from api.media.media import rules, store
from api.media.media.contract import (
    Asset,
    AssetDeleted,
    AssetId,
    AssetInUse,
    AssetNotFound,
    AssetNotReady,
    AssetRejected,
    RemoveObjects,
    State,
    TargetKind,
)
from api.media.media.store import Deleted
from cluster.base.ids import UserId
from cluster.base.principal import Principal, platform
from cluster.data import Transaction, read, write
from cluster.data.objects import Bucket
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import permit, reach_of

_BATCH = 1000
_REASONS = {
    "empty": "the file is empty",
    "type-unknown": "what the file is cannot be told from its content",
    "type-not-allowed": "files of this type are not taken for this purpose",
    "content-lost": "the file store lost a part of the file: upload it again",
}


async def get_asset(caller: Principal, asset_id: AssetId) -> Asset:
    async with read() as db:
        guarded = await store.find_asset(db, asset_id)
    return await permit(caller, "asset:read", guarded, missing=AssetNotFound)


async def list_assets(
    caller: Principal,
    *,
    kind: TargetKind,
    id: UUID | None,
    states: list[State] | None,
    purpose: str | None,
    before: AssetId | None,
    limit: int,
) -> list[Asset]:
    """List the files of a place as far as the caller may see them, newest first, one more than `limit` if there is."""
    reach = await reach_of(caller, "asset:read")
    async with read() as db:
        return await store.list_assets(
            db,
            reach,
            kind=kind,
            id=id or caller.person(),
            states=states,
            purpose=purpose,
            before=before,
            limit=limit + 1,
        )


async def open_content(
    caller: Principal, asset_id: AssetId, range_header: str | None, if_range: str | None = None
) -> tuple[Asset, rules.Span | None, AsyncGenerator[bytes, None]]:
    """Return a ready file, the range of it that was asked for, and those bytes as a stream.

    Raises:
        AssetNotFound, AssetNotReady, AssetRejected, RangeNotSatisfiable
    """
    async with read() as db:
        guarded = await store.find_asset(db, asset_id)
    asset = await permit(caller, "asset:download", guarded, missing=AssetNotFound)
    key = _content(asset)
    # A range of something else than the client has a part of already is of no use to it (RFC 9110, section 13.1.5).
    changed = if_range is not None and if_range != f'"{asset.sha256}"'
    span = None if changed else rules.requested_range(range_header, asset.size_bytes)
    start, end = span or (0, asset.size_bytes)
    return asset, span, Bucket(asset.bucket).get(key, start, end)


async def delete_asset(caller: Principal, asset_id: AssetId) -> None:
    """Delete a file that nothing uses.

    Raises:
        AssetNotFound, AssetInUse
    """
    async with read() as db:
        guarded = await store.find_asset(db, asset_id)
    await remove(caller, await permit(caller, "asset:delete", guarded, missing=AssetNotFound))


async def remove(caller: Principal, asset: Asset) -> None:
    """Delete an asset that the caller was permitted to.

    Raises:
        AssetInUse
    """
    async with write(caller, result=asset.id, status=204) as tx:
        gone = await store.delete_asset(tx, asset.id)
        if gone is None and await store.lock_asset(tx, asset.id) is not None:
            raise AssetInUse("take it out of what uses it first")
        if gone is not None:
            _tell_deleted(tx, gone, expired=False)


async def remove_own(actor: Principal, user_id: UserId) -> None:
    """Delete all files that belong to a person and to no organization.

    Raises:
        AssetInUse
    """
    async with read() as db:
        own = await store.list_own(db, user_id)
    for asset in own:
        await remove(actor, asset)


async def claim(asset_id: AssetId, claimant: str) -> Asset:
    """Keep a ready asset for `claimant`.

    Raises:
        AssetNotFound, AssetNotReady, AssetRejected
    """
    async with write(platform("media")) as tx:
        asset = await store.lock_asset(tx, asset_id)
        if asset is None:
            raise AssetNotFound
        _content(asset)
        await store.insert_claim(tx, asset_id, claimant)
    return asset


async def release(asset_id: AssetId, claimant: str) -> None:
    """Take a claim back."""
    async with write(platform("media")) as tx:
        if await store.lock_asset(tx, asset_id) is not None:
            await store.delete_claim(tx, asset_id, claimant, tx.now + rules.UNCLAIMED_FOR)


async def find_assets(asset_ids: Collection[AssetId]) -> list[Asset]:
    """For other services, which check the caller's rights themselves."""
    async with read() as db:
        return await store.find_assets(db, asset_ids)


async def expire(now: datetime) -> int:
    """Delete up to 100 unfinished and unclaimed assets whose time is up, and return how many there were."""
    async with read() as db:
        expired = await store.list_expired(db, now, 100)
    for asset_id in expired:
        async with write(platform("media")) as tx:
            gone = await store.delete_asset(tx, asset_id, expired_at=now)
            if gone is not None:
                _tell_deleted(tx, gone, expired=True)
    return len(expired)


async def purge(now: datetime) -> int:
    """Forget up to 1,000 assets that were deleted long ago, and return how many."""
    async with write(platform("media")) as tx:
        return await store.purge_deleted(tx, now - rules.KEEP_DELETED_FOR)


async def remove_unreferenced(
    bucket: Bucket, prefix: str, *, before: datetime | None, beat: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Delete the objects under `prefix` that no asset refers to and that are older than `before`; return how many.

    What is not named like an object of an asset stays: somebody else put it there. `beat` is called while work goes on.

    Raises:
        Unavailable
    """
    removed = listed = 0
    batch: dict[str, UUID] = {}
    async for stored in bucket.list(prefix):
        listed += 1
        if beat is not None and listed % _BATCH == 0:
            await beat()
        if before is not None and stored.modified_at >= before:
            continue
        try:
            batch[stored.key] = UUID(stored.key.partition("/")[0])
        except ValueError:
            continue
        if len(batch) == _BATCH:
            removed += await _remove_batch(bucket, batch)
            batch = {}
    return removed + await _remove_batch(bucket, batch)


async def _remove_batch(bucket: Bucket, keys: dict[str, UUID]) -> int:
    if not keys:
        return 0
    async with read() as db:
        used = await store.referenced_keys(db, set(keys.values()))
    unused = [key for key in keys if key not in used]
    await bucket.delete(unused)
    return len(unused)


def older_than_a_day(now: datetime) -> datetime:
    """Return the instant before which an unreferenced object cannot belong to a request that is still running."""
    return now - timedelta(days=1)


def _content(asset: Asset) -> str:
    if asset.state == "rejected":
        assert asset.reason is not None
        raise AssetRejected(_REASONS[asset.reason], reason=asset.reason)
    if asset.object_key is None:
        raise AssetNotReady(f"it is {asset.state}; wait for state ready", state=asset.state)
    return asset.object_key


def _tell_deleted(tx: Transaction, gone: Deleted, *, expired: bool) -> None:
    emit(
        tx,
        AssetDeleted(asset_id=gone.id, org_id=gone.org_id, purpose=gone.purpose, expired=expired),
        version=gone.version,
    )
    enqueue(tx, RemoveObjects(asset_id=gone.id))
