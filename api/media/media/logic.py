"""Use cases of assets: show, list, download, delete, restore, expire and purge them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.media.media import reading, rules, store
from api.media.media.contract import (
    Asset,
    AssetDeleted,
    AssetId,
    AssetNotFound,
    AssetRestored,
    QuotaExceeded,
    RemoveObjects,
    TargetKind,
    asset_ref,
)
from api.media.media.offers import STORAGE_BYTES
from api.media.media.store import DeletedAsset, Filters
from cluster.base.ids import OrgId
from cluster.base.principal import Principal, platform
from cluster.data import Transaction, read, uses, write
from cluster.data.objects import Bucket, bucket
from cluster.data.uses import KnownThing, Ref, UsedBy
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people import erasure
from cluster.people.access import permit, permitted, reach_of
from cluster.people.erasure import Erasing
from cluster.people.org_settings import setting

_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAsset(Asset):
    """An asset as people see it: `expires_at` is when it is deleted unless it is finished and used before."""

    in_use: bool


async def get_asset(caller: Principal, asset_id: AssetId) -> ShownAsset:
    asset = await permitted(caller, "asset:read", store.find_asset, asset_id, missing=AssetNotFound)
    async with read() as db:
        known = await uses.states(db, [asset_ref(asset_id)])
    return _shown(asset, known)


async def list_assets(
    caller: Principal,
    filters: Filters,
    *,
    kind: TargetKind,
    place_id: UUID | None,
    before: AssetId | None,
    limit: int,
) -> list[ShownAsset]:
    """List the files of a place as far as the caller may see them, newest first. No `place_id`: the caller's own."""
    reach = await reach_of(caller, "asset:read")
    async with read() as db:
        assets = await store.list_assets(
            db, reach, filters, kind=kind, place_id=place_id or caller.person(), before=before, limit=limit
        )
        known = await uses.states(db, [asset_ref(asset.id) for asset in assets])
    return [_shown(asset, known) for asset in assets]


def _shown(asset: Asset, known: dict[Ref, KnownThing]) -> ShownAsset:
    thing = known.get(asset_ref(asset.id))
    in_use = thing is not None and thing.in_use
    fields = asdict(asset)
    if thing is not None and not in_use and thing.idle_since is not None:
        fields["expires_at"] = thing.idle_since + rules.UNUSED_FOR
    return ShownAsset(**fields, in_use=in_use)


async def open_content(
    caller: Principal, asset_id: AssetId, range_header: str | None, if_range: str | None = None
) -> tuple[Asset, rules.Span | None, AsyncGenerator[bytes, None]]:
    """Return a ready file, the range of it that was asked for, and those bytes as a stream.

    Raises:
        AssetNotFound, AssetNotReady, AssetRejected, RangeNotSatisfiable
    """
    asset = await reading.readable(caller, asset_id)
    key = asset.content_key()
    # A range of something else than the client has a part of already is of no use to it (RFC 9110, section 13.1.5).
    changed = if_range is not None and if_range != f'"{asset.sha256}"'
    span = None if changed else rules.requested_range(range_header, asset.size_bytes)
    start, end = span or (0, asset.size_bytes)
    return asset, span, Bucket(asset.bucket).get(key, start, end)


async def list_uses(caller: Principal, asset_id: AssetId) -> UsedBy:
    """Return the users of a file that the caller may see, and the count of the others."""
    await permitted(caller, "asset:read", store.find_asset, asset_id, missing=AssetNotFound)
    reach = await reach_of(caller, "asset:read")
    async with read() as db:
        return await uses.used_by(db, asset_ref(asset_id), reach=reach)


async def delete_asset(caller: Principal, asset_id: AssetId) -> None:
    """Delete a file that nothing uses. A file that was ready can be restored for 30 days; its room is free at once.

    Raises:
        AssetNotFound, ThingInUse
    """
    asset = await permitted(caller, "asset:delete", store.find_asset, asset_id, missing=AssetNotFound)
    await remove(caller, asset)


async def remove(caller: Principal, asset: Asset) -> None:
    """Delete an asset that the caller was permitted to.

    Raises:
        ThingInUse
    """
    reach = await reach_of(caller, "asset:read")
    async with write(caller, result=asset.id, status=204) as tx:
        if await store.lock_asset(tx, asset.id):
            await uses.remove(tx, asset_ref(asset.id), reach=reach)
            await _delete(tx, asset.id, expired=False)


async def remove_personal(caller: Principal, request: Erasing) -> None:
    """Delete for good all files that belong to a person and to no organization, with their objects, restorable ones too.

    Raises:
        ThingInUse
    """
    async with read() as db:
        asset_ids = await store.list_personal_assets(db, request.user_id)
    for asset_id in asset_ids:
        async with write(caller) as tx:
            if await store.lock_asset(tx, asset_id):
                await uses.remove(tx, asset_ref(asset_id))
                await _delete(tx, asset_id, expired=False)
            await uses.end_restorable(tx, asset_ref(asset_id))
        await purge(asset_id, request)


