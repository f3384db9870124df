"""Use cases of films: create, show, cancel, retry, delete, restore and purge them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from api.media.media.contract import Asset, AssetId, AssetNotFound, MediaCalls, RemoveUnused, asset_ref
from api.media.video_processing import rules, store
from api.media.video_processing.contract import (
    PosterNotFound,
    RemoveFilmObjects,
    Transcode,
    UploadBelongsToNoCourse,
    UploadHasFilm,
    VideoCancelled,
    VideoCreated,
    VideoDeleted,
    VideoFailed,
    VideoId,
    VideoIsFinished,
    VideoNotFound,
    VideoNotRetryable,
    VideoRestarted,
    VideoRestored,
    VideoState,
    video_ref,
)
from api.media.video_processing.store import Film
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal, platform
from cluster.data import Transaction, read, uses, write
from cluster.data.objects import Bucket, bucket
from cluster.data.uses import Thing, UsedBy
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import permit, permitted, reach_of
from cluster.people.calls import client
from cluster.signals.rooms import tell

BUCKET = "videos"
_WRITERS_END_AFTER = timedelta(seconds=30)
"""The time that pieces of a stopped film may still be writing."""
_ABANDONED_AFTER = timedelta(minutes=15)
"""A coordinator shows every second that it lives; without a sign for this time it is gone."""
_MAX_RESCUES = 2
_BATCH = 1000


class _FilmExists(Exception):
    """Rolls the transaction back: another request made a film of the same upload."""


async def create_film(caller: Principal, asset_id: AssetId) -> tuple[Film, bool]:
    """Make a film of a ready upload and queue it, or return the one there is; also whether it is new.

    Raises:
        AssetNotFound, AssetNotReady, AssetRejected, FileIsNoFilm, UploadBelongsToNoCourse, ThingGone
    """
    asset = await client(MediaCalls).find_asset(asset_id)
    asset = await permit(caller, "video:create", None if asset is None else asset.guarded(), missing=AssetNotFound)
    org_id, course_id = _place(asset)
    async with read() as db:
        existing = await store.find_film_of_asset(db, asset_id)
    if existing is not None:
        return await permit(caller, "video:create", existing, missing=AssetNotFound), False
    asset.content_key()
    rules.check_type(asset.content_type)
    video_id = VideoId(new_id())
    try:
        async with write(caller, result=video_id, status=201) as tx:
            film = await store.insert_film(
                tx, video_id, org_id=org_id, course_id=course_id, asset_id=asset_id, created_by=caller.id
            )
            if film is None:
                raise _FilmExists
            await use_upload(tx, film)
            await changed(tx, film)
            created = VideoCreated(video_id=video_id, org_id=org_id, course_id=course_id, asset_id=asset_id)
            emit(tx, created, version=film.version)
            enqueue(tx, Transcode(video_id=video_id), dedupe=Transcode.dedupe(video_id))
    except _FilmExists:
        async with read() as db:
            existing = await store.find_film_of_asset(db, asset_id)
        return await permit(caller, "video:create", existing, missing=AssetNotFound), False
    return film, True


async def get_film(caller: Principal, video_id: VideoId) -> Film:
    return await permitted(caller, "video:read", store.find_film, video_id, missing=VideoNotFound)


async def list_films(
    caller: Principal,
    *,
    org_id: OrgId | None,
    course_id: UUID | None,
    ids: list[VideoId] | None,
    states: list[VideoState] | None,
    before: VideoId | None,
    limit: int,
) -> list[Film]:
    """List the films that the caller may see, newest first."""
    reach = await reach_of(caller, "video:read")
    async with read() as db:
        return await store.list_films(
            db, reach, org_id=org_id, course_id=course_id, ids=ids, states=states, before=before, limit=limit
        )


async def cancel(caller: Principal, video_id: VideoId) -> Film:
    """Stop processing; the upload stays. Cancelling twice is the same as once.

    Raises:
        VideoIsFinished: it is ready or has failed.
    """
    film = await permitted(caller, "video:create", store.find_film, video_id, missing=VideoNotFound)
    if film.state == "cancelled":
        return film
    async with write(caller, result=video_id) as tx:
        cancelled = await store.update_cancelled(tx, video_id)
        if cancelled is not None:
            # A job that waits finds nothing to do.
            remove_take(tx, video_id, cancelled.take)
            event = VideoCancelled(video_id=video_id, org_id=film.org_id, course_id=film.course_id)
            emit(tx, event, version=cancelled.version)
            await changed(tx, cancelled)
    cancelled = cancelled or await permitted(caller, "video:create", store.find_film, video_id, missing=VideoNotFound)
    if cancelled.state != "cancelled":
        raise VideoIsFinished(f"it is {cancelled.state}")
    return cancelled


async def retry(caller: Principal, video_id: VideoId) -> Film:
    """Process a film again that was cancelled, or failed for a reason that may pass.

    Raises:
        VideoNotRetryable: the upload itself is at fault, or nothing failed.
    """
    film = await permitted(caller, "video:create", store.find_film, video_id, missing=VideoNotFound)
    async with write(caller, result=video_id) as tx:
        restarted = await store.update_restarted(tx, video_id)
        if restarted is None:
            raise VideoNotRetryable(
                "upload a mended film and make a new one of it" if film.state == "failed" else f"it is {film.state}"
            )
        enqueue(tx, Transcode(video_id=video_id), dedupe=Transcode.dedupe(video_id))
        event = VideoRestarted(video_id=video_id, org_id=film.org_id, course_id=film.course_id, take=restarted.take)
        emit(tx, event, version=restarted.version)
        await changed(tx, restarted)
    return restarted


async def list_uses(caller: Principal, video_id: VideoId) -> UsedBy:
    """Return the users of a film that the caller may see, and the count of the others."""
    await permitted(caller, "video:read", store.find_film, video_id, missing=VideoNotFound)
    reach = await reach_of(caller, "video:read")
    async with read() as db:
        return await uses.used_by(db, video_ref(video_id), reach=reach)


async def delete_film(caller: Principal, video_id: VideoId) -> None:
    """Delete a film that nothing uses, and its upload unless something else uses that. Both can be restored for 30 days.

    Processing stops, as by `cancel`.

    Raises:
        VideoNotFound, ThingInUse
    """
    film = await permitted(caller, "video:delete", store.find_film, video_id, missing=VideoNotFound)
    reach = await reach_of(caller, "video:read")
    async with write(caller, result=video_id, status=204) as tx:
        if not await store.lock_film(tx, video_id):
            return
        await uses.remove(tx, video_ref(video_id), reach=reach)
        cancelled = await store.update_cancelled(tx, video_id)
        if cancelled is not None:
            remove_take(tx, video_id, cancelled.take)
        deleted = await store.update_deleted(tx, video_id)
        await uses.use(tx, by=video_ref(video_id), org_id=film.org_id, things=())
        enqueue(tx, RemoveUnused(id=film.asset_id))
        event = VideoDeleted(video_id=video_id, org_id=film.org_id, course_id=film.course_id)
        emit(tx, event, version=deleted.version)
        tell_change(tx, deleted)


async def restore_film(caller: Principal, video_id: VideoId) -> Film:
    """Bring a deleted film back, and its upload. Restoring one that is not deleted changes nothing.

    Raises:
        VideoNotFound: it was deleted more than 30 days ago.
        QuotaExceeded: there is no room for the upload.
        UploadHasFilm
    """
    async with read() as db:
        present = await store.find_film(db, video_id)
        deleted = await store.find_deleted(db, video_id)
    if present is not None:
        return await permit(caller, "video:delete", present, missing=VideoNotFound)
    film = await permit(caller, "video:delete", deleted, missing=VideoNotFound)
    if film.state != "failed" or film.retryable:
        # Harmless if this request ends here: an upload that nothing uses is deleted again a day later.
        await client(MediaCalls).restore_asset(film.asset_id)
    async with write(caller, result=video_id) as tx:
        with _upload_is_free():
            restored = await store.update_restored(tx, video_id)
        if restored is not None:
            await uses.restore(tx, video_ref(video_id))
            await use_upload(tx, restored)
            await changed(tx, restored)
            event = VideoRestored(video_id=video_id, org_id=film.org_id, course_id=film.course_id)
            emit(tx, event, version=restored.version)
    return restored or await get_film(caller, video_id)


@contextmanager
def _upload_is_free() -> Generator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError:
        raise UploadHasFilm("another film was made of the same upload: delete that one first") from None


async def purge(video_id: VideoId, *, beat: Callable[[], Awaitable[None]]) -> None:
    """Delete a removed film for good, once it cannot be restored any more: its objects, then its rows. Safe to repeat.

    Raises:
        Unavailable
    """
    ref = video_ref(video_id)
    async with read() as db:
        if not await uses.purgeable(db, ref):
            return
    await remove_objects(f"{video_id}/", beat=beat)
    async with write(platform("video_processing")) as tx:
        await store.delete_purged(tx, video_id)
        await uses.forget(tx, ref)


async def remove_objects(prefix: str, *, beat: Callable[[], Awaitable[None]]) -> None:
    """Delete everything whose key begins with the prefix. `beat` is called while work goes on.

    Raises:
        Unavailable
    """
    films = bucket(BUCKET)
    batch: list[str] = []
    async for stored in films.list(prefix):
        batch.append(stored.key)
        if len(batch) == _BATCH:
            await films.delete(batch)
            await beat()
            batch = []
    await films.delete(batch)


async def open_poster(caller: Principal, video_id: VideoId) -> tuple[Film, AsyncGenerator[bytes, None]]:
    """Return a film with a poster, and the poster's bytes as a stream.

    Raises:
        VideoNotFound, PosterNotFound
    """
    film = await get_film(caller, video_id)
    if not film.has_poster:
        raise PosterNotFound(f"the film is {film.state}")
    return film, bucket(BUCKET).get(rules.poster_key(film.id, film.take))


async def rescue(now: datetime) -> int:
    """Queue films again whose coordinator is gone, and after `_MAX_RESCUES` fail them; return how many.

    A job that takes its worker down five times is dead, and leaves its film in the state `processing`.
    """
    before = now - _ABANDONED_AFTER
    async with read() as db:
        abandoned = await store.list_abandoned(db, before, 100)
    for video_id in abandoned:
        async with write(platform("video_processing")) as tx:
            film = await store.update_abandoned(
                tx,
                video_id,
                before,
                max_rescues=_MAX_RESCUES,
                code=rules.PROCESSING_FAILED,
                detail=rules.PROCESSING_FAILED_DETAIL,
            )
            if film is None:
                continue
            if film.state == "failed":
                await tell_failed(tx, film)
            else:
                enqueue(tx, Transcode(video_id=video_id), dedupe=Transcode.dedupe(video_id))
                await changed(tx, film)
    return len(abandoned)


async def remove_stale_takes(before: datetime, *, beat: Callable[[], Awaitable[None]]) -> int:
    """Delete objects, older than `before`, of takes that are no film's present one; return how many.

    Raises:
        Unavailable
    """
    films = bucket(BUCKET)
    removed = listed = 0
    batch: dict[str, tuple[VideoId, int]] = {}
    async for stored in films.list():
        listed += 1
        if listed % _BATCH == 0:
            await beat()
        take = rules.take_of(stored.key)
        if take is None or stored.modified_at >= before:
            continue
        batch[stored.key] = take
        if len(batch) == _BATCH:
            removed += await _remove_stale(films, batch)
            batch = {}
    return removed + await _remove_stale(films, batch)


async def _remove_stale(films: Bucket, takes: dict[str, tuple[VideoId, int]]) -> int:
    if not takes:
        return 0
    async with read() as db:
        kept = await store.list_takes(db, {video_id for video_id, _ in takes.values()})
    stale = [key for key, take in takes.items() if take not in kept]
    await films.delete(stale)
    return len(stale)


async def changed(tx: Transaction, film: Film) -> None:
    """Declare the film's new state to its users, and tell its followers."""
    thing = Thing(
        kind="video",
        id=film.id,
        org_id=film.org_id,
        course_id=film.course_id,
        state=rules.THING_STATES[film.state],
        fault=rules.CANCELLED if film.state == "cancelled" else film.error_code,
        facts={"duration_s": film.duration_s},
        version=film.version,
    )
    await uses.declare(tx, thing)
    tell_change(tx, film)


