"""Use cases of uploads: begin one, return its progress, append to it, end it."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from api.media.media import logic as assets_logic
from api.media.media import rules
from api.media.media import store as assets
from api.media.media.contract import (
    Asset,
    AssetCreated,
    AssetId,
    AssetNotFound,
    CheckAsset,
    ChecksumMismatch,
    UploadGone,
    UploadOffsetMismatch,
    UploadPurpose,
    UploadPurposeUnknown,
    UploadTargetInvalid,
    UploadTooLarge,
)
from api.media.media.store import NewAsset
from api.media.media.upload import parts, store
from api.media.media.upload.headers import Checksum, Target
from api.media.media.upload.parts import PartWriter
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, NotFound
from cluster.base.registry import offers
from cluster.data import Transaction, read, uses, write
from cluster.data.objects import ObjectMissing, bucket
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import GrantSource, Guarded, permit, permitted, within
from cluster.people.calls import client


class Interrupted(Exception):
    """The bytes of a request end before the request does. Those that came are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an upload is. `offset_bytes` are durable."""

    asset: Asset
    offset_bytes: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """A file as its client declares it before sending it."""

    size_bytes: int
    purpose: str
    target: Target
    filename: str
    declared_type: str | None


async def begin(caller: Principal, new: NewUpload) -> Progress:
    """Create an asset whose bytes are to come, and reserve its room.

    Raises:
        UploadPurposeUnknown, UploadTargetInvalid, UploadTooLarge, QuotaExceeded, TooManyUploads
    """
    owner = caller.person()
    purpose = purpose_of(new.purpose, new.target, new.size_bytes)
    place = await place_of(caller, new.target)
    await permit(caller, purpose.permission, place)
    asset_id = AssetId(new_id())
    org_id = None if place.org_id is None else OrgId(place.org_id)
    holder_id: UUID = org_id or owner
    complete = new.size_bytes == 0
    limit_bytes = await assets_logic.limit_of(org_id)
    async with write(caller, result=asset_id, status=201) as tx:
        await tx.take_turns("media.uploads", owner)
        await assets_logic.take_room(tx, holder_id, new.size_bytes, limit_bytes)
        await _check_unfinished(tx, owner, org_id, new.size_bytes)
        asset = await assets.insert_asset(
            tx,
            NewAsset(
                id=asset_id,
                org_id=org_id,
                course_id=place.course_id,
                run_id=place.run_id,
                owner_id=owner,
                holder_id=holder_id,
                purpose=purpose.name,
                filename=rules.clean_filename(new.filename),
                declared_type=rules.declared_type(new.declared_type),
                size_bytes=new.size_bytes,
                state="checking" if complete else "uploading",
            ),
        )
        await uses.declare(tx, asset.thing())
        if complete:
            enqueue(tx, CheckAsset(asset_id=asset_id))
        else:
            await store.insert_upload(tx, asset_id, tx.now + rules.NOT_BEGUN_FOR)
        emit(
            tx,
            AssetCreated(
                asset_id=asset_id,
                org_id=org_id,
                purpose=purpose.name,
                size_bytes=new.size_bytes,
                course_id=place.course_id,
                run_id=place.run_id,
            ),
            version=1,
        )
    return await progress(caller, asset_id)


async def _check_unfinished(tx: Transaction, owner: UserId, org_id: OrgId | None, size_bytes: int) -> None:
    """Return when the person and the organization may begin one more upload, of this size.

    The locks on the person and on the quota are held: nothing begins beside this one.

    Raises:
        TooManyUploads
    """
    most = rules.Unfinished(rules.MAX_OPEN_OF_PERSON, rules.MAX_AWAITED_BYTES_OF_PERSON)
    rules.check_unfinished("a person", await store.count_unfinished_of_person(tx, owner), size_bytes, most)
    if org_id is not None:
        most = rules.Unfinished(rules.MAX_OPEN_OF_ORGANIZATION, rules.MAX_AWAITED_BYTES_OF_ORGANIZATION)
        unfinished = await store.count_unfinished_of_organization(tx, org_id)
        rules.check_unfinished("an organization", unfinished, size_bytes, most)


async def progress(caller: Principal, asset_id: AssetId) -> Progress:
    """Return how far an upload is.

    Raises:
        AssetNotFound, UploadGone
    """
    upload = await permitted(caller, "asset:upload", store.find_upload, asset_id, missing=AssetNotFound)
    asset, offset = upload.asset, upload.offset_bytes
    if upload.deleted or (
        offset is not None and asset.expires_at is not None and asset.expires_at <= datetime.now(UTC)
    ):
        raise UploadGone("it was deleted, or lay unfinished for too long: begin a new upload")
    if offset is None:
        return Progress(asset=asset, offset_bytes=asset.size_bytes, expires_at=None)
    return Progress(asset=asset, offset_bytes=offset, expires_at=asset.expires_at)


async def receive(
    caller: Principal,
    asset_id: AssetId,
    *,
    offset: int,
    body: AsyncIterable[bytes],
    declared_bytes: int | None,
    checksum: Checksum | None = None,
) -> Progress:
    """Append bytes at `offset`. The request that began last writes: an earlier one, dead or alive, commits nothing any more.

    The bytes that arrived are kept when the body breaks off (`Interrupted`), except under a checksum, which covers all of
    the body or nothing.

    Raises:
        AssetNotFound, UploadGone, UploadOffsetMismatch, UploadTooLarge, UploadTakenOver, ChecksumMismatch, Unavailable
        Interrupted: after keeping the bytes that came.
    """
    current = await progress(caller, asset_id)
    size = current.asset.size_bytes
    if offset != current.offset_bytes:
        raise UploadOffsetMismatch(current.offset_bytes)
    if declared_bytes is not None and offset + declared_bytes > size:
        raise _beyond(size)
    if current.asset.state != "uploading":
        return current
    writer = await _open(caller, asset_id, offset=offset, size=size, atomic=checksum is not None)
    digest = None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
    try:
        async for chunk in body:
            if writer.received + len(chunk) > size:
                raise _beyond(size)
            if digest is not None:
                digest.update(chunk)
            await writer.add(chunk)
        if checksum is not None and digest is not None and not hmac.compare_digest(checksum.digest, digest.digest()):
            raise ChecksumMismatch(f"nothing of this request was kept; send it again from byte {offset}")
        await writer.finish()
    except (Interrupted, asyncio.CancelledError):
        if checksum is None:
            await asyncio.shield(writer.finish())
        raise
    finally:
        await writer.abandon()
    return await progress(caller, asset_id)


async def end(caller: Principal, asset_id: AssetId) -> None:
    """Give an upload up, finished or not, unless something uses it already."""
    current = await progress(caller, asset_id)
    await assets_logic.remove(caller, current.asset)


async def _open(caller: Principal, asset_id: AssetId, *, offset: int, size: int, atomic: bool) -> PartWriter:
    async with write(caller) as tx:
        epoch = await store.update_epoch(tx, asset_id, offset, tx.now + rules.UNFINISHED_FOR)
        begun = offset % parts.PART_BYTES
        last = await store.find_part(tx, asset_id, offset // parts.PART_BYTES) if begun else None
    if epoch is None:
        raise UploadOffsetMismatch((await progress(caller, asset_id)).offset_bytes)
    tail = b""
    if begun:
        assert last is not None, f"{asset_id} has no part that ends at {offset}"
        tail = await bucket("media").read(last.object_key)
        if len(tail) != begun:
            raise ObjectMissing(last.object_key)
    return PartWriter(
        asset_id,
        epoch=epoch,
        size_bytes=size,
        offset=offset,
        tail=tail,
        replaces=None if last is None else last.object_key,
        atomic=atomic,
    )


def purpose_of(name: str, target: Target, size_bytes: int) -> UploadPurpose:
    """Return the purpose of this name, if a file of this size may be stored for it.

    Raises:
        UploadPurposeUnknown, UploadTargetInvalid, UploadTooLarge
    """
    known = {purpose.name: purpose for purpose in offers(UploadPurpose)}
    purpose = known.get(name)
    if purpose is None:
        detail = f"purpose in Upload-Metadata is one of {', '.join(sorted(known))}"
        raise UploadPurposeUnknown(detail, pointer="/header/upload-metadata/purpose")
    if target.kind not in purpose.targets:
        raise UploadTargetInvalid(
            f"files for {purpose.name} belong to one of {', '.join(purpose.targets)}",
            pointer="/header/upload-metadata/target",
        )
    if size_bytes > purpose.max_bytes:
        error = FieldError(
            "/header/upload-length",
            UploadTooLarge.slug(),
            f"a file for {purpose.name} may have {purpose.max_bytes} bytes",
            {"max_bytes": purpose.max_bytes},
        )
        raise UploadTooLarge(error.detail, errors=(error,), max_bytes=purpose.max_bytes)
    return purpose


async def place_of(caller: Principal, target: Target) -> Guarded[None]:
    """Return the organization, course and run of a target, or its person.

    Raises:
        NotFound: it is not known here.
    """
    place = await _place(caller, target)
    if place is None:
        raise NotFound(f"there is no such {target.kind}", pointer="/header/upload-metadata/target")
    return place


async def _place(caller: Principal, target: Target) -> Guarded[None] | None:
    """Return the organization, course and run of a target, or its person; None when it is not known here."""
    if target.id is None:
        return Guarded(None, owner_id=caller.person())
    if target.kind == "org":
        return within(org_id=target.id)
    async with read() as db:
        place = await assets.find_place(db, target.id, target.kind)
    if place is not None:
        run_id = target.id if target.kind == "run" else None
        return within(org_id=place.org_id, course_id=place.course_id, run_id=run_id)
    # The event of a course made a moment ago may still be on its way; its maker's grant was there before the course.
    for grant in await client(GrantSource).grants_of(caller.person()):
        if grant.scope == target.kind == "course" and grant.scope_id == target.id:
            return within(org_id=grant.org_id, course_id=target.id)
    return None


def _beyond(size: int) -> UploadTooLarge:
    return UploadTooLarge(f"the upload was announced with {size} bytes", pointer="/header/content-length")
