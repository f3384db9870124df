"""Answers `ContentCalls`."""

from datetime import UTC, datetime
from uuid import UUID

from api.learning.content.contract import (
    BlockId,
    ContentCalls,
    CopiedOutline,
    Frozen,
    FrozenId,
    FrozenOutline,
    OpenBlock,
    RunOutline,
)
from api.learning.content.frozen import logic as frozen
from api.learning.content.outline import logic as outlines
from api.learning.content.run import logic as runs
from api.media.media.contract import AssetId, ShowingSource, ShownIn
from cluster.base.ids import OrgId, UserId
from cluster.events import Snapshots


class Calls(ContentCalls, ShowingSource, Snapshots):
    async def create_outline(self, course_id: UUID, org_id: OrgId) -> None:
        await outlines.create_outline(course_id, org_id)

    async def freeze(self, course_id: UUID) -> Frozen:
        return await frozen.freeze(course_id)

    async def copy_outline(
        self, source_course_id: UUID, target_course_id: UUID, org_id: OrgId, frozen_id: FrozenId | None = None
    ) -> CopiedOutline:
        return await outlines.copy_outline(source_course_id, target_course_id, org_id, frozen_id)

    async def let_go(self, frozen_id: FrozenId) -> None:
        await frozen.let_go(frozen_id)

    async def outline_of(self, frozen_id: FrozenId) -> FrozenOutline:
        return await frozen.outline_of(frozen_id)

    async def may_open(self, user_id: UserId, run_id: UUID, block_id: BlockId, fresh: bool = False) -> OpenBlock:
        return await runs.may_open(user_id, run_id, block_id, fresh=fresh, now=datetime.now(UTC))

    async def required_blocks(self, run_id: UUID, user_id: UserId) -> RunOutline:  # noqa: ARG002 (cohorts will ask)
        return await runs.required_blocks(run_id, datetime.now(UTC))

    async def shown_in(self, asset_id: AssetId, run_ids: list[UUID]) -> list[ShownIn]:
        return await runs.shown_in(asset_id, run_ids, datetime.now(UTC))
