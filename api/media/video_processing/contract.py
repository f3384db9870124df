"""What other services may know of video_processing: ids, values and the calls it answers."""

from dataclasses import dataclass
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.ids import OrgId

VideoId = NewType("VideoId", UUID)

VideoState = Literal["queued", "processing", "ready", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A film of a course."""

    id: VideoId
    org_id: OrgId
    course_id: UUID
    state: VideoState
    duration_s: float | None
    """None until it is ready."""


class VideoCalls(Protocol):
    """What video_processing answers to higher ranks."""

    async def find_video(self, video_id: VideoId) -> Video | None: ...
