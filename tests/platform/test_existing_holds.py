"""Legal holds that were there before things carried them are copied, and so are those of hosts of the release before."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from cluster.base.ids import new_id
from cluster.data.migrations import migrate
from tests.platform.earlier import Database, release_before
from tests.platform.test_existing_uses import asset, video

_SINCE = {"hub/0011_hold_things.sql", "media/0005_hold_by_things.sql", "video_processing/0004_hold_by_things.sql"}
HELD_AT = datetime(2031, 5, 4, tzinfo=UTC)


@pytest.fixture
async def earlier(servers: None) -> AsyncIterator[Database]:
    async with release_before(_SINCE, "existing_holds") as database:
        yield database


HOLD_FILE = "UPDATE media.assets SET held_at = $2, held_reason = $3 WHERE id = $1"
HOLD_FILM = "UPDATE video_processing.videos SET held_at = $2, held_reason = $3 WHERE id = $1"


async def held(db: Database, statement: str, id: UUID, reason: str | None) -> None:
    """Place or release a hold as hosts of the release before do."""
    at = None if reason is None else HELD_AT
    await db.execute(statement, id, at, reason)
    await db.execute("UPDATE hub.things SET held = $2 WHERE id = $1", id, at is not None)


async def holds_of(db: Database) -> dict[UUID, Any]:
    rows = await db.fetch("SELECT id, held_reason, held_at FROM hub.things WHERE held")
    return {row["id"]: (row["held_reason"], row["held_at"]) for row in rows}


async def test_holds_of_the_release_before_are_kept_with_their_reasons(earlier: Database) -> None:
    file, film = await asset(earlier, "ready", None), await video(earlier, new_id(), "ready")
    later, free = await asset(earlier, "ready", None), await asset(earlier, "ready", None)
    for kind, id in (("asset", file), ("asset", later), ("asset", free), ("video", film)):
        await earlier.execute(
            "SELECT hub.declare_existing_thing($1, $2, NULL, NULL, 'ready', NULL, '{}', 1, 1, now())", kind, id
        )
    await held(earlier, HOLD_FILE, file, "complaint 17")
    await held(earlier, HOLD_FILM, film, "lawsuit 3")

    assert set(await migrate()) >= _SINCE

    before = {file: ("complaint 17", HELD_AT), film: ("lawsuit 3", HELD_AT)}
    assert await holds_of(earlier) == before
    await held(earlier, HOLD_FILE, later, "while hosts of both releases run")
    assert await holds_of(earlier) == before | {later: ("while hosts of both releases run", HELD_AT)}
    await held(earlier, HOLD_FILE, later, None)
    await held(earlier, HOLD_FILM, film, None)
    assert await holds_of(earlier) == {file: ("complaint 17", HELD_AT)}
