"""How a film is answered, by its routes and to those who follow it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.media.media.contract import AssetId
from api.media.video_processing import logic
from api.media.video_processing.contract import VideoId, VideoState
from cluster.http import Answer, OrganizationId, View


class RenditionView(View):
    """A rendition of a film."""

    height: int
    width: int
    bitrate_bps: int
    codecs: str


class VideoError(View):
    """The reason why the processing of a film failed."""

    code: str
    detail: str
    """For people: the fault and the remedy."""
    retryable: bool
    """`POST .../retry` may help; else only another upload does."""


class VideoView(View):
    """A film. The states `queued` and `processing` end by themselves."""

    id: VideoId
    organization_id: OrganizationId
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


VIDEO = Answer(get=logic.get_film, view=VideoView, etag="version", path="/v1/videos/{id}")
