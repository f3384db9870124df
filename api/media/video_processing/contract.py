"""What other services may know of video_processing: ids, values, events, problems and the calls it answers."""

from dataclasses import dataclass
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.problems import Conflict, Invalid, NotFound
from cluster.data.uses import Ref
from cluster.events import event
from cluster.jobs import job

VideoId = NewType("VideoId", UUID)

VideoState = Literal["queued", "processing", "ready", "failed", "cancelled"]


def video_ref(video_id: VideoId) -> Ref:
    """Name a film among the things that can be used."""
    return Ref("video", video_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A film of a course."""

    id: VideoId
    org_id: OrgId
    course_id: UUID
    state: VideoState
    duration_s: float | None
    """None until it is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One size of a ready film."""

    height: int
    width: int
    bitrate_bps: int
    """The highest that a player must be able to load, sound included."""
    codecs: str
    """Source: RFC 6381."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The HLS stream of a ready film (RFC 8216). It never changes for the same `take`."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID
    take: int
    duration_s: float
    bucket: str
    key_prefix: str
    """The object of the file `<path>` is `<key_prefix><path>`: `hls/720p/seg-00000.m4s`."""
    playlists: dict[str, str]
    """Texts by path: `master.m3u8`, and `<rendition>/index.m3u8`, which names its segments relative to itself."""
    renditions: list[Rendition]
    poster_key: str
    """The object with the poster, a JPEG."""


class VideoCalls(Protocol):
    """The calls of video_processing, for higher ranks."""

    async def find_video(self, video_id: VideoId) -> Video | None: ...

    async def find_stream(self, video_id: VideoId) -> Stream | None:
        """Return the stream of the film; None unless it is ready."""
        ...


@event("video.created", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoCreated:
    video_id: VideoId
    org_id: OrgId
    course_id: UUID
    asset_id: UUID


@event("video.processed", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoProcessed:
    """It is ready."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID
    take: int
    duration_s: float
    heights: tuple[int, ...]
    size_bytes: int


@event("video.failed", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFailed:
    video_id: VideoId
    org_id: OrgId
    course_id: UUID
    code: str
    retryable: bool


@event("video.cancelled", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoCancelled:
    video_id: VideoId
    org_id: OrgId
    course_id: UUID


@event("video.restarted", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRestarted:
    """It failed or was cancelled before, and is queued again."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID
    take: int


@event("video.deleted", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDeleted:
    """It can be restored for 30 days."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID


@event("video.restored", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRestored:
    """It was deleted and is back."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID


@event("video.held", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoHeld:
    """It is under a legal hold, for a first or another reason: it is not purged."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID


@event("video.released", subject="video_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoReleased:
    """Its legal hold has ended."""

    video_id: VideoId
    org_id: OrgId
    course_id: UUID


@job("video_processing.transcode", attempts=10, timeout_s=120, concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class Transcode:
    """Takes a film from wherever it stands to ready, or to failed."""

    video_id: VideoId

    @staticmethod
    def dedupe(video_id: VideoId) -> str:
        return f"transcode:{video_id}"


@job("video_processing.remove_objects", attempts=20, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFilmObjects:
    """Deletes objects of a film that nobody needs any more."""

    prefix: str


@job("video_processing.purge_video", attempts=20, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeVideo:
    """Deletes a removed film for good: its objects, then its rows."""

    id: UUID


class VideoNotFound(NotFound):
    title = "No such film"


class VideoNotHeld(NotFound):
    title = "The film is not held"


class PosterNotFound(NotFound):
    title = "The film has no poster yet"


class FileIsNoFilm(Invalid):
    title = "This file is not a film"


class UploadBelongsToNoCourse(Invalid):
    title = "The upload belongs to no course"


class VideoIsFinished(Conflict):
    title = "The film is already processed"


class VideoNotRetryable(Conflict):
    title = "The film cannot be retried: another attempt would fail the same way"


class UploadHasFilm(Conflict):
    title = "The upload has another film"
