"""The SQL of legal holds of films. Deleted films are held too, as long as they are not purged."""

from api.media.video_processing.contract import VideoId
from api.media.video_processing.store import FILM, Film
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

FIND_ANY_FILM = "SELECT " + FILM + " FROM video_processing.videos WHERE id = $video_id"


async def find_any_film(db: Connection, video_id: VideoId) -> Guarded[Film] | None:
    """Find a film, deleted or not."""
    film = await db.maybe(Film, FIND_ANY_FILM, video_id=video_id)
    return None if film is None else Guarded(film, org_id=film.org_id, course_id=film.course_id)


LOCK_ANY_FILM = "SELECT id FROM video_processing.videos WHERE id = $video_id FOR UPDATE"


async def lock_any_film(tx: Transaction, video_id: VideoId) -> None:
    """Hold the row of a film, deleted or not, until the transaction ends: before its thing."""
    await tx.run(LOCK_ANY_FILM, video_id=video_id)


UPDATE_VERSION = (
    "UPDATE video_processing.videos SET version = version + 1, updated_at = $now WHERE id = $video_id RETURNING " + FILM
)


async def update_version(tx: Transaction, video_id: VideoId) -> Film:
    """Count a change of the hold of a film."""
    return await tx.one(Film, UPDATE_VERSION, video_id=video_id)
