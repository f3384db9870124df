"""The SQL of films as people see them. What their processing needs has a store of its own."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from api.media.media.contract import AssetId
from api.media.video_processing.contract import UploadHasFilm, VideoId, VideoState
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film and where its processing stands."""

    id: VideoId
    org_id: OrgId
    course_id: UUID
    asset_id: AssetId
    state: VideoState
    take: int
    progress: float
    duration_s: float | None
    renditions: list[dict[str, Any]]
    has_poster: bool
    error_code: str | None
    error_detail: str | None
    retryable: bool
    version: int
    created_at: datetime
    updated_at: datetime


FILM = """id, org_id, course_id, asset_id, state, take, progress, duration_s, renditions, has_poster, error_code,
    error_detail, retryable, version, created_at, updated_at"""


def guard_film(film: Film) -> Guarded[Film]:
    return Guarded(film, org_id=film.org_id, course_id=film.course_id)


async def find_film(db: Connection, video_id: VideoId) -> Guarded[Film] | None:
    film = await db.maybe(
        Film, "SELECT " + FILM + " FROM video_processing.videos WHERE id = $1 AND deleted_at IS NULL", video_id
    )
    return None if film is None else guard_film(film)


async def find_film_of_asset(db: Connection, asset_id: AssetId) -> Guarded[Film] | None:
    film = await db.maybe(
        Film, "SELECT " + FILM + " FROM video_processing.videos WHERE asset_id = $1 AND deleted_at IS NULL", asset_id
    )
    return None if film is None else guard_film(film)


LIST = {
    column: "SELECT "
    + FILM
    + f""" FROM video_processing.videos
           WHERE deleted_at IS NULL AND ($1 OR org_id = ANY($2::uuid[]) OR course_id = ANY($3::uuid[]))
             AND ($4::uuid IS NULL OR {column} = $4)
             AND ($5::uuid[] IS NULL OR id = ANY($5))
             AND ($6::text[] IS NULL OR state = ANY($6))
             AND ($7::uuid IS NULL OR id < $7)
           ORDER BY id DESC LIMIT $8"""
    for column in ("org_id", "course_id")
}


async def list_films(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    course_id: UUID | None,
    ids: list[VideoId] | None,
    states: list[VideoState] | None,
    before: VideoId | None,
    limit: int,
) -> list[Film]:
    """List films within reach, of a course or an organization or both's all, newest first."""
    return await db.all(
        Film,
        LIST["org_id" if course_id is None else "course_id"],
        reach.everywhere,
        reach.org_ids,
        reach.course_ids,
        org_id if course_id is None else course_id,
        ids,
        states,
        before,
        limit,
    )


async def insert_film(
    tx: Transaction,
    video_id: VideoId,
    *,
    org_id: OrgId,
    course_id: UUID,
    asset_id: AssetId,
    created_by: UserId | None,
) -> Film | None:
    """Insert a queued film; None when the upload has one already."""
    return await tx.maybe(
        Film,
        """INSERT INTO video_processing.videos (id, org_id, course_id, asset_id, state, created_by, created_at, updated_at)
           VALUES ($1, $2, $3, $4, 'queued', $5, $6, $6)
           ON CONFLICT (asset_id) WHERE deleted_at IS NULL DO NOTHING RETURNING """
        + FILM,
        *(video_id, org_id, course_id, asset_id, created_by, tx.now),
    )


async def update_cancelled(tx: Transaction, video_id: VideoId) -> Film | None:
    """Cancel a film that is not finished; None when it is. Its pieces are forgotten."""
    return await tx.maybe(
        Film,
        """WITH pieces AS (DELETE FROM video_processing.tasks WHERE video_id = $1),
                plan AS (DELETE FROM video_processing.plans WHERE video_id = $1)
           UPDATE video_processing.videos SET state = 'cancelled', coordinator = NULL, has_poster = false,
               version = version + 1, updated_at = $2
           WHERE id = $1 AND state IN ('queued', 'processing') RETURNING """
        + FILM,
        *(video_id, tx.now),
    )


async def update_restarted(tx: Transaction, video_id: VideoId) -> Film | None:
    """Queue a film again under a new take; None unless it was cancelled or failed for a reason that may pass.

    Nothing of an earlier take may count: its objects are gone.
    """
    return await tx.maybe(
        Film,
        """WITH begun AS (
               UPDATE video_processing.videos SET state = 'queued', take = take + 1, progress = 0, has_poster = false,
                   error_code = NULL, error_detail = NULL, retryable = false, rescues = 0, version = version + 1,
                   updated_at = $2
               WHERE id = $1 AND deleted_at IS NULL AND (state = 'cancelled' OR (state = 'failed' AND retryable)) RETURNING *
           ), pieces AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM begun)
           ), plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM begun))
           SELECT """
        + FILM
        + " FROM begun",
        *(video_id, tx.now),
    )