async def restore_asset(caller: Principal, asset_id: AssetId) -> ShownAsset:
    """Bring a deleted file back. Restoring one that is not deleted changes nothing.

    Raises:
        AssetNotFound: it was deleted more than 30 days ago, or was not ready.
        QuotaExceeded
    """
    async with read() as db:
        guarded = await store.find_asset(db, asset_id)
        deleted = await store.find_deleted(db, asset_id)
    if guarded is not None:
        await permit(caller, "asset:delete", guarded, missing=AssetNotFound)
        return await get_asset(caller, asset_id)
    found = await permit(caller, "asset:delete", deleted, missing=AssetNotFound)
    limit_bytes = await limit_of(found.asset.org_id)
    async with write(caller, result=asset_id) as tx:
        await _restore(tx, found, limit_bytes)
    return await get_asset(caller, asset_id)


async def restore_for_user(asset_id: AssetId) -> None:
    """Restore a file for another service, which has checked that its caller may restore the user of the file."""
    await restore_asset(platform("media"), asset_id)


async def _restore(tx: Transaction, deleted: DeletedAsset, limit_bytes: int) -> None:
    asset = await store.update_restored(tx, deleted.asset.id)
    if asset is None:
        return
    await uses.restore(tx, asset_ref(asset.id))
    await take_room(tx, deleted.holder_id, asset.size_bytes, limit_bytes)
    emit(tx, AssetRestored(asset_id=asset.id, org_id=asset.org_id, purpose=asset.purpose), version=asset.version)


async def limit_of(org_id: UUID | None) -> int:
    """Return how many bytes the files of an organization may take; None: those of a person."""
    return rules.PERSON_QUOTA_BYTES if org_id is None else await setting(STORAGE_BYTES, OrgId(org_id))


async def take_room(tx: Transaction, holder_id: UUID, size_bytes: int, limit_bytes: int) -> None:
    """Count bytes against a quota, of which `limit_of` says how large it is.

    Raises:
        QuotaExceeded: carries `free_bytes`.
    """
    if await store.upsert_used_bytes(tx, holder_id, size_bytes, limit_bytes):
        return
    free = max(limit_bytes - await store.find_used_bytes(tx, holder_id), 0)
    raise QuotaExceeded(f"{free} bytes are free: delete files that nobody uses, or ask for more room", free_bytes=free)


async def remove_unused(asset_id: AssetId) -> None:
    """Delete a file unless something uses it."""
    async with write(platform("media")) as tx:
        if await store.lock_asset(tx, asset_id) and await uses.lock_unused(tx, asset_ref(asset_id)):
            await uses.remove(tx, asset_ref(asset_id))
            await _delete(tx, asset_id, expired=True)


async def purge(asset_id: AssetId, request: Erasing | None = None) -> None:
    """Delete a removed file for good, once it cannot be restored any more: its objects, then its rows. Safe to repeat.

    With a request it is counted in the report of that erasure.

    Raises:
        Unavailable
    """
    ref = asset_ref(asset_id)
    async with read() as db:
        if not await uses.purgeable(db, ref):
            return
    files = bucket("media")
    await files.delete([stored.key async for stored in files.list(f"{asset_id}/")])
    async with write(platform("media")) as tx:
        rows = await store.delete_purged(tx, asset_id)
        if request is not None:
            await erasure.count(tx, request, rows=rows, files=rows)
        await uses.forget(tx, ref)


async def find_assets(asset_ids: Collection[AssetId]) -> list[Asset]:
    """For other services, which check the caller's rights themselves."""
    async with read() as db:
        return await store.list_assets_by_id(db, asset_ids)


async def expire(now: datetime, limit: int) -> int:
    """Delete up to `limit` unfinished uploads whose time is up, and return how many there were."""
    async with read() as db:
        expired = await store.list_expired(db, now, limit)
    for asset_id in expired:
        async with write(platform("media")) as tx:
            if await store.lock_expired(tx, asset_id, now):
                await uses.remove(tx, asset_ref(asset_id))
                await _delete(tx, asset_id, expired=True)
    return len(expired)


async def remove_unreferenced(
    files: Bucket, prefix: str, *, before: datetime | None, beat: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Delete the objects under `prefix` that no asset refers to and that are older than `before`; return how many.

    An object that is not named like one of an asset stays: somebody else put it there. `beat` is called while work goes on.

    Raises:
        Unavailable
    """
    removed = listed = 0
    batch: dict[str, UUID] = {}
    async for stored in files.list(prefix):
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
            removed += await _remove_batch(files, batch)
            batch = {}
    return removed + await _remove_batch(files, batch)


async def _remove_batch(files: Bucket, keys: dict[str, UUID]) -> int:
    if not keys:
        return 0
    async with read() as db:
        used = await store.list_referenced_keys(db, set(keys.values()))
    unused = [key for key in keys if key not in used]
    await files.delete(unused)
    return len(unused)


def older_than_a_day(now: datetime) -> datetime:
    """Return the instant before which an unreferenced object cannot belong to a request that is still running."""
    return now - timedelta(days=1)


async def _delete(tx: Transaction, asset_id: AssetId, *, expired: bool) -> None:
    gone = await store.update_deleted(tx, asset_id)
    emit(
        tx,
        AssetDeleted(asset_id=gone.id, org_id=gone.org_id, purpose=gone.purpose, expired=expired),
        version=gone.version,
    )
    if gone.object_key is None:
        enqueue(tx, RemoveObjects(asset_id=gone.id))
