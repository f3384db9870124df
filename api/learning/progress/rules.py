"""How far a learner is: which blocks count, what is missing, and when all is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from api.learning.content.contract import BlockId, RequiredBlock


@dataclass(frozen=True, slots=True)
class Done:
    """The newest version of a block that a learner completed."""

    block_version: int
    completed_at: datetime


BlockState = Literal["open", "started", "completed", "not_released"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockProgress:
    """How far a learner is with one block."""

    block_id: BlockId
    type: str
    state: BlockState
    completed_at: datetime | None
    watched_ratio: float | None
    release_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How much is required of a learner now, how much of it is done, and how much opens later.

    Percent is of what a learner can reach now: in a course that opens week by week, 100 means that they keep up, and it
    falls when the next week opens. A learner has finished with all blocks done, those to come included: nobody is given
    the course for its first week.
    """

    completed: int
    total: int
    """Done or open to them."""
    to_come: int
    """Neither done nor released."""

    @property
    def percent(self) -> int:
        """Whole percent, rounded down: 100 means all that is open. Nothing to do is not complete."""
        return 100 * self.completed // self.total if self.total else 0

    @property
    def finished(self) -> bool:
        return 0 < self.total == self.completed and self.to_come == 0


def counts(block: RequiredBlock, done: Mapping[BlockId, Done]) -> bool:
    """Tell whether a block is done: in this version, or in one since its last major change."""
    found = done.get(block.block_id)
    return found is not None and found.block_version >= block.min_version


def standing(required: Sequence[RequiredBlock], done: Mapping[BlockId, Done]) -> Standing:
    """Count the required blocks that are done. A block that was done and is no longer required does not count."""
    completed = sum(counts(block, done) for block in required)
    total = sum(block.released or counts(block, done) for block in required)
    return Standing(completed, total, len(required) - total)


def progress_of(block: RequiredBlock, done: Mapping[BlockId, Done], watched_ratio: float | None) -> BlockProgress:
    """Return how far a learner is with a block; `watched_ratio` is of its film, None without one that was begun."""
    completed_at = done[block.block_id].completed_at if counts(block, done) else None
    state: BlockState = "open" if watched_ratio is None else "started"
    if completed_at is not None:
        state = "completed"
    elif not block.released:
        state = "not_released"
    return BlockProgress(
        block_id=block.block_id,
        type=block.type,
        state=state,
        completed_at=completed_at,
        watched_ratio=None if watched_ratio is None else round(watched_ratio, 4),
        release_at=block.release_at,
    )


def happened_at(occurred_at: datetime | None, now: datetime) -> datetime:
    """Return when something was done: a client without a connection reports later, but no report is of the future."""
    return now if occurred_at is None else min(occurred_at, now)
