"""The SQL of processing. Every write names its coordinator: one that was replaced, or whose film was cancelled, changes nothing."""

from dataclasses import asdict
from uuid import UUID

import msgspec

from api.media.video_processing.contract import Rendition, VideoId
from api.media.video_processing.film.encode import EncodedTrack
from api.media.video_processing.store import FILM, Film
from api.media.video_processing.transcode.pieces import FilmPlan
from cluster.data import Connection, Transaction

Tracks = tuple[EncodedTrack, ...]

UPDATE_BEGUN = (
    """WITH begun AS (
        UPDATE video_processing.videos
        SET state = 'processing', coordinator = $coordinator, seen_alive_at = $now, version = version + 1, updated_at = $now
        WHERE id = $video_id AND state IN ('queued', 'processing') RETURNING *
    ), lost AS (
        UPDATE video_processing.tasks SET state = 'waiting' WHERE video_id = (SELECT id FROM begun) AND state = 'running'
    )
    SELECT """
    + FILM
    + " FROM begun"
)


async def update_begun(tx: Transaction, video_id: VideoId, coordinator: UUID) -> Film | None:
    """Take a film over; None when there is nothing to do. Pieces that ran for another coordinator wait again."""
    return await tx.maybe(Film, UPDATE_BEGUN, video_id=video_id, coordinator=coordinator)


FIND_PLAN = "SELECT plan FROM video_processing.plans WHERE video_id = $video_id"


async def find_plan(db: Connection, video_id: VideoId) -> FilmPlan | None:
    """Return how the film is cut; None before it was planned."""
    plan: bytes | None = await db.value(FIND_PLAN, video_id=video_id)
    return None if plan is None else msgspec.msgpack.decode(plan, type=FilmPlan)


LIST_DONE = """
SELECT number, tracks FROM video_processing.tasks WHERE video_id = $video_id AND state = 'done' ORDER BY number LIMIT 100000
"""


async def list_done(db: Connection, video_id: VideoId) -> dict[int, Tracks]:
    """Return the tracks of finished pieces, by the numbers of the pieces."""
    rows = await db.rows(LIST_DONE, video_id=video_id)
    return {row["number"]: msgspec.msgpack.decode(row["tracks"], type=Tracks) for row in rows}


INSERT_PLAN = (
    """WITH mine AS (
        UPDATE video_processing.videos SET has_poster = true, version = version + 1, updated_at = $now
        WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing' RETURNING *
    ), plan AS (
        INSERT INTO video_processing.plans (video_id, org_id, plan) SELECT id, org_id, $plan FROM mine
    ), tasks AS (
        INSERT INTO video_processing.tasks (video_id, org_id, number)
        SELECT id, org_id, number FROM mine, generate_series(0, $pieces::int - 1) AS number
    )
    SELECT """
    + FILM
    + " FROM mine"
)


async def insert_plan(
    tx: Transaction, video_id: VideoId, coordinator: UUID, plan: FilmPlan, *, pieces: int
) -> Film | None:
    """Remember how the film is processed, and that it has its poster."""
    encoded = msgspec.msgpack.encode(plan)
    return await tx.maybe(Film, INSERT_PLAN, video_id=video_id, coordinator=coordinator, plan=encoded, pieces=pieces)


DELETE_PLAN = """
WITH mine AS (SELECT id FROM video_processing.videos WHERE id = $video_id AND coordinator = $coordinator FOR UPDATE),
     tasks AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM mine))
DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM mine)
"""


async def delete_plan(tx: Transaction, video_id: VideoId, coordinator: UUID) -> None:
    """Forget how the film was cut, and its pieces."""
    await tx.run(DELETE_PLAN, video_id=video_id, coordinator=coordinator)


_PIECE_IS_MINE = """ WHERE video_id = $video_id AND number = $number
    AND EXISTS (SELECT FROM video_processing.videos
                WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing')"""
UPDATE_PIECE_BEGUN = (
    "UPDATE video_processing.tasks SET state = 'running', attempts = attempts + 1"
    + _PIECE_IS_MINE
    + " AND state <> 'done'"
)


