"""The SQL of films as people see them. Their processing has a store of its own."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.media.media.contract import AssetId
from api.media.video_processing.contract import VideoId, VideoState
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach
from cluster.people.topics import After, Standing


@dataclass(frozen=True, slots=True)
class FilmError:
    """The reason why the processing of a film failed."""

    code: str
    detail: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film and the state of its processing."""

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

    @property
    def error(self) -> FilmError | None:
        return None if self.error_code is None else FilmError(self.error_code, self.error_detail or "", self.retryable)

    @property
    def poster_url(self) -> str | None:
        return f"/v1/videos/{self.id}/poster" if self.has_poster else None


@dataclass(frozen=True, slots=True)
class Playlists:
    """The texts that play a ready film, and the film."""

    film: Film
    playlists: dict[str, str]


FILM = """id, org_id, course_id, asset_id, state, take, progress, duration_s, renditions, has_poster, error_code,
    error_detail, retryable, version, created_at, updated_at"""


def _guarded(film: Film | None) -> Guarded[Film] | None:
    return None if film is None else Guarded(film, org_id=film.org_id, course_id=film.course_id)


FIND_FILM = "SELECT " + FILM + " FROM video_processing.videos WHERE id = $video_id AND deleted_at IS NULL"


async def find_film(db: Connection, video_id: VideoId) -> Guarded[Film] | None:
    return _guarded(await db.maybe(Film, FIND_FILM, video_id=video_id))


FIND_FILM_OF_ASSET = (
    "SELECT " + FILM + " FROM video_processing.videos WHERE asset_id = $asset_id AND deleted_at IS NULL"
)


async def find_film_of_asset(db: Connection, asset_id: AssetId) -> Guarded[Film] | None:
    return _guarded(await db.maybe(Film, FIND_FILM_OF_ASSET, asset_id=asset_id))


LIST_STANDING = """
SELECT id, version AS seq, org_id, course_id FROM video_processing.videos
WHERE id = ANY($video_ids::uuid[]) AND deleted_at IS NULL LIMIT 1000
"""


async def list_standing(db: Connection, video_ids: list[UUID]) -> list[Standing]:
    """Return the versions of films, and where they lie."""
    return await db.all(Standing, LIST_STANDING, video_ids=video_ids)


LIST_FILMS_AFTER = (
    "SELECT "
    + FILM
    + """ FROM video_processing.videos JOIN unnest($ids::uuid[], $versions::bigint[]) AS seen (video_id, seen_version)
        ON videos.id = seen.video_id
    WHERE version > seen_version AND deleted_at IS NULL LIMIT 1000"""
)


async def list_films_after(db: Connection, after: list[After]) -> list[Film]:
    """Return those of these films that have a later version."""
    return await db.all(Film, LIST_FILMS_AFTER, ids=[each.id for each in after], versions=[each.seq for each in after])


LIST_FILMS = (
    "SELECT "
    + FILM
    + """ FROM video_processing.videos
    WHERE deleted_at IS NULL AND ($everywhere OR org_id = ANY($org_ids::uuid[]) OR course_id = ANY($course_ids::uuid[]))
      AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($course_id::uuid IS NULL OR course_id = $course_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids))
      AND ($states::text[] IS NULL OR state = ANY($states))
      AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


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
    """List films within reach, newest first: of an organization, of a course, or all."""
    return await db.all(
        Film,
        LIST_FILMS,
        reach,
        org_id=org_id,
        course_id=course_id,
        ids=ids,
        states=states,
        before=before,
        limit=limit,
    )


INSERT_FILM = (
    """INSERT INTO video_processing.videos (id, org_id, course_id, asset_id, state, created_by, created_at, updated_at)
    VALUES ($video_id, $org_id, $course_id, $asset_id, 'queued', $created_by, $now, $now)
    ON CONFLICT (asset_id) WHERE deleted_at IS NULL DO NOTHING RETURNING """
    + FILM
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
        INSERT_FILM,
        video_id=video_id,
        org_id=org_id,
        course_id=course_id,
        asset_id=asset_id,
        created_by=created_by,
    )


UPDATE_CANCELLED = (
    """WITH pieces AS (DELETE FROM video_processing.tasks WHERE video_id = $video_id),
         plan AS (DELETE FROM video_processing.plans WHERE video_id = $video_id)
    UPDATE video_processing.videos
    SET state = 'cancelled', coordinator = NULL, has_poster = false, version = version + 1, updated_at = $now
    WHERE id = $video_id AND state IN ('queued', 'processing') RETURNING """
    + FILM
)


async def update_cancelled(tx: Transaction, video_id: VideoId) -> Film | None:
    """Cancel a film that is not finished; None when it is. Its pieces are forgotten."""
    return await tx.maybe(Film, UPDATE_CANCELLED, video_id=video_id)


UPDATE_RESTARTED = (
    """WITH begun AS (
        UPDATE video_processing.videos
        SET state = 'queued', take = take + 1, progress = 0, has_poster = false, error_code = NULL, error_detail = NULL,
            retryable = false, rescues = 0, version = version + 1, updated_at = $now
        WHERE id = $video_id AND deleted_at IS NULL AND (state = 'cancelled' OR (state = 'failed' AND retryable)) RETURNING *
    ), pieces AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM begun)
    ), plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM begun))
    SELECT """
    + FILM
    + " FROM begun"
)


async def update_restarted(tx: Transaction, video_id: VideoId) -> Film | None:
    """Queue a film again under a new take; None unless it was cancelled or failed for a reason that may pass.

    Nothing of an earlier take may count: its objects are gone.
    """
    return await tx.maybe(Film, UPDATE_RESTARTED, video_id=video_id)


LOCK_FILM = "SELECT id FROM video_processing.videos WHERE id = $video_id AND deleted_at IS NULL FOR UPDATE"


async def lock_film(tx: Transaction, video_id: VideoId) -> bool:
    """Hold a film until the transaction ends and tell whether it is there."""
    return await tx.value(LOCK_FILM, video_id=video_id) is not None


UPDATE_DELETED = (
    """UPDATE video_processing.videos SET deleted_at = $now, version = version + 1, updated_at = $now
    WHERE id = $video_id RETURNING """
    + FILM
)


async def update_deleted(tx: Transaction, video_id: VideoId) -> Film:
    return await tx.one(Film, UPDATE_DELETED, video_id=video_id)


FIND_DELETED = "SELECT " + FILM + " FROM video_processing.videos WHERE id = $video_id AND deleted_at IS NOT NULL"


async def find_deleted(db: Connection, video_id: VideoId) -> Guarded[Film] | None:
    return _guarded(await db.maybe(Film, FIND_DELETED, video_id=video_id))


UPDATE_RESTORED = (
    """UPDATE video_processing.videos SET deleted_at = NULL, version = version + 1, updated_at = $now
    WHERE id = $video_id AND deleted_at IS NOT NULL RETURNING """
    + FILM
)


async def update_restored(tx: Transaction, video_id: VideoId) -> Film | None:
    """Bring a deleted film back; None when it is not deleted any more.

    Raises:
        asyncpg.UniqueViolationError: another film was made of the same upload.
    """
    return await tx.maybe(Film, UPDATE_RESTORED, video_id=video_id)


DELETE_PURGED = """
WITH film AS (DELETE FROM video_processing.videos WHERE id = $video_id AND deleted_at IS NOT NULL RETURNING id),
     pieces AS (DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM film)),
     plan AS (DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM film))
