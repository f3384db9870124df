"""Check a complete upload: find its type by its bytes, hash it, and make one object of its parts.

A repetition writes an object with another name; only the first one to commit counts. Until then the parts stay, so that a
check that ends half-way loses nothing.
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic

from api.media.media import rules, store
from api.media.media.contract import (
    Asset,
    AssetId,
    AssetReady,
    AssetRefused,
    Reason,
    RemoveObjects,
    UploadPurpose,
)
from api.media.media.upload import store as uploads
from api.media.media.upload.store import Part
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.registry import offers
from cluster.data import read, uses, write
from cluster.data.objects import Bucket, ObjectMissing
from cluster.events import emit
from cluster.jobs import enqueue

_BEAT_INTERVAL_S = 10.0


async def check(caller: Principal, asset_id: AssetId, *, beat: Callable[[], Awaitable[None]], last: bool) -> None:
    """Take an asset from `checking` to `ready` or `rejected`. `beat` is called while work goes on; `last`: a missing part is
    lost.

    Raises:
        ObjectMissing, Unavailable
    """
    async with read() as db:
        found = await store.list_assets_by_id(db, [asset_id])
        parts = await uploads.list_parts(db, asset_id)
    if not found or found[0].state != "checking":
        return
    asset = found[0]
    try:
        content_type, reason = await _judge(asset, parts)
        if reason is None:
            key, sha256 = await _assemble(asset, parts, content_type, beat)
            await _accept(caller, asset, content_type, sha256, key)
            return
    except ObjectMissing:
        if not last:
            raise
        reason = "content-lost"
    await _reject(caller, asset, reason)


async def _judge(asset: Asset, parts: list[Part]) -> tuple[str, Reason | None]:
    if not parts:
        return "", "empty"
    head = await Bucket(asset.bucket).read(parts[0].object_key, 0, rules.HEAD_BYTES)
    content_type = rules.sniff(head, asset.content_type)
    if content_type is None:
        return "", "type-unknown"
    # A purpose that no service offers any more still takes the files that were uploaded for it.
    purpose = next((each for each in offers(UploadPurpose) if each.name == asset.purpose), None)
    if purpose is not None and not rules.allows(purpose, content_type):
        return content_type, "type-not-allowed"
    return content_type, None


async def _assemble(
    asset: Asset, parts: list[Part], content_type: str, beat: Callable[[], Awaitable[None]]
) -> tuple[str, str]:
    """Return the key and the SHA-256 of one object with all the bytes."""
    bucket = Bucket(asset.bucket)
    digest = hashlib.sha256()
    hashed = 0

    async def content() -> AsyncGenerator[bytes, None]:
        nonlocal hashed
        last_beat = monotonic()
        for part in parts:
            before = hashed
            async for chunk in bucket.get(part.object_key):
                digest.update(chunk)
                hashed += len(chunk)
                yield chunk
                # By the clock: a slow store must not look like a dead check.
                if monotonic() - last_beat >= _BEAT_INTERVAL_S:
                    await beat()
                    last_beat = monotonic()
            if hashed - before != part.size_bytes:
                raise ObjectMissing(f"{part.object_key} has {hashed - before} bytes instead of {part.size_bytes}")

    if len(parts) == 1:
        key = parts[0].object_key
        async for _ in content():
            pass
    else:
        key = f"{asset.id}/{new_id().hex}"
        await bucket.write_stream(key, content(), content_type=content_type)
    if hashed != asset.size_bytes:
        raise ObjectMissing(f"{asset.id} has {hashed} bytes instead of {asset.size_bytes}")
    return key, digest.hexdigest()


async def _accept(caller: Principal, asset: Asset, content_type: str, sha256: str, key: str) -> None:
    async with write(caller) as tx:
        ready = await store.update_ready(tx, asset.id, content_type=content_type, sha256=sha256, object_key=key)
        if ready is not None:
            await uploads.delete_parts(tx, asset.id)
            await uses.declare(tx, ready.thing())
            emit(
                tx,
                AssetReady(
                    asset_id=asset.id,
                    org_id=asset.org_id,
                    purpose=asset.purpose,
                    content_type=content_type,
                    size_bytes=asset.size_bytes,
                ),
                version=ready.version,
            )
        # Also when this came too late: the object that was assembled here is not needed then.
        enqueue(tx, RemoveObjects(asset_id=asset.id))


async def _reject(caller: Principal, asset: Asset, reason: Reason) -> None:
    async with write(caller) as tx:
        rejected = await store.update_rejected(tx, asset.id, reason=reason)
        if rejected is None:
            return
        await uploads.delete_parts(tx, asset.id)
        await uses.declare(tx, rejected.thing())
        emit(
            tx,
            AssetRefused(asset_id=asset.id, org_id=asset.org_id, purpose=asset.purpose, reason=reason),
            version=rejected.version,
        )
        enqueue(tx, RemoveObjects(asset_id=asset.id))
