"""HTTP of films: parse, ask logic, render."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from api.media.media.contract import AssetId, AssetNotFound, AssetNotReady, AssetRejected, QuotaExceeded
from api.media.video_processing import live, logic
from api.media.video_processing.contract import (
    FileIsNoFilm,
    PosterNotFound,
    UploadBelongsToNoCourse,
    UploadHasFilm,
    VideoId,
    VideoIsFinished,
    VideoNotFound,
    VideoNotRetryable,
    VideoState,
)
from api.media.video_processing.store import Film
from cluster.base.ids import OrgId
from cluster.base.problems import Invalid
from cluster.data.uses import ThingGone, ThingInUse
from cluster.http import Body, Caller, Page, Paging, Router, Several, UsesView, once, set_etag

router = Router("video_processing")


class NewVideo(Body):
    """A film to create from an upload. An upload has one film."""

    asset_id: Annotated[UUID, Field(examples=["01980f4e-7a0c-7c3e-9d53-0c2b7d0f4a11"])]


class RenditionView(BaseModel):
    """A rendition of a film."""

    height: int
    width: int
    bitrate_bps: int
    codecs: str


class VideoError(BaseModel):
    """The reason why the processing of a film failed."""

    code: str
    detail: str
    """For people: what is wrong and what to do."""
    retryable: bool
    """`POST .../retry` may help; else only another upload does."""


class VideoView(BaseModel):
    """A film. The states `queued` and `processing` end by themselves."""

    id: VideoId
    organization_id: OrgId
    course_id: UUID
    asset_id: AssetId
    state: VideoState
    progress: Annotated[float, Field(ge=0, le=1)]
    duration_s: float | None
    renditions: list[RenditionView]
    error: VideoError | None
    poster_url: str | None
    created_at: datetime
    updated_at: datetime


@router.post(
    "/v1/videos",
    status_code=201,
    raises=(AssetNotFound, AssetNotReady, AssetRejected, FileIsNoFilm, UploadBelongsToNoCourse, ThingGone),
    responses={200: {"description": "The upload has a film already", "model": VideoView}},
)
async def create_video(caller: Caller, new: NewVideo, response: Response) -> VideoView:
    """Create a film from a ready upload. If the upload has a film, answer 200 with it."""

    async def again(video_id: UUID) -> tuple[Film, bool]:
        return await logic.get_film(caller, VideoId(video_id)), True

    film, is_new = await once(response, lambda: logic.create_film(caller, AssetId(new.asset_id)), again=again)
    if not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/v1/videos/{film.id}"
    return _render(film, response)


@router.get("/v1/videos")
async def list_videos(
    caller: Caller,
    paging: Paging,
    organization_id: UUID | None = None,
    course_id: UUID | None = None,
    id: Several[VideoId] = None,
    state: Several[VideoState] = None,
) -> Page[VideoView]:
    """List films, newest first: of an organization, of a course, or all that the caller may see."""
    if organization_id is not None and course_id is not None:
        raise Invalid("a course has one organization: ask for the films of either", pointer="/query/organization_id")
    after = paging.after(organization=organization_id, course=course_id, id=id, state=state)
    films = await logic.list_films(
        caller,
        org_id=None if organization_id is None else OrgId(organization_id),
        course_id=course_id,
        ids=id,
        states=state,
        before=VideoId(after[0]) if after else None,
        limit=paging.limit,
    )
    return paging.page(films, render=view)


@router.get("/v1/videos/{video_id}", raises=(VideoNotFound,))
async def get_video(caller: Caller, video_id: UUID, response: Response) -> VideoView:
    """Return a film and the state of its processing."""
    return _render(await logic.get_film(caller, VideoId(video_id)), response)


@router.get(
    "/v1/videos/{video_id}/events",
    raises=(VideoNotFound,),
    response_class=StreamingResponse,
    responses={204: {"description": "The client has seen the last event"}},
)
async def watch_video(
    caller: Caller,
    video_id: UUID,
    last_event_id: Annotated[str | None, Header(description="The id of the last event received.")] = None,
) -> Response:
    """Stream the changes of a film as server-sent events named `video`. The stream ends with the last one.

    Answer 204 if the client has received the last one.
    """
    seen = live.seen_version(last_event_id)
    film = await logic.get_film(caller, VideoId(video_id))
    if live.is_last(film, seen):
        # Tells an EventSource to stop. Source: HTML, section 9.2.
        return Response(status_code=204)
    events = live.events(caller, film, seen, render=_document)
    return StreamingResponse(events, media_type="text/event-stream", headers=live.HEADERS)


@router.post("/v1/videos/{video_id}/cancel", raises=(VideoNotFound, VideoIsFinished))
async def cancel_video(caller: Caller, video_id: UUID, response: Response) -> VideoView:
    """Cancel the processing of a film. The upload stays, and `retry` starts again."""
    film = await once(
        response,
        lambda: logic.cancel(caller, VideoId(video_id)),
        again=lambda id: logic.get_film(caller, VideoId(id)),
    )
    return _render(film, response)


@router.post("/v1/videos/{video_id}/retry", raises=(VideoNotFound, VideoNotRetryable))
async def retry_video(caller: Caller, video_id: UUID, response: Response) -> VideoView:
    """Process a film again that was cancelled or failed with a retryable error."""
    film = await once(
        response,
        lambda: logic.retry(caller, VideoId(video_id)),
        again=lambda id: logic.get_film(caller, VideoId(id)),
    )
    return _render(film, response)


@router.get("/v1/videos/{video_id}/uses", raises=(VideoNotFound,))
async def list_uses(caller: Caller, video_id: UUID) -> UsesView:
    """Return what uses a film: blocks of working outlines, and published outlines. What the caller may not see is counted."""
    return UsesView.of(await logic.list_uses(caller, VideoId(video_id)))


@router.delete("/v1/videos/{video_id}", status_code=204, raises=(VideoNotFound, ThingInUse))
async def delete_video(caller: Caller, video_id: UUID, response: Response) -> None:
    """Delete a film that nothing uses, and its upload. Processing stops; both can be restored for 30 days."""

    async def again(_: UUID) -> None:
        return None

    await once(response, lambda: logic.delete_film(caller, VideoId(video_id)), again=again)


@router.post("/v1/videos/{video_id}/restore", raises=(VideoNotFound, QuotaExceeded, UploadHasFilm))
async def restore_video(caller: Caller, video_id: UUID, response: Response) -> VideoView:
    """Bring a deleted film and its upload back, if there is room. One that was processed starts over by `retry`."""
    film = await once(
        response,
        lambda: logic.restore_film(caller, VideoId(video_id)),
        again=lambda id: logic.get_film(caller, VideoId(id)),
    )
    return _render(film, response)


@router.get(
    "/v1/videos/{video_id}/poster",
    raises=(VideoNotFound, PosterNotFound),
    response_class=StreamingResponse,
    responses={304: {"description": "The client has it"}},
)
async def get_poster(caller: Caller, video_id: UUID, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """Return the poster of a film, a JPEG."""
    film, content = await logic.open_poster(caller, VideoId(video_id))
    headers = {"ETag": f'"{film.take}"', "Cache-Control": "private, no-cache"}
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    # The store must answer before we do: afterwards there is no way to say 503.
    first = await anext(content, b"")

    async def rest() -> AsyncGenerator[bytes, None]:
        async with aclosing(content):
            yield first
            async for chunk in content:
                yield chunk

    return StreamingResponse(rest(), headers=headers, media_type="image/jpeg")


def view(film: Film) -> VideoView:
    error = None
    if film.error_code is not None:
        error = VideoError(code=film.error_code, detail=film.error_detail or "", retryable=film.retryable)
    return VideoView(
        id=film.id,
        organization_id=film.org_id,
        course_id=film.course_id,
        asset_id=film.asset_id,
        state=film.state,
        progress=film.progress,
        duration_s=film.duration_s,
        renditions=[RenditionView(**rendition) for rendition in film.renditions],
        error=error,
        poster_url=f"/v1/videos/{film.id}/poster" if film.has_poster else None,
        created_at=film.created_at,
        updated_at=film.updated_at,
    )


def _document(film: Film) -> Any:
    return view(film).model_dump(mode="json")


def _render(film: Film, response: Response) -> VideoView:
    set_etag(response, film.version)
    return view(film)
