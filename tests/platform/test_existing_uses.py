"""Files, films and outlines that were there before uses are declared by the migrations, and nothing is lost."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from cluster.base.ids import new_id
from cluster.data.migrations import migrate
from tests.platform.earlier import Database, release_before

_SINCE = {
    "hub/0010_things.sql",
    "media/0002_declare_assets.sql",
    "video_processing/0002_delete_videos.sql",
    "content/0004_declare_uses.sql",
}
ORG, COURSE, PERSON = new_id(), new_id(), new_id()


@pytest.fixture
async def earlier(servers: None) -> AsyncIterator[Database]:
    async with release_before(_SINCE, "existing_uses") as database:
        yield database


async def asset(db: Database, state: str, claimant: str | None) -> UUID:
    asset_id = new_id()
    await db.execute(
        """INSERT INTO media.assets (id, org_id, course_id, owner_id, holder_id, purpose, filename, size_bytes, state, reason,
               object_key, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $2, 'course-media', 'film.mp4', 10, $5, CASE $5 WHEN 'rejected' THEN 'empty' END,
               CASE $5 WHEN 'ready' THEN 'key' END, now(),
               CASE WHEN $5 IN ('ready', 'rejected') AND NOT $6 THEN now() + interval '1 hour' END)""",
        *(asset_id, ORG, COURSE, PERSON, state, claimant is not None),
    )
    if claimant is not None:
        await db.execute("INSERT INTO media.claims VALUES ($1, $2, now())", asset_id, claimant)
    return asset_id


async def video(db: Database, asset_id: UUID, state: str) -> UUID:
    video_id = new_id()
    await db.execute(
        """INSERT INTO video_processing.videos (id, org_id, course_id, asset_id, state, duration_s, error_code, created_at,
               updated_at)
           VALUES ($1, $2, $3, $4, $5, CASE $5 WHEN 'ready' THEN 9.5 END, CASE $5 WHEN 'failed' THEN 'damaged' END, now(),
               now())""",
        *(video_id, ORG, COURSE, asset_id, state),
    )
    return video_id


async def block(db: Database, video_id: UUID, *, deleted: bool = False) -> UUID:
    block_id = new_id()
    await db.execute(
        """INSERT INTO content.blocks (id, course_id, org_id, type, position, title, body, text_bytes, deleted_at, deleted_root,
               created_at, updated_at)
           VALUES ($1::uuid, $2, $3, 'video', 0, 'Film', jsonb_build_object('video_id', $4::text), 10,
               CASE WHEN $5 THEN now() END, CASE WHEN $5 THEN $1::uuid END, now(), now())""",
        *(block_id, COURSE, ORG, str(video_id), deleted),
    )
    return block_id


async def test_the_migrations_declare_what_was_there(earlier: Database) -> None:
    claimed = [await asset(earlier, "ready", "video_processing") for _ in range(3)]
    orphan = await asset(earlier, "ready", "video_processing")
    unclaimed, rejected, uploading = [await asset(earlier, state, None) for state in ("ready", "rejected", "uploading")]
    ready, queued = await video(earlier, claimed[0], "ready"), await video(earlier, claimed[1], "queued")
    failed = await video(earlier, claimed[2], "failed")
    await earlier.execute(
        "INSERT INTO content.outlines (course_id, org_id, created_at, changed_at) VALUES ($1, $2, now(), now())",
        COURSE,
        ORG,
    )
    drafted = await block(earlier, ready)
    await block(earlier, queued, deleted=True)
    outline = new_id()
    await earlier.execute(
        """INSERT INTO content.frozen_outlines (id, course_id, org_id, sha256, blocks, frozen_at)
           VALUES ($1, $2, $3, 'x', jsonb_build_array(jsonb_build_object('type', 'text', 'body', '{}'::jsonb),
               jsonb_build_object('type', 'video', 'body', jsonb_build_object('video_id', $4::text))), now())""",
        *(outline, COURSE, ORG, str(ready)),
    )

    assert set(await migrate()) >= _SINCE

    things = await earlier.fetch("SELECT id, state, fault, idle_since IS NULL AS busy FROM hub.things")
    assert {row["id"]: (row["state"], row["fault"], row["busy"]) for row in things} == {
        **dict.fromkeys([*claimed, orphan, unclaimed], ("ready", None, False)),
        rejected: ("failed", "empty", False),
        uploading: ("pending", None, True),
        ready: ("ready", None, False),
        queued: ("pending", None, True),
        failed: ("failed", "damaged", False),
    }
    found = await earlier.fetch("SELECT by_kind, by_id, kind, id FROM hub.uses")
    assert {tuple(row) for row in found} == {
        ("video", ready, "asset", claimed[0]),
        ("video", queued, "asset", claimed[1]),
        ("block", drafted, "video", ready),
        ("outline", outline, "video", ready),
    }
    assert await migrate() == []
