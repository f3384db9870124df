"""Answers `ModerationCalls`, and the words of its notices."""

from typing import Any
from uuid import UUID

from api.platform.moderation import notices
from api.platform.moderation.contract import ModerationCalls, Place, Screening
from api.platform.moderation.screening import logic
from cluster.base.ids import UserId
from cluster.people.notices import NoticeSource, NoticeText, Reader


class Calls(ModerationCalls, NoticeSource):
    async def screen(self, texts: dict[str, str], author: UserId | None, place: Place) -> Screening:
        return await logic.screen(texts, author, place)

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:
        return await notices.recipients(notice, event, after, limit)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        return await notices.texts(notice, event, readers)
