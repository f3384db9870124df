"""What people are told of flags."""

from typing import Any
from uuid import UUID

from api.platform.feature_flag.contract import FlagKillReported
from api.platform.feature_flag.report import store
from cluster.base.ids import UserId
from cluster.data import read
from cluster.people.notices import Notice, NoticeText, Reader
from cluster.people.wording import worded

NOTICES = (
    Notice(
        name="feature_flag.killed",
        title="A flag that you answer for was switched off",
        event=FlagKillReported,
        category="account",
        severity="high",
        topic="flag_id",
    ),
)


async def recipients(event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:
    """Return who answers for the flag, as was found when it was killed."""
    async with read() as db:
        return await store.list_reported(db, UUID(event["report_id"]), after=after, limit=limit)


async def texts(notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
    """Return the words while the flag is killed: who launched it again needs no news of it."""
    async with read() as db:
        flag = await store.find_killed(db, UUID(event["report_id"]))
    if flag is None:
        return []
    return worded(
        "feature_flag", notice, readers, url=f"/flags/{flag.id}", org_id=flag.org_id, flag=flag.title, name=flag.key
    )
