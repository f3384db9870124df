"""The SQL of processing. Every write names its coordinator: whoever has been replaced, or whose film was cancelled, gets None."""

from dataclasses import asdict
from uuid import UUID

import msgspec

from api.media.video_processing.contract import Rendition, VideoId
from api.media.video_processing.film.encode import EncodedTrack
from api.media.video_processing.store import FILM, Film
from api.media.video_processing.transcode.pieces import FilmPlan
from cluster.data import Connection, Transaction

Tracks = tuple[EncodedTrack, ...]


async def update_begun(tx: Transaction, video_id: VideoId, coordinator: UUID) -> Film | None:
    """Take a film over; None when there is nothing to do. Pieces that ran for another coordinator wait again."""
    return await tx.maybe(
        Film,
        """WITH begun AS (
               UPDATE video_processing.videos SET state = 'processing', coordinator = $2, seen_alive_at = $3,
                   version = version + 1, updated_at = $3
               WHERE id = $1 AND state IN ('queued', 'processing') RETURNING *
           ), lost AS (
               UPDATE video_processing.tasks SET state = 'waiting'
               WHERE video_id = (SELECT id FROM begun) AND state = 'running'
           )
           SELECT """
        + FILM
        + " FROM begun",
        *(video_id, coordinator, tx.now),
    )


async def find_plan(db: Connection, video_id: VideoId) -> FilmPlan | None:
    """Return how the film is cut; None before it was planned."""
    plan: bytes | None = await db.value("SELECT plan FROM video_processing.plans WHERE video_id = $1", video_id)
    return None if plan is None else msgspec.msgpack.decode(plan, type=FilmPlan)


async def list_done(db: Connection, video_id: VideoId) -> dict[int, Tracks]:
    """Return what finished pieces made, by their numbers."""
    rows = await db.rows(
        "SELECT number, tracks FROM video_processing.tasks WHERE video_id = $1 AND state = 'done' ORDER BY number",
        video_id,
    )
    return {row["number"]: msgspec.msgpack.decode(row["tracks"], type=Tracks) for row in rows}


async def insert_plan(tx: Transaction, film: Film, coordinator: UUID, plan: FilmPlan, pieces: int) -> Film | None:
    """Remember how the film is processed, and that it has its poster."""
    return await tx.maybe(
        Film,
        """WITH mine AS (
               UPDATE video_processing.videos SET has_poster = true, version = version + 1, updated_at = $5
               WHERE id = $1 AND coordinator = $2 AND state = 'processing' RETURNING *
           ), plan AS (
               INSERT INTO video_processing.plans (video_id, org_id, plan) SELECT id, org_id, $3 FROM mine
           ), tasks AS (
               INSERT INTO video_processing.tasks (video_id, org_id, number)
               SELECT id, org_id, number FROM mine, generate_series(0, $4::int - 1) AS number
           )
           SELECT """
        + FILM
        + " FROM mine",
        *(film.id, coordinator, msgspec.msgpack.encode(plan), pieces, tx.now),
    )


async def delete_plan(tx: Transaction, video_id: VideoId, coordinator: UUID) -> None:
    """Forget how the film was cut and all that was made."""
    await tx.run(
        """WITH mine AS (SELECT id FROM video_processing.videos WHERE id = $1 AND coordinator = $2 FOR UPDATE),
                tasks AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM mine))
           DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM mine)""",
        *(video_id, coordinator),
    )


_MINE = "EXISTS (SELECT FROM video_processing.videos WHERE id = $1 AND coordinator = $3 AND state = 'processing')"


async def update_piece_begun(db: Connection, video_id: VideoId, number: int, coordinator: UUID) -> bool:
    """Count an attempt at a piece."""
    touched = await db.run(
        "UPDATE video_processing.tasks SET state = 'running', attempts = attempts + 1 "
        "WHERE video_id = $1 AND number = $2 AND state <> 'done' AND " + _MINE,
        *(video_id, number, coordinator),
    )
    return touched == 1


async def update_piece_done(db: Connection, video_id: VideoId, number: int, coordinator: UUID, tracks: Tracks) -> bool:
    """Remember what a piece made."""
    touched = await db.run(
        "UPDATE video_processing.tasks SET state = 'done', tracks = $4 WHERE video_id = $1 AND number = $2 AND "
        + _MINE,
        *(video_id, number, coordinator, msgspec.msgpack.encode(tracks)),
    )
    return touched == 1


async def update_seen_alive(db: Connection, video_id: VideoId, coordinator: UUID) -> bool:
    """Show that the coordinator lives; False when the film is not its any more."""
    touched = await db.run(
        """UPDATE video_processing.videos SET seen_alive_at = now()
           WHERE id = $1 AND coordinator = $2 AND state = 'processing'""",
        *(video_id, coordinator),
    )
    return touched == 1


async def update_progress(tx: Transaction, video_id: VideoId, coordinator: UUID, progress: float) -> Film | None:
    """Show how far the film is; progress never goes back."""
    return await tx.maybe(
        Film,
        """UPDATE video_processing.videos SET progress = greatest(progress, $3), seen_alive_at = $4,
               version = version + 1, updated_at = $4
           WHERE id = $1 AND coordinator = $2 AND state = 'processing' RETURNING """
        + FILM,
        *(video_id, coordinator, progress, tx.now),
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
        """WITH mine AS (
               UPDATE video_processing.videos SET state = 'ready', progress = 1, duration_s = $3, renditions = $4,
                   coordinator = NULL, version = version + 1, updated_at = $6
               WHERE id = $1 AND coordinator = $2 AND state = 'processing' RETURNING *
           ), tasks AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM mine)
           ), plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM mine)
           ), stream AS (
               INSERT INTO video_processing.streams (video_id, org_id, playlists) SELECT id, org_id, $5 FROM mine
           )
           SELECT """
        + FILM
        + " FROM mine",
        *(video_id, coordinator, duration_s, [asdict(each) for each in renditions], playlists, tx.now),
    )


async def update_failed(
    tx: Transaction, video_id: VideoId, coordinator: UUID, *, code: str, detail: str, retryable: bool
) -> Film | None:
    """Fail the film, and forget its pieces."""
    return await tx.maybe(
        Film,
        """WITH mine AS (
               UPDATE video_processing.videos SET state = 'failed', error_code = $3, error_detail = $4, retryable = $5,
                   has_poster = false, coordinator = NULL, version = version + 1, updated_at = $6
               WHERE id = $1 AND coordinator = $2 AND state = 'processing' RETURNING *
           ), tasks AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM mine)
           ), plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM mine))
           SELECT """
        + FILM
        + " FROM mine",
        *(video_id, coordinator, code, detail, retryable, tx.now),
    )


async def update_queued_again(tx: Transaction, video_id: VideoId, coordinator: UUID) -> Film | None:
    """Let go of a film that another attempt shall go on with."""
    return await tx.maybe(
        Film,
        """UPDATE video_processing.videos SET state = 'queued', coordinator = NULL, version = version + 1, updated_at = $3
           WHERE id = $1 AND coordinator = $2 AND state = 'processing' RETURNING """
        + FILM,
        *(video_id, coordinator, tx.now),
    )
