"""The SQL of video_streaming."""

from datetime import datetime

from api.media.video_streaming.contract import Playback, PlaybackId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

_PLAYBACK = """id, org_id, course_id, run_id, user_id, enrollment_id, block_id, block_version, min_ratio, video_id, duration_s,
    created_at, expires_at"""

FIND_PLAYBACK = "SELECT " + _PLAYBACK + " FROM video_streaming.playbacks WHERE id = $playback_id"


async def find_playback(db: Connection, playback_id: PlaybackId) -> Guarded[Playback] | None:
    found = await db.maybe(Playback, FIND_PLAYBACK, playback_id=playback_id)
    return None if found is None else Guarded(found, owner_id=found.user_id, see="playback:read")


LIST_PLAYBACKS = (
    "SELECT "
    + _PLAYBACK
    + """ FROM video_streaming.playbacks
    WHERE ($everywhere OR user_id = $own)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids))
      AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_playbacks(
    db: Connection, reach: Reach, *, ids: list[PlaybackId] | None, before: PlaybackId | None, limit: int
) -> list[Playback]:
    """List playbacks within reach, newest first."""
    return await db.all(Playback, LIST_PLAYBACKS, reach, ids=ids, before=before, limit=limit)


INSERT_PLAYBACK = (
    "INSERT INTO video_streaming.playbacks ("
    + _PLAYBACK
    + """)
    VALUES ($id, $org_id, $course_id, $run_id, $user_id, $enrollment_id, $block_id, $block_version, $min_ratio, $video_id,
            $duration_s, $created_at, $expires_at)"""
)


async def insert_playback(tx: Transaction, playback: Playback) -> None:
    await tx.run(INSERT_PLAYBACK, playback)


DELETE_EXPIRED = """
DELETE FROM video_streaming.playbacks WHERE id IN (
    SELECT id FROM video_streaming.playbacks WHERE expires_at < $before ORDER BY expires_at LIMIT $limit
)
"""


async def delete_expired(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete playbacks that expired before that instant; return how many."""
    return await tx.run(DELETE_EXPIRED, before=before, limit=limit)