async def update_piece_begun(db: Connection, video_id: VideoId, number: int, coordinator: UUID) -> bool:
    """Count an attempt at a piece."""
    return await db.run(UPDATE_PIECE_BEGUN, video_id=video_id, number=number, coordinator=coordinator) == 1


UPDATE_PIECE_DONE = "UPDATE video_processing.tasks SET state = 'done', tracks = $tracks" + _PIECE_IS_MINE


async def update_piece_done(db: Connection, video_id: VideoId, number: int, coordinator: UUID, tracks: Tracks) -> bool:
    """Remember the tracks of a piece."""
    encoded = msgspec.msgpack.encode(tracks)
    touched = await db.run(UPDATE_PIECE_DONE, video_id=video_id, number=number, coordinator=coordinator, tracks=encoded)
    return touched == 1


UPDATE_SEEN_ALIVE = """
UPDATE video_processing.videos SET seen_alive_at = now()
WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing'
"""


async def update_seen_alive(db: Connection, video_id: VideoId, coordinator: UUID) -> bool:
    """Show that the coordinator lives; False when the film is not its any more."""
    return await db.run(UPDATE_SEEN_ALIVE, video_id=video_id, coordinator=coordinator) == 1


UPDATE_PROGRESS = (
    """UPDATE video_processing.videos
    SET progress = greatest(progress, $progress), seen_alive_at = $now, version = version + 1, updated_at = $now
    WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing' RETURNING """
    + FILM
)


async def update_progress(tx: Transaction, video_id: VideoId, coordinator: UUID, progress: float) -> Film | None:
    """Show how far the film is; progress never goes back."""
    return await tx.maybe(Film, UPDATE_PROGRESS, video_id=video_id, coordinator=coordinator, progress=progress)


UPDATE_READY = (
    """WITH mine AS (
        UPDATE video_processing.videos
        SET state = 'ready', progress = 1, duration_s = $duration_s, renditions = $renditions, coordinator = NULL,
            version = version + 1, updated_at = $now
        WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing' RETURNING *
    ), tasks AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM mine)
    ), plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM mine)
    ), stream AS (
        INSERT INTO video_processing.streams (video_id, org_id, playlists) SELECT id, org_id, $playlists FROM mine
    )
    SELECT """
    + FILM
    + " FROM mine"
)


async def update_ready(
    tx: Transaction,
    video_id: VideoId,
    coordinator: UUID,
    *,
    duration_s: float,
    renditions: list[Rendition],
    playlists: dict[str, str],
) -> Film | None:
    """Make the film ready, with its playlists, and forget its pieces."""
    return await tx.maybe(
        Film,
        UPDATE_READY,
        video_id=video_id,
        coordinator=coordinator,
        duration_s=duration_s,
        renditions=[asdict(each) for each in renditions],
        playlists=playlists,
    )


UPDATE_FAILED = (
    """WITH mine AS (
        UPDATE video_processing.videos
        SET state = 'failed', error_code = $code, error_detail = $detail, retryable = $retryable, has_poster = false,
            coordinator = NULL, version = version + 1, updated_at = $now
        WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing' RETURNING *
    ), tasks AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM mine)
    ), plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM mine))
    SELECT """
    + FILM
    + " FROM mine"
)


async def update_failed(
    tx: Transaction, video_id: VideoId, coordinator: UUID, *, code: str, detail: str, retryable: bool
) -> Film | None:
    """Fail the film, and forget its pieces."""
    return await tx.maybe(
        Film,
        UPDATE_FAILED,
        video_id=video_id,
        coordinator=coordinator,
        code=code,
        detail=detail,
        retryable=retryable,
    )


UPDATE_QUEUED_AGAIN = (
    """UPDATE video_processing.videos
    SET state = 'queued', coordinator = NULL, version = version + 1, updated_at = $now
    WHERE id = $video_id AND coordinator = $coordinator AND state = 'processing' RETURNING """
    + FILM
)


async def update_queued_again(tx: Transaction, video_id: VideoId, coordinator: UUID) -> Film | None:
    """Let go of a film that another attempt shall go on with."""
    return await tx.maybe(Film, UPDATE_QUEUED_AGAIN, video_id=video_id, coordinator=coordinator)
