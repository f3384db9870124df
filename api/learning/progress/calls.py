"""Answers `ProgressCalls`, and the words of notices."""

from typing import Any
from uuid import UUID

from api.learning.progress import notices
from api.learning.progress.contract import LineItem, NewScore, PostedScore, ProgressCalls, PutLineItem
from api.learning.progress.line_item import logic as line_items
from api.learning.progress.score import posting
from cluster.base.ids import UserId
from cluster.people import calls
from cluster.people.notices import NoticeSource, NoticeText, Reader, only


class Calls(ProgressCalls, NoticeSource):
    async def put_line_item(self, wanted: PutLineItem) -> LineItem:
        return await line_items.put_line_item(calls.caller("progress"), wanted)

    async def post_scores(self, service: str, scores: list[NewScore]) -> list[PostedScore]:
        return await posting.post_scores(calls.caller("progress"), service, scores)

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002
        return only(event["user_id"], after)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        return await notices.texts(notice, event, readers)