async def lock_film(tx: Transaction, video_id: VideoId) -> bool:
    """Hold a film until the transaction ends and tell whether it is there."""
    sql = "SELECT id FROM video_processing.videos WHERE id = $1 AND deleted_at IS NULL FOR UPDATE"
    return await tx.value(sql, video_id) is not None


async def update_deleted(tx: Transaction, video_id: VideoId) -> Film:
    return await tx.one(
        Film,
        "UPDATE video_processing.videos SET deleted_at = $2, version = version + 1, updated_at = $2 WHERE id = $1 RETURNING "
        + FILM,
        *(video_id, tx.now),
    )


async def find_deleted(db: Connection, video_id: VideoId) -> Guarded[Film] | None:
    film = await db.maybe(
        Film,
        "SELECT " + FILM + " FROM video_processing.videos WHERE id = $1 AND deleted_at IS NOT NULL",
        video_id,
    )
    return None if film is None else guard_film(film)


async def update_restored(tx: Transaction, video_id: VideoId) -> Film | None:
    """Bring a deleted film back; None when it is not deleted any more.

    Raises:
        UploadHasFilm
    """
    try:
        return await tx.maybe(
            Film,
            """UPDATE video_processing.videos SET deleted_at = NULL, version = version + 1, updated_at = $2
               WHERE id = $1 AND deleted_at IS NOT NULL RETURNING """
            + FILM,
            *(video_id, tx.now),
        )
    except asyncpg.UniqueViolationError:
        raise UploadHasFilm("another film was made of the same upload: delete that one first") from None


async def delete_purged(tx: Transaction, video_id: VideoId) -> None:
    """Forget a deleted film whose objects are gone."""
    await tx.run("DELETE FROM video_processing.tasks WHERE video_id = $1", video_id)
    await tx.run("DELETE FROM video_processing.plans WHERE video_id = $1", video_id)
    await tx.run("DELETE FROM video_processing.streams WHERE video_id = $1", video_id)
    await tx.run("DELETE FROM video_processing.videos WHERE id = $1 AND deleted_at IS NOT NULL", video_id)


async def list_takes(db: Connection, video_ids: Collection[VideoId]) -> set[tuple[VideoId, int]]:
    """Return the takes of these films whose objects are used, or being made."""
    rows = await db.rows(
        """SELECT id, take FROM video_processing.videos
           WHERE id = ANY($1::uuid[]) AND state IN ('queued', 'processing', 'ready')""",
        list(video_ids),
    )
    return {(row["id"], row["take"]) for row in rows}


async def list_forsaken(db: Connection, before: datetime, limit: int) -> list[VideoId]:
    """List films whose coordinator has not been heard of since."""
    rows = await db.rows(
        "SELECT id FROM video_processing.videos WHERE state = 'processing' AND seen_alive_at < $1 ORDER BY id LIMIT $2",
        *(before, limit),
    )
    return [row["id"] for row in rows]


async def update_forsaken(
    tx: Transaction, video_id: VideoId, before: datetime, *, rescues: int, code: str, detail: str
) -> Film | None:
    """Queue a film again whose coordinator is gone; what it had done stays. After so many `rescues` it has failed, and
    what there was of it is forgotten.

    None when somebody works on it.
    """
    return await tx.maybe(
        Film,
        """WITH found AS (
               UPDATE video_processing.videos SET coordinator = NULL, rescues = rescues + 1,
                   state = CASE WHEN rescues < $4 THEN 'queued' ELSE 'failed' END,
                   error_code = CASE WHEN rescues < $4 THEN NULL ELSE $5 END,
                   error_detail = CASE WHEN rescues < $4 THEN NULL ELSE $6 END,
                   has_poster = has_poster AND rescues < $4,
                   retryable = rescues >= $4, version = version + 1, updated_at = $3
               WHERE id = $1 AND state = 'processing' AND seen_alive_at < $2 RETURNING *
           ), pieces AS (
               DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM found WHERE state = 'failed')
           ), plan AS (
               DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM found WHERE state = 'failed')
           )
           SELECT """
        + FILM
        + " FROM found",
        *(video_id, before, tx.now, rescues, code, detail),
    )


@dataclass(frozen=True, slots=True)
class Playlists:
    """The texts that play a ready film, and the film."""

    film: Film
    playlists: dict[str, str]


_STREAM = (
    "SELECT "
    + FILM
    + """, (SELECT playlists FROM video_processing.streams WHERE video_id = videos.id) AS playlists
           FROM video_processing.videos WHERE id = $1 AND state = 'ready' AND deleted_at IS NULL"""
)


async def find_playlists(db: Connection, video_id: VideoId) -> Playlists | None:
    rows = await db.rows(_STREAM, video_id)
    if not rows:
        return None
    row = dict(rows[0])
    playlists = row.pop("playlists")
    return Playlists(Film(**row), playlists)
