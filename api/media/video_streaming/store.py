"""The SQL of video_streaming."""

from datetime import datetime

from api.media.video_streaming.contract import Playback, PlaybackId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

_PLAYBACK = """id, org_id, course_id, run_id, user_id, enrollment_id, block_id, block_version, min_ratio, video_id, duration_s,
    created_at, expires_at"""

FIND_PLAYBACK = "SELECT " + _PLAYBACK + " FROM video_streaming.playbacks WHERE id = $1"

LIST_EXPIRED = "SELECT id FROM video_streaming.playbacks WHERE expires_at < $1 ORDER BY expires_at LIMIT $2"


async def find_playback(db: Connection, playback_id: PlaybackId) -> Guarded[Playback] | None:
    found = await db.maybe(Playback, FIND_PLAYBACK, playback_id)
    return None if found is None else Guarded(found, owner_id=found.user_id, see="playback:read")


LIST_PLAYBACKS = (
    "SELECT "
    + _PLAYBACK
    + """ FROM video_streaming.playbacks
       WHERE ($1 OR user_id = $2)
         AND ($3::uuid[] IS NULL OR id = ANY($3))
         AND ($4::uuid IS NULL OR id < $4)
       ORDER BY id DESC LIMIT $5"""
)


async def list_playbacks(
    db: Connection, reach: Reach, *, ids: list[PlaybackId] | None, before: PlaybackId | None, limit: int
) -> list[Playback]:
    """List playbacks within reach, newest first."""
    return await db.all(Playback, LIST_PLAYBACKS, reach.everywhere, reach.own, ids, before, limit)


async def insert_playback(tx: Transaction, playback: Playback) -> None:
    await tx.run(
        "INSERT INTO video_streaming.playbacks ("
        + _PLAYBACK
        + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        playback.id,
        playback.org_id,
        playback.course_id,
        playback.run_id,
        playback.user_id,
        playback.enrollment_id,
        playback.block_id,
        playback.block_version,
        playback.min_ratio,
        playback.video_id,
        playback.duration_s,
        playback.created_at,
        playback.expires_at,
    )


async def delete_expired(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete playbacks that expired before that instant; return how many."""
    return await tx.run(
        "DELETE FROM video_streaming.playbacks WHERE id IN (" + LIST_EXPIRED + ")",
        before,
        limit,
    )
