"""Use cases of films: make one of an upload, look at it, stop its processing, start it again."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from api.media.media.contract import Asset, AssetId, AssetNotFound, MediaCalls
from api.media.video_processing import rules, store
from api.media.video_processing.contract import (
    PosterNotFound,
    ReleaseUpload,
    RemoveFilmObjects,
    Transcode,
    UploadBelongsToNoCourse,
    VideoCancelled,
    VideoCreated,
    VideoFailed,
    VideoId,
    VideoIsFinished,
    VideoNotFound,
    VideoNotRetryable,
    VideoRestarted,
    VideoState,
)
from api.media.video_processing.store import Film
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal, platform
from cluster.data import Transaction, read, write
from cluster.data.objects import Bucket, bucket
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import permit, reach_of
from cluster.people.calls import client
from cluster.signals.broadcast import announce

CLAIMANT = "video_processing"
"""An upload has one film, so the service itself claims it: two requests at once leave no claim behind."""
TOPIC = "video"
BUCKET = "videos"
_STRAGGLERS = timedelta(seconds=30)
"""How long pieces of a film that was stopped may still be writing."""
_FORSAKEN_AFTER = timedelta(minutes=15)
_RESCUES = 2
_BATCH = 1000


class _FilmExists(Exception):
    """Rolls the transaction back: another request made a film of the same upload."""


async def create_film(caller: Principal, asset_id: AssetId) -> tuple[Film, bool]:
    """Make a film of a ready upload and queue it, or return the one there is; also whether it is new.

    Raises:
        AssetNotFound, AssetNotReady, AssetRejected, FileIsNoFilm, UploadBelongsToNoCourse
    """
    asset = await client(MediaCalls).find_asset(asset_id)
    asset = await permit(caller, "video:create", None if asset is None else asset.guarded(), missing=AssetNotFound)
    org_id, course_id = _place(asset)
    async with read() as db:
        existing = await store.find_film_of_asset(db, asset_id)
    if existing is not None:
        return await permit(caller, "video:create", existing, missing=AssetNotFound), False
    if asset.state == "ready":
        rules.check_type(asset.content_type)
    await client(MediaCalls).claim_asset(asset_id, CLAIMANT)
    video_id = VideoId(new_id())
    try:
        async with write(caller, result=video_id, status=201) as tx:
            film = await store.insert_film(
                tx, video_id, org_id=org_id, course_id=course_id, asset_id=asset_id, created_by=caller.id
            )
            if film is None:
                raise _FilmExists
            created = VideoCreated(video_id=video_id, org_id=org_id, course_id=course_id, asset_id=asset_id)
            emit(tx, created, version=film.version)
            enqueue(tx, Transcode(video_id=video_id), dedupe=Transcode.dedupe(video_id))
    except _FilmExists:
        async with read() as db:
            existing = await store.find_film_of_asset(db, asset_id)
        return await permit(caller, "video:create", existing, missing=AssetNotFound), False
    return film, True


async def get_film(caller: Principal, video_id: VideoId) -> Film:
    return await _permitted(caller, "video:read", video_id)


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
    """List the films that the caller may see, newest first; one more than `limit` when there is a next page."""
    reach = await reach_of(caller, "video:read")
    async with read() as db:
        return await store.list_films(
            db, reach, org_id=org_id, course_id=course_id, ids=ids, states=states, before=before, limit=limit + 1
        )


async def cancel(caller: Principal, video_id: VideoId) -> Film:
    """Stop processing; the upload stays. Cancelling twice is the same as once.

    Raises:
        VideoIsFinished: it is ready or has failed.
    """
    film = await _permitted(caller, "video:create", video_id)
    if film.state == "cancelled":
        return film
    async with write(caller, result=video_id) as tx:
        cancelled = await store.update_cancelled(tx, video_id)
        if cancelled is not None:
            # A job that waits finds nothing to do.
            remove_take(tx, video_id, cancelled.take)
            told = VideoCancelled(video_id=video_id, org_id=film.org_id, course_id=film.course_id)
            emit(tx, told, version=cancelled.version)
            announce_change(tx, cancelled)
    cancelled = cancelled or await _permitted(caller, "video:create", video_id)
    if cancelled.state != "cancelled":
        raise VideoIsFinished(f"it is {cancelled.state}")
    return cancelled


async def retry(caller: Principal, video_id: VideoId) -> Film:
    """Process a film again that was cancelled, or failed for a reason that may pass.

    Raises:
        VideoNotRetryable: the upload itself is at fault, or nothing failed.
    """
    film = await _permitted(caller, "video:create", video_id)
    async with write(caller, result=video_id) as tx:
        restarted = await store.update_restarted(tx, video_id)
        if restarted is None:
            raise VideoNotRetryable(
                "upload a mended film and make a new one of it" if film.state == "failed" else f"it is {film.state}"
            )
        enqueue(tx, Transcode(video_id=video_id), dedupe=Transcode.dedupe(video_id))
        told = VideoRestarted(video_id=video_id, org_id=film.org_id, course_id=film.course_id, take=restarted.take)
        emit(tx, told, version=restarted.version)
        announce_change(tx, restarted)
    return restarted


async def open_poster(caller: Principal, video_id: VideoId) -> tuple[Film, AsyncGenerator[bytes, None]]:
    """Return a film with a poster, and the poster's bytes as a stream.

    Raises:
        VideoNotFound, PosterNotFound
    """
    film = await _permitted(caller, "video:read", video_id)
    if not film.has_poster:
        raise PosterNotFound(f"the film is {film.state}")
    return film, bucket(BUCKET).get(rules.poster_key(film.id, film.take))


async def rescue(now: datetime) -> int:
    """Queue films again whose processing was given up by the job queue, and after two rescues fail them; return how many.

    A job that takes its worker down five times is dead without having said anything about its film.
    """
    before = now - _FORSAKEN_AFTER
    async with read() as db:
        forsaken = await store.list_forsaken(db, before, 100)
    for video_id in forsaken:
        async with write(platform("video_processing")) as tx:
            film = await store.update_forsaken(
                tx,
                video_id,
                before,
                rescues=_RESCUES,
                code=rules.PROCESSING_FAILED,
                detail=rules.PROCESSING_FAILED_DETAIL,
            )
            if film is None:
                continue
            if film.state == "failed":
                tell_failed(tx, film)
            else:
                enqueue(tx, Transcode(video_id=video_id), dedupe=Transcode.dedupe(video_id))
                announce_change(tx, film)
    return len(forsaken)


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


def announce_change(tx: Transaction, film: Film) -> None:
    """Wake who watches the film, in every process."""
    announce(tx, TOPIC, {"video_id": str(film.id), "version": film.version})


def tell_failed(tx: Transaction, film: Film) -> None:
    """Tell that a film has failed, delete what there was of it, and let go of an upload that is at fault."""
    told = VideoFailed(
        video_id=film.id,
        org_id=film.org_id,
        course_id=film.course_id,
        code=film.error_code or rules.PROCESSING_FAILED,
        retryable=film.retryable,
    )
    emit(tx, told, version=film.version)
    announce_change(tx, film)
    remove_take(tx, film.id, film.take)
    if not film.retryable:
        enqueue(tx, ReleaseUpload(asset_id=film.asset_id))


def remove_take(tx: Transaction, video_id: VideoId, take: int) -> None:
    """Delete what a take has made, once its last piece has surely stopped writing."""
    prefix = rules.take_prefix(video_id, take)
    enqueue(tx, RemoveFilmObjects(prefix=prefix), at=tx.now + _STRAGGLERS, dedupe=prefix)


async def _permitted(caller: Principal, permission: str, video_id: VideoId) -> Film:
    async with read() as db:
        guarded = await store.find_film(db, video_id)
    return await permit(caller, permission, guarded, missing=VideoNotFound)


def _place(asset: Asset) -> tuple[OrgId, UUID]:
    if asset.org_id is None or asset.course_id is None:
        raise UploadBelongsToNoCourse("upload it with `target: course:<id>`", pointer="/asset_id")
    return asset.org_id, asset.course_id