DELETE FROM video_processing.streams WHERE video_id = (SELECT id FROM film)
"""


async def delete_purged(tx: Transaction, video_id: VideoId) -> None:
    """Forget a deleted film whose objects are gone."""
    await tx.run(DELETE_PURGED, video_id=video_id)


LIST_TAKES = """
SELECT id, take FROM video_processing.videos
WHERE id = ANY($video_ids::uuid[]) AND state IN ('queued', 'processing', 'ready') LIMIT 1000
"""


async def list_takes(db: Connection, video_ids: Collection[VideoId]) -> set[tuple[VideoId, int]]:
    """Return the takes of up to 1,000 films whose objects are used, or being made."""
    return {(row["id"], row["take"]) for row in await db.rows(LIST_TAKES, video_ids=list(video_ids))}


LIST_ABANDONED = """
SELECT id FROM video_processing.videos WHERE state = 'processing' AND seen_alive_at < $before ORDER BY id LIMIT $limit
"""


async def list_abandoned(db: Connection, before: datetime, limit: int) -> list[VideoId]:
    """List films whose coordinator was last seen alive before that instant."""
    return [row["id"] for row in await db.rows(LIST_ABANDONED, before=before, limit=limit)]


UPDATE_ABANDONED = (
    """WITH found AS (
        UPDATE video_processing.videos
        SET coordinator = NULL, rescues = rescues + 1,
            state = CASE WHEN rescues < $max_rescues THEN 'queued' ELSE 'failed' END,
            error_code = CASE WHEN rescues < $max_rescues THEN NULL ELSE $code END,
            error_detail = CASE WHEN rescues < $max_rescues THEN NULL ELSE $detail END,
            has_poster = has_poster AND rescues < $max_rescues,
            retryable = rescues >= $max_rescues, version = version + 1, updated_at = $now
        WHERE id = $video_id AND state = 'processing' AND seen_alive_at < $before RETURNING *
    ), pieces AS (
        DELETE FROM video_processing.tasks WHERE video_id = (SELECT id FROM found WHERE state = 'failed')
    ), plan AS (
        DELETE FROM video_processing.plans WHERE video_id = (SELECT id FROM found WHERE state = 'failed')
    )
    SELECT """
    + FILM
    + " FROM found"
)


async def update_abandoned(
    tx: Transaction, video_id: VideoId, before: datetime, *, max_rescues: int, code: str, detail: str
) -> Film | None:
    """Queue a film again whose coordinator is gone, with the pieces that are done; None when it is processed now.

    After `max_rescues` it has failed, and its pieces are forgotten.
    """
    return await tx.maybe(
        Film,
        UPDATE_ABANDONED,
        video_id=video_id,
        before=before,
        max_rescues=max_rescues,
        code=code,
        detail=detail,
    )


FIND_PLAYLISTS = (
    "SELECT "
    + FILM
    + """, (SELECT playlists FROM video_processing.streams WHERE video_id = videos.id) AS playlists
    FROM video_processing.videos WHERE id = $video_id AND state = 'ready' AND deleted_at IS NULL"""
)


async def find_playlists(db: Connection, video_id: VideoId) -> Playlists | None:
    rows = await db.rows(FIND_PLAYLISTS, video_id=video_id)
    if not rows:
        return None
    fields = dict(rows[0])
    playlists = fields.pop("playlists")
    return Playlists(Film(**fields), playlists)


FIND_AUTHOR = "SELECT created_by FROM video_processing.videos WHERE id = $video_id AND deleted_at IS NULL"


async def find_author(db: Connection, video_id: VideoId) -> UserId | None:
    """Return who uploaded a film, unless they are erased."""
    return await db.value(FIND_AUTHOR, video_id=video_id)
