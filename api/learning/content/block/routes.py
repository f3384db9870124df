"""HTTP of blocks: parse, ask logic, render. What learners see has routes of its own."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime, ConfigDict, Field

from api.learning.content.block import logic
from api.learning.content.block.store import ListedBlock
from api.learning.content.block_types import block_types
from api.learning.content.contract import (
    BlockId,
    BlockModerated,
    BlockNotFound,
    BodyNotValid,
    Completes,
    OutlineFull,
    OutlineNotFound,
    ParentIsDeleted,
    ReleaseAmbiguous,
    UnknownBlockType,
    WrongParent,
)
from api.platform.moderation.contract import AuthorMuted, TextRefused
from cluster.base.problems import Stale
from cluster.data.uses import ThingGone
from cluster.http import Answer, Body, Caller, IfMatch, OrganizationId, Page, Paging, Patch, Router, Several, View

router = Router("content")

Title = Annotated[str, Field(min_length=1, max_length=200, examples=["What a film is"])]
Type = Annotated[str, Field(min_length=1, max_length=40, examples=["text"])]
Content = Annotated[
    dict[str, Any],
    Field(
        description="The content, by type: text {markdown}, video {video_id}; empty for a module and a lesson. Links and "
        "pictures of a text name files of the course as `asset:<id>`; they were uploaded for the purpose course-file",
        examples=[{"markdown": "# Pictures that move\n\nTwenty-four of them each second."}],
    ),
]
Position = Annotated[int, Field(ge=0, le=100_000, description="Before the sibling there; left out: at the end")]
ReleaseAt = Annotated[
    AwareDatetime | None, Field(description="Time from which learners may open the block and its descendants")
]
ReleaseAfterDays = Annotated[
    int | None, Field(ge=0, le=3_650, description="Days from the start of the run until learners may open the block")
]


class NewBlock(Body):
    """A block to create in the working outline."""

    course_id: UUID
    parent_id: BlockId | None = None
    type: Type
    title: Title
    body: Content | None = None
    position: Position | None = None
    release_at: ReleaseAt = None
    release_after_days: ReleaseAfterDays = None


class BlockChanges(Patch):
    """Changes of a block; the body is merged (RFC 7396)."""

    title: Title = ""
    body: Content = {}
    release_at: ReleaseAt = None
    release_after_days: ReleaseAfterDays = None
    major: Annotated[bool, Field(description="Learners who completed the block must complete it again")] = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"body": {"markdown": "Twenty-five of them each second."}}]}
    )


class Place(Body):
    """The new parent and position of a block."""

    parent_id: BlockId | None
    position: Position | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"parent_id": "0198c0de-0000-7000-8000-000000000000", "position": 0}]}
    )


class BlockView(View):
    """A block of the working outline."""

    id: BlockId
    course_id: UUID
    organization_id: OrganizationId
    parent_id: BlockId | None
    type: str
    position: int
    title: str
    completes: Completes | None
    min_ratio: float | None
    body: dict[str, Any]
    html: str | None
    release_at: datetime | None
    release_after_days: int | None
    source_id: BlockId | None
    deleted_at: datetime | None
    moderation_state: Literal["removed"] | None
    """What a moderator decided of it: learners see neither it nor what is below it, and it cannot be changed."""
    created_at: datetime
    updated_at: datetime


BLOCK = Answer(get=logic.get_block, view=BlockView, etag="version", path="/v1/blocks/{id}")


class BlockTypeView(View):
    """A block type, and the parents that it may have."""

    name: str
    title: str
    parents: list[str]
    completes: Completes | None
    min_ratio: float | None
    body_schema: dict[str, Any] | None


class BlockTypeList(View):
    items: list[BlockTypeView]


@router.post(
    "/v1/blocks",
    status_code=201,
    raises=(
        OutlineNotFound,
        UnknownBlockType,
        WrongParent,
        OutlineFull,
        BodyNotValid,
        ReleaseAmbiguous,
        ThingGone,
        TextRefused,
        AuthorMuted,
    ),
    example={
        "course_id": "0198c0de-0000-7000-8000-000000000000",
        "parent_id": "0198c0de-0000-7000-8000-000000000001",
        "type": "text",
        "title": "What a film is",
        "body": {"markdown": "# Pictures that move"},
    },
)
async def create_block(caller: Caller, new: NewBlock, response: Response) -> BlockView:
    """Add a block to the working outline of a course."""
    wanted = logic.NewBlock(**new.model_dump())
    return await BLOCK.created(response, caller, logic.create_block(caller, wanted))


@router.get("/v1/blocks", raises=(OutlineNotFound,))
async def list_blocks(
    caller: Caller,
    paging: Paging,
    course_id: UUID,
    state: Annotated[
        Literal["present", "deleted"], Query(description="`deleted`: what can be restored, newest first")
    ] = "present",
    id: Several[BlockId] = None,
) -> Page[BlockView]:
    """List the blocks of the working outline depth first: a parent before its children, siblings by position."""
    if state == "deleted":
        before = paging.after(course=course_id, state=state)
        deleted = await logic.list_deleted_blocks(
            caller,
            course_id,
            now=datetime.now(UTC),
            before=BlockId(before[0]) if before else None,
            limit=paging.rows,
        )
        return paging.page(deleted, render=BlockView.of)
    after = paging.after(str, sort="path", course=course_id, state=state, id=id)
    listed = await logic.list_blocks(caller, course_id, ids=id, after=after[0] if after else "", limit=paging.rows)
    return paging.page(listed, key=_path, render=lambda each: BlockView.of(each.block))


@router.get("/v1/blocks/-/types", public=True)
async def list_block_types() -> BlockTypeList:
    """List the block types and the schemas of their bodies."""
    return BlockTypeList(
        items=[
            BlockTypeView(
                name=type.name,
                title=type.title,
                parents=list(type.parents),
                completes=type.completes,
                min_ratio=type.min_ratio,
                body_schema=None if type.body is None else type.body.model_json_schema(),
            )
            for type in block_types().values()
        ]
    )


@router.get("/v1/blocks/{block_id}", raises=(BlockNotFound,))
async def get_block(caller: Caller, block_id: BlockId, response: Response) -> BlockView:
    """Return a block of the working outline."""
    return BLOCK.show(response, await logic.get_block(caller, block_id))


@router.patch(
    "/v1/blocks/{block_id}",
    raises=(
        BlockNotFound,
        BlockModerated,
        OutlineFull,
        BodyNotValid,
        ThingGone,
        ReleaseAmbiguous,
        TextRefused,
        AuthorMuted,
        Stale,
    ),
)
async def change_block(
    caller: Caller, block_id: BlockId, changes: BlockChanges, version: IfMatch, response: Response
) -> BlockView:
    """Change a block. Learners see the change when the course is next published."""
    wanted = changes.changes()
    major = wanted.pop("major", False)
    return await BLOCK.once(response, caller, logic.change_block(caller, block_id, wanted, version, major=major))


@router.post("/v1/blocks/{block_id}/move", raises=(BlockNotFound, WrongParent))
async def move_block(caller: Caller, block_id: BlockId, place: Place, response: Response) -> BlockView:
    """Move a block and its descendants within the outline. Ids and learners' progress are kept."""
    return await BLOCK.once(response, caller, logic.move_block(caller, block_id, place.parent_id, place.position))


@router.delete("/v1/blocks/{block_id}", status_code=204, raises=(BlockNotFound,))
async def delete_block(caller: Caller, block_id: BlockId) -> None:
    """Delete a block and its descendants from the working outline. They can be restored for 30 days."""
    await logic.delete_block(caller, block_id)


@router.post("/v1/blocks/{block_id}/restore", raises=(BlockNotFound, ParentIsDeleted, ThingGone, OutlineFull))
async def restore_block(caller: Caller, block_id: BlockId, response: Response) -> BlockView:
    """Restore a deleted block, and everything that was deleted with it, to its former place."""
    return await BLOCK.once(response, caller, logic.restore_block(caller, block_id))


def _path(listed: ListedBlock) -> str:
    return listed.path
