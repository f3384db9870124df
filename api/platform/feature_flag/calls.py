"""Answers what every process decides by, and hears which flags it was asked for."""

from typing import Any
from uuid import UUID

from api.platform.feature_flag import notices
from api.platform.feature_flag.experiment import store as experiments
from api.platform.feature_flag.flag import store
from cluster.base.ids import UserId
from cluster.base.principal import platform
from cluster.data import read, write
from cluster.people.flags import Exposure, FlagRow, FlagSource
from cluster.people.notices import NoticeSource, NoticeText, Reader


class Calls(FlagSource, NoticeSource):
    async def flag_changes(self, after: int, limit: int) -> list[FlagRow]:
        async with read() as db:
            return await store.list_changes(db, after, min(limit, 1000))

    async def note_use(self, used: list[UUID], exposures: list[Exposure]) -> None:
        async with write(platform("feature_flag")) as tx:
            await store.update_used(tx, used)
            await experiments.insert_exposures(tx, exposures)

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002 (there is one)
        return await notices.recipients(event, after, limit)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        return await notices.texts(notice, event, readers)
