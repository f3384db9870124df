"""HTTP of films: parse, ask logic, render."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import Header, Response
from pydantic import Field
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
from api.media.video_processing.hold.routes import router as holds
from api.media.video_processing.store import Film
from api.media.video_processing.view import VIDEO, VideoView
from cluster.base.ids import OrgId
from cluster.base.problems import Invalid
from cluster.data.uses import ThingGone, ThingInUse
from cluster.http import Body, Caller, Page, Paging, Router, Several, UsesView, once

router = Router("video_processing")
router.include_router(holds)


class NewVideo(Body):
    """A film to create from an upload. An upload has one film."""

    asset_id: Annotated[AssetId, Field(examples=["01980f4e-7a0c-7c3e-9d53-0c2b7d0f4a11"])]


@router.post(
    "/v1/videos",
    status_code=201,
    raises=(AssetNotFound, AssetNotReady, AssetRejected, FileIsNoFilm, UploadBelongsToNoCourse, ThingGone),
    responses={200: {"description": "The upload has a film already", "model": VideoView}},
)
async def create_video(caller: Caller, new: NewVideo, response: Response) -> VideoView:
    """Create a film from a ready upload. If the upload has a film, answer 200 with it."""

    async def again(video_id: VideoId) -> tuple[Film, bool]:
        return await logic.get_film(caller, video_id), True

    film, is_new = await once(response, logic.create_film(caller, new.asset_id), again)
    if not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/v1/videos/{film.id}"
    return VIDEO.show(response, film)


@router.get("/v1/videos")
async def list_videos(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
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
        org_id=organization_id,
        course_id=course_id,
        ids=id,
        states=state,
        before=VideoId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(films, render=VideoView.of)


@router.get("/v1/videos/{video_id}", raises=(VideoNotFound,))
async def get_video(caller: Caller, video_id: VideoId, response: Response) -> VideoView:
    """Return a film and the state of its processing."""
    return VIDEO.show(response, await logic.get_film(caller, video_id))


@router.get(
    "/v1/videos/{video_id}/events",
    raises=(VideoNotFound,),
    response_class=StreamingResponse,
    responses={204: {"description": "The client has seen the last event"}},
)
async def watch_video(
    caller: Caller,
    video_id: VideoId,
    last_event_id: Annotated[str | None, Header(description="The id of the last event received.")] = None,
) -> Response:
    """Stream the changes of a film as server-sent events named `video`. The stream ends with the last one.

    Answer 204 if the client has received the last one.
    """
    seen = live.seen_version(last_event_id)
    film = await logic.get_film(caller, video_id)
    if live.is_last(film, seen):
        # Tells an EventSource to stop. Source: HTML, section 9.2.
        return Response(status_code=204)
    return await live.follow(caller, film, seen)


@router.post("/v1/videos/{video_id}/cancel", raises=(VideoNotFound, VideoIsFinished))
async def cancel_video(caller: Caller, video_id: VideoId, response: Response) -> VideoView:
    """Cancel the processing of a film. The upload stays, and `retry` starts again."""
    return await VIDEO.once(response, caller, logic.cancel(caller, video_id))


@router.post("/v1/videos/{video_id}/retry", raises=(VideoNotFound, VideoNotRetryable))
async def retry_video(caller: Caller, video_id: VideoId, response: Response) -> VideoView:
    """Process a film again that was cancelled or failed with a retryable error."""
    return await VIDEO.once(response, caller, logic.retry(caller, video_id))


@router.get("/v1/videos/{video_id}/uses", raises=(VideoNotFound,))
async def list_uses(caller: Caller, video_id: VideoId) -> UsesView:
    """Return the users of a film: blocks and published outlines. Those that the caller may not see are only counted."""
    return UsesView.of(await logic.list_uses(caller, video_id))


@router.delete("/v1/videos/{video_id}", status_code=204, raises=(VideoNotFound, ThingInUse))
async def delete_video(caller: Caller, video_id: VideoId, response: Response) -> None:
    """Delete a film that nothing uses, and its upload. Processing stops; both can be restored for 30 days."""
    await once(response, logic.delete_film(caller, video_id), None)


@router.post("/v1/videos/{video_id}/restore", raises=(VideoNotFound, QuotaExceeded, UploadHasFilm))
async def restore_video(caller: Caller, video_id: VideoId, response: Response) -> VideoView:
    """Bring a deleted film and its upload back, if there is room. One that was processed starts over by `retry`."""
    return await VIDEO.once(response, caller, logic.restore_film(caller, video_id))


@router.get(
    "/v1/videos/{video_id}/poster",
    raises=(VideoNotFound, PosterNotFound),
    response_class=StreamingResponse,
    responses={304: {"description": "The client has it"}},
)
async def get_poster(
    caller: Caller, video_id: VideoId, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Return the poster of a film, a JPEG."""
    film, content = await logic.open_poster(caller, video_id)
    headers = {"ETag": f'"{film.take}"', "Cache-Control": "private, no-cache"}
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    # The store must answer before we do: once the status is sent, 503 cannot be.
    first = await anext(content, b"")

    async def rest() -> AsyncGenerator[bytes, None]:
        async with aclosing(content):
            yield first
            async for chunk in content:
                yield chunk

    return StreamingResponse(rest(), headers=headers, media_type="image/jpeg")
