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
from api.learning.content.document import logic as lessons
from api.learning.content.document import store as documents
from api.learning.content.frozen import logic as frozen
from api.learning.content.moderated import store as moderated
from api.learning.content.outline import logic as outlines
from api.learning.content.run import logic as runs
from api.media.media.contract import AssetId, ShowingSource, ShownIn
from api.platform.moderation.contract import Content, Moderated
from cluster.base.ids import OrgId, UserId
from cluster.data import read
from cluster.events import Snapshots
from cluster.people.access import Reach
from cluster.people.documents import Document, Documents, DocumentSource


class Calls(ContentCalls, DocumentSource, Moderated, ShowingSource, Snapshots):
    async def content(self, kind: str, ids: list[UUID]) -> list[Content]:  # noqa: ARG002 (there is one kind)
        async with read() as db:
            return await moderated.list_moderated(db, ids)

    async def documents(self, kind: str, ids: list[UUID]) -> Documents:  # noqa: ARG002 (there is one kind)
        async with read() as db:
            return await documents.list_documents(db, ids)

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:  # noqa: ARG002
        async with read() as db:
            return await documents.list_document_page(db, after, limit)

    async def may_see(
        self,
        kind: str,  # noqa: ARG002
        user_id: UserId,  # noqa: ARG002 (the reaches say it all)
        ids: list[UUID],
        reaches: dict[str, Reach] | None = None,
    ) -> list[UUID]:
        held = reaches or {}
        attends, edits = held.get("run:attend", Reach()), held.get("course:edit", Reach())
        return await lessons.openable(ids, attends, edits, datetime.now(UTC))

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