def tell_change(tx: Transaction, film: Film) -> None:
    """Tell the followers of the film."""
    tell(tx, rules.TOPIC, film.id, film.version)


async def use_upload(tx: Transaction, film: Film) -> None:
    """Keep the upload as long as the film is there, unless no film can be made of it.

    Raises:
        ThingGone: the upload was deleted meanwhile.
    """
    upload = asset_ref(film.asset_id)
    needed = film.state != "failed" or film.retryable
    await uses.use(
        tx,
        by=video_ref(film.id),
        org_id=film.org_id,
        course_id=film.course_id,
        things={upload} if needed else (),
        pointers={upload: "/asset_id"},
    )


async def tell_failed(tx: Transaction, film: Film) -> None:
    """Emit that a film has failed, delete its objects, and let go of an upload that is at fault."""
    event = VideoFailed(
        video_id=film.id,
        org_id=film.org_id,
        course_id=film.course_id,
        code=film.error_code or rules.PROCESSING_FAILED,
        retryable=film.retryable,
    )
    emit(tx, event, version=film.version)
    await changed(tx, film)
    await use_upload(tx, film)
    remove_take(tx, film.id, film.take)


def remove_take(tx: Transaction, video_id: VideoId, take: int) -> None:
    """Delete the objects of a take, once its last piece has surely stopped writing."""
    prefix = rules.take_prefix(video_id, take)
    enqueue(tx, RemoveFilmObjects(prefix=prefix), at=tx.now + _WRITERS_END_AFTER, dedupe=prefix)


def _place(asset: Asset) -> tuple[OrgId, UUID]:
    if asset.org_id is None or asset.course_id is None:
        raise UploadBelongsToNoCourse("upload it with `target: course:<id>`", pointer="/asset_id")
    return asset.org_id, asset.course_id
