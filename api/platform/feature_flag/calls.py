"""Answers what every process decides by, and hears which flags it was asked for."""

from uuid import UUID

from api.platform.feature_flag.experiment import store as experiments
from api.platform.feature_flag.flag import store
from cluster.base.principal import platform
from cluster.data import read, write
from cluster.people.flags import Exposure, FlagRow, FlagSource


class Calls(FlagSource):
    async def flag_changes(self, after: int, limit: int) -> list[FlagRow]:
        async with read() as db:
            return await store.list_changes(db, after, min(limit, 1000))

    async def note_use(self, used: list[UUID], exposures: list[Exposure]) -> None:
        async with write(platform("feature_flag")) as tx:
            await store.update_used(tx, used)
            await experiments.insert_exposures(tx, exposures)
