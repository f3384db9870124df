"""The SQL of legal holds of films. Deleted films are held too, as long as they are not purged."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.media.video_processing.contract import VideoId
from api.media.video_processing.store import FILM, Film
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True)
class Hold:
    reason: str
    held_at: datetime


@dataclass(frozen=True, slots=True)
class HeldFilm:
    """A film, deleted or not, and its hold."""

    film: Film
    hold: Hold | None


_HELD_FILM = FILM + ", held_reason, held_at"


def _held_film(row: Any) -> HeldFilm:
    fields = dict(row)
    reason, held_at = fields.pop("held_reason"), fields.pop("held_at")
    return HeldFilm(Film(**fields), None if held_at is None else Hold(reason, held_at))


FIND_HELD_FILM = "SELECT " + _HELD_FILM + " FROM video_processing.videos WHERE id = $video_id"


async def find_held_film(db: Connection, video_id: VideoId) -> Guarded[HeldFilm] | None:
    rows = await db.rows(FIND_HELD_FILM, video_id=video_id)
    if not rows:
        return None
    held = _held_film(rows[0])
    return Guarded(held, org_id=held.film.org_id, course_id=held.film.course_id)


LOCK_HELD = "SELECT held_at IS NOT NULL FROM video_processing.videos WHERE id = $video_id FOR UPDATE"


async def lock_held(tx: Transaction, video_id: VideoId) -> bool | None:
    """Hold the row until the transaction ends and tell whether the film is under a legal hold; None: it was purged."""
    held: bool | None = await tx.value(LOCK_HELD, video_id=video_id)
    return held


UPDATE_HELD = (
    """UPDATE video_processing.videos
    SET held_at = coalesce(held_at, $now), held_reason = $reason, version = version + 1, updated_at = $now
    WHERE id = $video_id RETURNING """
    + _HELD_FILM
)


async def update_held(tx: Transaction, video_id: VideoId, reason: str) -> HeldFilm:
    """Begin a hold, or change the reason of one that lasts."""
    [row] = await tx.rows(UPDATE_HELD, video_id=video_id, reason=reason)
    return _held_film(row)


UPDATE_RELEASED = (
    """UPDATE video_processing.videos
    SET held_at = NULL, held_reason = NULL, version = version + 1, updated_at = $now
    WHERE id = $video_id AND held_at IS NOT NULL RETURNING """
    + _HELD_FILM
)


async def update_released(tx: Transaction, video_id: VideoId) -> HeldFilm | None:
    """End a hold; None when there is none."""
    rows = await tx.rows(UPDATE_RELEASED, video_id=video_id)
    return _held_film(rows[0]) if rows else None
