"""HTTP of playbacks. The films themselves are answered by `delivery`."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, model_validator

from api.learning.content.contract import BlockId, BlockNotFound, BlockNotReleased, OutlineNotFound
from api.media.video_processing.contract import VideoId
from api.media.video_streaming import logic, rules, tokens
from api.media.video_streaming.contract import (
    BlockHasNoFilm,
    FilmNotFound,
    FilmNotReady,
    Playback,
    PlaybackId,
    PlaybackNotFound,
)
from api.media.video_streaming.delivery import PREFIX, deliver
from cluster.http import Body, Caller, Page, Paging, Router, Several, once

router = Router("video_streaming")
router.mount_asgi(PREFIX, deliver)


class NewPlayback(Body):
    """A playback to start: of a block of a run or, for editors, of a film."""

    block_id: BlockId | None = None
    run_id: UUID | None = None
    video_id: VideoId | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "block_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                    "run_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e70",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _one(self) -> "NewPlayback":
        if (self.block_id is None) != (self.run_id is None) or (self.block_id is None) == (self.video_id is None):
            raise ValueError("send block_id and run_id, or video_id alone")
        return self


class PlaybackView(BaseModel):
    """A playback: permission to watch a film for some hours."""

    id: PlaybackId
    video_id: UUID
    block_id: UUID | None
    run_id: UUID | None
    duration_s: float
    playback_url: str
    """The master playlist, relative to this API's origin. Whoever has the address can watch: treat it as a secret."""
    created_at: datetime
    expires_at: datetime


@router.post(
    "/v1/playbacks",
    status_code=201,
    raises=(OutlineNotFound, BlockNotFound, BlockNotReleased, FilmNotFound, BlockHasNoFilm, FilmNotReady),
)
async def start_playback(caller: Caller, new: NewPlayback, response: Response) -> PlaybackView:
    """Start a playback. Any HLS player (RFC 8216) can play its URL, without a header."""

    async def work() -> Playback:
        now = datetime.now(UTC)
        if new.video_id is not None:
            return await logic.preview(caller, new.video_id, now)
        assert new.run_id is not None
        assert new.block_id is not None
        return await logic.play_block(caller, new.run_id, new.block_id, now)

    playback = await once(response, work, again=lambda id: logic.get_playback(caller, PlaybackId(id)))
    response.headers["Location"] = f"/v1/playbacks/{playback.id}"
    return _view(playback, response)


@router.get("/v1/playbacks")
async def list_playbacks(
    caller: Caller, paging: Paging, response: Response, id: Several[UUID] = None
) -> Page[PlaybackView]:
    """List the caller's playbacks, newest first. They are kept for 30 days after they expire."""
    after = paging.after(id=id)
    playbacks = await logic.list_playbacks(
        caller,
        ids=None if id is None else [PlaybackId(each) for each in id],
        before=PlaybackId(after[0]) if after else None,
        limit=paging.limit,
    )
    return paging.page(playbacks, render=lambda playback: _view(playback, response))


@router.get("/v1/playbacks/{playback_id}", raises=(PlaybackNotFound,))
async def get_playback(caller: Caller, playback_id: UUID, response: Response) -> PlaybackView:
    """Return one of the caller's playbacks."""
    return _view(await logic.get_playback(caller, PlaybackId(playback_id)), response)


def _view(playback: Playback, response: Response) -> PlaybackView:
    response.headers["Cache-Control"] = "no-store"
    return PlaybackView(
        id=playback.id,
        video_id=playback.video_id,
        block_id=playback.block_id,
        run_id=playback.run_id,
        duration_s=playback.duration_s,
        playback_url=f"{PREFIX}/{tokens.issue(playback)}/{rules.MASTER}",
        created_at=playback.created_at,
        expires_at=playback.expires_at,
    )
