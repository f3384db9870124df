"""HTTP of playbacks. `delivery` answers the films themselves."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Self, cast
from uuid import UUID

from fastapi import Response
from pydantic import ConfigDict, model_validator

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
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("video_streaming")
router.mount_asgi(PREFIX, deliver)

_NO_STORE = {"Cache-Control": "no-store"}


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


class PlaybackView(View):
    """A playback: permission to watch a film for some hours."""

    id: PlaybackId
    video_id: UUID
    block_id: UUID | None
    run_id: UUID | None
    duration_s: float
    playback_url: str
    """The master playlist, relative to this API's origin. The address is the permission to watch: treat it as a secret."""
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, resource: object) -> Self:
        """Make the view of a playback, with its token in the address."""
        playback = cast(Playback, resource)
        url = f"{PREFIX}/{tokens.issue(playback)}/{rules.MASTER}"
        return cls.model_validate(asdict(playback) | {"playback_url": url})


PLAYBACK = Answer(get=logic.get_playback, view=PlaybackView, path="/v1/playbacks/{id}")


@router.post(
    "/v1/playbacks",
    status_code=201,
    raises=(OutlineNotFound, BlockNotFound, BlockNotReleased, FilmNotFound, BlockHasNoFilm, FilmNotReady),
)
async def start_playback(caller: Caller, new: NewPlayback, response: Response) -> PlaybackView:
    """Start a playback. Any HLS player (RFC 8216) can play its URL, without a header."""

    now = datetime.now(UTC)
    if new.video_id is not None:
        work = logic.preview(caller, new.video_id, now)
    else:
        assert new.run_id is not None
        assert new.block_id is not None
        work = logic.play_block(caller, new.run_id, new.block_id, now)
    response.headers.update(_NO_STORE)
    return await PLAYBACK.created(response, caller, work)


@router.get("/v1/playbacks")
async def list_playbacks(
    caller: Caller, paging: Paging, response: Response, id: Several[PlaybackId] = None
) -> Page[PlaybackView]:
    """List the caller's playbacks, newest first. They are kept for 30 days after they expire."""
    after = paging.after(id=id)
    playbacks = await logic.list_playbacks(
        caller, ids=id, before=PlaybackId(after[0]) if after else None, limit=paging.rows
    )
    response.headers.update(_NO_STORE)
    return paging.page(playbacks, render=PlaybackView.of)


@router.get("/v1/playbacks/{playback_id}", raises=(PlaybackNotFound,))
async def get_playback(caller: Caller, playback_id: PlaybackId, response: Response) -> PlaybackView:
    """Return one of the caller's playbacks."""
    response.headers.update(_NO_STORE)
    return PLAYBACK.show(response, await logic.get_playback(caller, playback_id))
