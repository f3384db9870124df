"""Use cases of legal holds of films: place, show and release one."""

from datetime import timedelta

from api.media.video_processing.contract import (
    VideoHeld,
    VideoId,
    VideoNotFound,
    VideoNotHeld,
    VideoReleased,
    video_ref,
)
from api.media.video_processing.hold import store
from api.media.video_processing.hold.store import Hold
from cluster.base.principal import Principal
from cluster.data import Transaction, uses, write
from cluster.events import emit
from cluster.people.access import permitted

_PURGE_MARGIN = timedelta(minutes=1)
"""A purge deletes objects without a lock. Every transaction ends within this time, so that none places a hold during a purge."""


async def get_hold(caller: Principal, video_id: VideoId) -> Hold:
    """Return the hold of a film.

    Raises:
        VideoNotHeld
    """
    held = await permitted(caller, "video:hold", store.find_held_film, video_id, missing=VideoNotFound)
    if held.hold is None:
        raise VideoNotHeld(f"PUT /v1/videos/{video_id}/hold places a hold")
    return held.hold


async def place_hold(caller: Principal, video_id: VideoId, reason: str) -> Hold:
    """Hold a film, deleted or not. A hold that lasts gets the new reason.

    Raises:
        VideoNotFound: also when it was deleted 30 days ago: its purge may have begun.
    """
    await permitted(caller, "video:hold", store.find_held_film, video_id, missing=VideoNotFound)
    async with write(caller, result=video_id) as tx:
        is_held = await store.lock_held(tx, video_id)
        if is_held is None or not (is_held or await _can_be_restored(tx, video_id)):
            raise VideoNotFound
        held = await store.update_held(tx, video_id, reason)
        await uses.hold(tx, video_ref(video_id), held=True)
        event = VideoHeld(video_id=video_id, org_id=held.film.org_id, course_id=held.film.course_id)
        emit(tx, event, version=held.film.version)
    assert held.hold is not None
    return held.hold


async def _can_be_restored(tx: Transaction, video_id: VideoId) -> bool:
    """Tell whether the film is not deleted, or can still be restored."""
    ref = video_ref(video_id)
    thing = (await uses.states(tx, [ref])).get(ref)
    return thing is not None and (thing.purge_at is None or thing.purge_at > tx.now + _PURGE_MARGIN)


async def release_hold(caller: Principal, video_id: VideoId) -> None:
    """End the hold of a film. Releasing a film that is not held changes nothing."""
    await permitted(caller, "video:hold", store.find_held_film, video_id, missing=VideoNotFound)
    async with write(caller, result=video_id, status=204) as tx:
        released = await store.update_released(tx, video_id)
        if released is not None:
            await uses.hold(tx, video_ref(video_id), held=False)
            event = VideoReleased(video_id=video_id, org_id=released.film.org_id, course_id=released.film.course_id)
            emit(tx, event, version=released.film.version)
