"""Pure decisions about films: accepted types, keys of objects, progress."""

from collections.abc import Sequence
from uuid import UUID

from api.media.video_processing.contract import FileIsNoFilm, VideoId, VideoState
from api.media.video_processing.film.faults import MESSAGES
from cluster.data.uses import State as ThingState

FINAL: frozenset[VideoState] = frozenset(("ready", "failed", "cancelled"))
"""In these states nothing happens to a film unless somebody asks for it."""

TOPIC = "video"
PROCESSING_FAILED = "processing-failed"
PROCESSING_FAILED_DETAIL = (
    "We could not process the film because of a fault on our side. Your upload is kept: please try again."
)
UPLOAD_GONE = "upload-gone"
UPLOAD_GONE_DETAIL = "The uploaded file is gone. Please upload the film again."

THING_STATES: dict[VideoState, ThingState] = {
    "queued": "pending",
    "processing": "pending",
    "ready": "ready",
    "failed": "failed",
    "cancelled": "failed",
}
"""The state that the users of a film see."""
CANCELLED = "cancelled"

_MAY_HOLD_PICTURES = frozenset(("audio/ogg", "audio/mp4", "application/ogg", "application/mxf"))
"""Types told by the container's first bytes, which films share with sound."""

_PROGRESS_WHEN_PLANNED = 0.02
_PROGRESS_WHEN_ENCODED = 0.98


def check_type(content_type: str | None) -> None:
    """Refuse a file that is no film by its type; its content is read later, in a process of its own.

    Raises:
        FileIsNoFilm
    """
    kind = content_type or ""
    if kind.startswith("video/") or kind in _MAY_HOLD_PICTURES:
        return
    code = "no-video" if kind.startswith("audio/") else "not-a-film"
    raise FileIsNoFilm(MESSAGES[code], pointer="/asset_id", reason=code)


def take_prefix(video_id: VideoId, take: int) -> str:
    """Return the prefix of all objects of a take of a film."""
    return f"{video_id}/{take}/"


def take_of(key: str) -> tuple[VideoId, int] | None:
    """Return the take that an object belongs to; None when its key is not one of a film."""
    video_id, _, rest = key.partition("/")
    take, slash, _ = rest.partition("/")
    try:
        return (VideoId(UUID(video_id)), int(take)) if slash else None
    except ValueError:
        return None


def hls_prefix(video_id: VideoId, take: int) -> str:
    return f"{take_prefix(video_id, take)}hls/"


def poster_key(video_id: VideoId, take: int) -> str:
    return f"{take_prefix(video_id, take)}poster.jpg"


def copied_source_key(video_id: VideoId, take: int) -> str:
    """Return the key of an upload that was copied into another container."""
    return f"{take_prefix(video_id, take)}source.mkv"


def progress(done: float, weights: Sequence[float]) -> float:
    """Return how far a film is, 0..1: `done` of the sum of `weights` is encoded."""
    total = sum(weights)
    share = min(1.0, done / total) if total > 0 else 1.0
    return round(_PROGRESS_WHEN_PLANNED + share * (_PROGRESS_WHEN_ENCODED - _PROGRESS_WHEN_PLANNED), 3)
