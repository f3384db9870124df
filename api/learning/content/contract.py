"""What other services may know of content: ids, values, block types, events, problems and the calls it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NewType, Protocol
from uuid import UUID

from pydantic import BaseModel

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, Invalid, NotFound
from cluster.data.uses import Ref
from cluster.events import event
from cluster.jobs import job

BlockId = NewType("BlockId", UUID)
FrozenId = NewType("FrozenId", UUID)

Completes = Literal["viewed", "marked", "watched", "scored"]
"""How a block completes. Only `viewed` and `marked` may be claimed by a client; the others are measured."""

ROOT = "outline"
"""Names the top of the outline among the `parents` of a block type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockType:
    """An offer: one kind of block, where it may stand, how it completes and what its body holds."""

    name: str
    title: str
    parents: tuple[str, ...]
    """Types that may hold it directly; `ROOT` for the top."""
    completes: Completes | None = None
    """None: it holds others, and is never required itself."""
    min_ratio: float | None = None
    """What `watched` and `scored` ask for, 0 to 1."""
    body: type[BaseModel] | None = None
    """Validates the body; None: the block has none."""
    things: Mapping[str, str] = field(default_factory=dict[str, str])
    """Which fields of the body name things that the block uses, and of which kind: `{"video_id": "video"}`."""
    things_in: Callable[[Mapping[str, Any]], Mapping[Ref, str]] | None = None
    """Finds what else a body names, and where in it (RFC 6901): `{Ref("asset", id): "/markdown"}`."""

    @property
    def uses_things(self) -> bool:
        return bool(self.things) or self.things_in is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenBlock:
    """A block in an immutable outline."""

    id: BlockId
    parent_id: BlockId | None
    type: str
    title: str
    body: dict[str, Any]
    version: int
    """Counts changes of title and body; completions name it."""
    min_version: int
    """Completions of older versions no longer count: a major change asks for the block again."""
    completes: Completes | None
    min_ratio: float | None
    release_at: datetime | None
    release_after_days: int | None
    """Days after the run's start; without a start the block is open at once."""
    source_id: BlockId | None
    source_version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenOutline:
    """An immutable outline, its blocks in tree order: a parent before its children."""

    id: FrozenId
    course_id: UUID
    org_id: OrgId
    blocks: tuple[FrozenBlock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that stands in the way of publishing, and the block to go to."""

    code: str
    """`no-lesson-with-content`, or `<thing>-not-ready`: `film-not-ready`."""
    block_id: BlockId | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What `freeze` made, or found made already."""

    frozen_id: FrozenId
    """Names nothing while something is missing."""
    outline_version: int
    """The working outline's version that was frozen."""
    lessons: int
    blocks: int
    missing: tuple[Missing, ...]
    """Empty: it can be published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedOutline:
    course_id: UUID
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBlock:
    """A block that this person may open now."""

    block_id: BlockId
    type: str
    title: str
    body: dict[str, Any]
    completes: Completes | None
    min_ratio: float | None
    version: int
    course_id: UUID
    org_id: OrgId
    run_id: UUID
    revision: int
    preview: bool
    """Opened before its release by someone who edits the course."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredBlock:
    """A block of a run's current revision that completes."""

    block_id: BlockId
    type: str
    version: int
    min_version: int
    completes: Completes
    min_ratio: float | None
    released: bool
    release_at: datetime | None
    """When it opens, its parents' dates included; None: it always was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutline:
    """What a run requires now."""

    run_id: UUID
    course_id: UUID
    org_id: OrgId
    revision: int
    required: tuple[RequiredBlock, ...]


class ContentCalls(Protocol):
    """What content answers to higher ranks."""

    async def create_outline(self, course_id: UUID, org_id: OrgId) -> None:
        """Make the empty outline of a course. Safe to repeat."""
        ...

    async def freeze(self, course_id: UUID) -> Frozen:
        """Keep the working outline until `let_go`. The same outline gets the same `frozen_id`; harmless if the caller dies.

        Raises: OutlineNotFound.
        """
        ...

    async def copy_outline(
        self, source_course_id: UUID, target_course_id: UUID, org_id: OrgId, frozen_id: FrozenId | None = None
    ) -> CopiedOutline:
        """Fill a course's empty outline with new blocks made from another's working outline, or from `frozen_id`.

        Safe to repeat: a target that was filled from this source is left alone.

        Raises: OutlineNotFound, OutlineNotEmpty.
        """
        ...

    async def let_go(self, frozen_id: FrozenId) -> None:
        """Let go of what a frozen outline uses, for good: `freeze` never returns this id again. Safe to repeat."""
        ...

    async def outline_of(self, frozen_id: FrozenId) -> FrozenOutline:
        """Return an immutable outline.

        Raises: OutlineNotFound.
        """
        ...

    async def may_open(self, user_id: UserId, run_id: UUID, block_id: BlockId, fresh: bool = False) -> OpenBlock:
        """Return a block of the run's current revision if this person may open it now: enrolled and released, or staff.

        `fresh` asks the owners of the relations, not their caches: before a playback is issued.

        Raises: BlockNotFound, BlockNotReleased, Forbidden, NotFound.
        """
        ...

    async def required_blocks(self, run_id: UUID, user_id: UserId) -> RunOutline:
        """Return the blocks that complete in the run's current revision, in tree order, released or not.

        Raises: OutlineNotFound.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEvent:
    """What every event of a block of a working outline names."""

    block_id: BlockId
    type: str
    course_id: UUID
    org_id: OrgId


@event("block.created", subject="block_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCreated(BlockEvent):
    """A block was put in."""


@event("block.updated", subject="block_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockUpdated(BlockEvent):
    """A block was changed where it stands."""

    fields: tuple[str, ...]


@event("block.moved", subject="block_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMoved(BlockEvent):
    """It and everything below it stands elsewhere."""

    parent_id: BlockId | None
    position: int


@event("block.deleted", subject="block_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDeleted(BlockEvent):
    """It and everything below it left the working outline."""


@event("block.restored", subject="block_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRestored(BlockEvent):
    """It and everything that was deleted with it is back."""


@event("block.judged", subject="block_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockJudged:
    """A moderator's decision, or its reversal, took it out of what learners see, or left or brought it there."""

    block_id: BlockId
    course_id: UUID
    org_id: OrgId | None
    removed: bool


@event("outline.changed", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineChanged:
    """The working outline is another now. `Frozen.outline_version` tells whether a revision already has this change."""

    course_id: UUID
    org_id: OrgId
    outline_version: int


@event("lesson.documents_changed", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LessonDocumentsChanged:
    """What people find of the published texts of a course is something else now."""

    course_id: UUID
    org_id: OrgId
    document_ids: tuple[UUID, ...]


@job("content.document", attempts=10, timeout_s=120)
@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCourse:
    """Brings up to date what people find of the published texts of a course."""

    course_id: UUID

    @staticmethod
    def dedupe(course_id: UUID) -> str:
        return f"document:{course_id}"


class OutlineNotFound(NotFound):
    title = "No such outline"


class OutlineNotEmpty(Conflict):
    title = "The outline already has blocks"


class OutlineFull(Conflict):
    title = "The outline is full"


class BlockNotFound(NotFound):
    title = "No such block"


class BlockModerated(Conflict):
    title = "A moderator has removed the block"


class BlockNotReleased(Forbidden):
    """Carries `release_at`."""

    title = "The block is not released yet"


class ParentIsDeleted(Conflict):
    """Carries `deleted_block_id`: restore that one."""

    title = "The parent block is deleted"


class UnknownBlockType(Invalid):
    title = "No such type of block"


class WrongParent(Invalid):
    title = "A block of this type cannot have this parent"


class BodyNotValid(Invalid):
    title = "The body does not fit the type of the block"


class ReleaseAmbiguous(Invalid):
    title = "A block is released on a date or some days after the run starts, not both"
