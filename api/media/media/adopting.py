"""Adopt files that services made: certificates, invoices, reports, exports."""

from dataclasses import dataclass
from uuid import UUID

from api.media.media import checking, logic, rules, store
from api.media.media.contract import AssetCreated, AssetId, AssetNotFound, CheckAsset
from api.media.media.store import NewAsset
from api.media.media.upload import logic as uploads
from api.media.media.upload import store as parts
from api.media.media.upload.headers import Target
from api.media.media.upload.store import Part
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal, platform
from cluster.base.problems import Unavailable
from cluster.data import read, uses, write
from cluster.data.objects import bucket
from cluster.events import emit
from cluster.jobs import enqueue

AT_ONCE_BYTES = 32 * 1024 * 1024
"""Reading more takes longer than a call may; the job does it then."""


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file that a service has written, and the place and owner that it shall have."""

    object_key: str
    purpose: str
    target: Target
    filename: str
    owner_id: UserId
    declared_type: str | None


async def adopt(file: ServiceFile) -> AssetId:
    """Make an asset of a file. Its id is in the object's key, so repeating it makes no second one.

    Raises:
        AssetNotFound, AssetRejected, QuotaExceeded, UploadPurposeUnknown, UploadTargetInvalid, UploadTooLarge, NotFound
    """
    asset_id = _asset_id(file.object_key)
    async with read() as db:
        present = await store.list_assets_by_id(db, [asset_id])
    if not present:
        stored = await bucket("media").head(file.object_key)
        if stored is None:
            raise AssetNotFound("write the object before it is adopted")
        await _insert(asset_id, file, stored.size_bytes)
    try:
        return await _check(asset_id)
    except Unavailable:
        # The job goes on; the asset is there.
        return asset_id


async def _check(asset_id: AssetId) -> AssetId:
    async def beat() -> None: ...

    async with read() as db:
        [asset] = await store.list_assets_by_id(db, [asset_id])
    if asset.state == "checking" and asset.size_bytes <= AT_ONCE_BYTES:
        await checking.check(platform("media"), asset_id, beat=beat, last=False)
        async with read() as db:
            [asset] = await store.list_assets_by_id(db, [asset_id])
    if asset.state != "checking":
        asset.content_key()
    return asset_id


async def _insert(asset_id: AssetId, file: ServiceFile, size_bytes: int) -> None:
    owner = Principal(kind="person", id=file.owner_id)
    purpose = uploads.purpose_of(file.purpose, file.target, size_bytes)
    place = await uploads.place_of(owner, file.target)
    org_id = None if place.org_id is None else OrgId(place.org_id)
    holder_id: UUID = org_id or file.owner_id
    limit_bytes = await logic.limit_of(org_id)
    async with write(platform("media")) as tx:
        await logic.take_room(tx, holder_id, size_bytes, limit_bytes)
        asset = await store.insert_asset(
            tx,
            NewAsset(
                id=asset_id,
                org_id=org_id,
                course_id=place.course_id,
                run_id=place.run_id,
                owner_id=file.owner_id,
                holder_id=holder_id,
                purpose=purpose.name,
                filename=rules.clean_filename(file.filename),
                declared_type=rules.declared_type(file.declared_type),
                size_bytes=size_bytes,
                state="checking",
            ),
        )
        if size_bytes:
            await parts.insert_part(tx, asset_id, Part(0, size_bytes, file.object_key))
        await uses.declare(tx, asset.thing())
        enqueue(tx, CheckAsset(asset_id=asset_id))
        created = AssetCreated(
            asset_id=asset_id,
            org_id=org_id,
            purpose=purpose.name,
            size_bytes=size_bytes,
            course_id=place.course_id,
            run_id=place.run_id,
        )
        emit(tx, created, version=1)


def _asset_id(object_key: str) -> AssetId:
    try:
        return AssetId(UUID(object_key.partition("/")[0]))
    except ValueError:
        raise AssetNotFound("name the object by `new_object_key()`") from None
