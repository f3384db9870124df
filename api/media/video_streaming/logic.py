"""Use cases of video_streaming: start, show and purge playbacks."""

from datetime import datetime, timedelta
from uuid import UUID

from api.learning.content.contract import BlockId, BlockNotFound, ContentCalls
from api.learning.enrollment.contract import EnrollmentCalls
from api.media.video_processing.contract import Video, VideoCalls, VideoId
from api.media.video_streaming import rules, store
from api.media.video_streaming.contract import (
    BlockHasNoFilm,
    FilmNotFound,
    FilmNotReady,
    Playback,
    PlaybackId,
    PlaybackNotFound,
    PlaybackStarted,
)
from api.media.video_streaming.offers import ADDRESS_HOURS
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import Guarded, permit, permitted, reach_of
from cluster.people.calls import client
from cluster.people.org_settings import setting


async def play_block(caller: Principal, run_id: UUID, block_id: BlockId, now: datetime) -> Playback:
    """Let the caller watch the film of a block, if they may open the block at this moment.

    Raises:
        NotFound, Forbidden: see `ContentCalls.may_open`.
        BlockHasNoFilm, FilmNotReady
    """
    user_id = caller.person()
    found = await client(ContentCalls).may_open(user_id, run_id, block_id, fresh=True)
    # That was about the person; this is about the token of this request.
    own = Guarded(found, org_id=found.org_id, course_id=found.course_id, run_id=run_id, owner_id=user_id)
    block = await permit(caller, "playback:start", own, missing=BlockNotFound)
    if block.type != "video":
        raise BlockHasNoFilm(f"it is of the type {block.type}", pointer="/block_id")
    video_id = VideoId(UUID(str(block.body["video_id"])))
    video = await client(VideoCalls).find_video(video_id)
    if video is None:
        raise FilmNotReady("the film is gone; its teacher can choose another")
    enrollment = await client(EnrollmentCalls).find_in_run(user_id, run_id)
    duration_s = _duration_s(video)
    return await _start(
        caller,
        Playback(
            id=PlaybackId(new_id()),
            org_id=block.org_id,
            course_id=block.course_id,
            run_id=run_id,
            user_id=user_id,
            enrollment_id=enrollment.id if enrollment is not None and enrollment.state != "cancelled" else None,
            block_id=block_id,
            block_version=block.version,
            min_ratio=block.min_ratio,
            video_id=video_id,
            duration_s=duration_s,
            created_at=now,
            expires_at=await _expiry(now, duration_s, block.org_id),
        ),
    )


async def preview(caller: Principal, video_id: VideoId, now: datetime) -> Playback:
    """Let an editor of the film watch it outside its course; no progress is kept.

    Raises:
        FilmNotFound, FilmNotReady, Forbidden
    """
    found = await client(VideoCalls).find_video(video_id)
    guarded = None if found is None else Guarded(found, org_id=found.org_id, course_id=found.course_id)
    video = await permit(caller, "playback:preview", guarded, missing=FilmNotFound, fresh=True)
    duration_s = _duration_s(video)
    return await _start(
        caller,
        Playback(
            id=PlaybackId(new_id()),
            org_id=video.org_id,
            course_id=video.course_id,
            run_id=None,
            user_id=caller.person(),
            enrollment_id=None,
            block_id=None,
            block_version=None,
            min_ratio=None,
            video_id=video.id,
            duration_s=duration_s,
            created_at=now,
            expires_at=await _expiry(now, duration_s, video.org_id),
        ),
    )


async def get_playback(caller: Principal, playback_id: PlaybackId) -> Playback:
    return await permitted(caller, "playback:read", store.find_playback, playback_id, missing=PlaybackNotFound)


async def list_playbacks(
    caller: Principal, *, ids: list[PlaybackId] | None, before: PlaybackId | None, limit: int
) -> list[Playback]:
    """List the caller's playbacks, newest first."""
    reach = await reach_of(caller, "playback:read")
    async with read() as db:
        return await store.list_playbacks(db, reach, ids=ids, before=before, limit=limit)


async def find_playback(playback_id: PlaybackId) -> Playback | None:
    async with read() as db:
        guarded = await store.find_playback(db, playback_id)
    return None if guarded is None else await permit(PLATFORM, "playback:read", guarded)


async def purge_expired(caller: Principal, now: datetime, limit: int) -> int:
    """Delete up to `limit` playbacks whose progress cannot be told any more, and return how many."""
    async with write(caller) as tx:
        return await store.delete_expired(tx, now - rules.KEPT_AFTER_EXPIRY, limit)


async def _expiry(now: datetime, duration_s: float, org_id: OrgId) -> datetime:
    return rules.expiry(now, duration_s, timedelta(hours=await setting(ADDRESS_HOURS, org_id)))


def _duration_s(video: Video) -> float:
    match video.state:
        case "ready" if video.duration_s:
            return video.duration_s
        case "failed":
            raise FilmNotReady("it could not be processed; its teacher can upload another")
        case _:
            raise FilmNotReady("it is still being processed; try again when GET /v1/videos/{id} says ready")


async def _start(caller: Principal, playback: Playback) -> Playback:
    async with write(caller, result=playback.id, status=201) as tx:
        await store.insert_playback(tx, playback)
        emit(
            tx,
            PlaybackStarted(
                playback_id=playback.id,
                org_id=playback.org_id,
                course_id=playback.course_id,
                run_id=playback.run_id,
                user_id=playback.user_id,
                enrollment_id=playback.enrollment_id,
                block_id=playback.block_id,
                video_id=playback.video_id,
            ),
            version=1,
        )
    return playback
