"""How far somebody is: which blocks count, what is missing, and when all is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.learning.content.contract import BlockId, RequiredBlock


@dataclass(frozen=True, slots=True)
class Done:
    """The newest version of a block that somebody completed."""

    block_version: int
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What is required of somebody now, how much of it is done, and how much opens later.

    Percent is of what a learner can reach now: in a course that opens week by week, 100 means that they keep up, and it
    falls when the next week opens. Finished is who has done all, what is still to come included: nobody is given the
    course for its first week.
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
    """Count what is done of what is required. What was done and is no longer required does not count."""
    completed = sum(counts(block, done) for block in required)
    total = sum(block.released or counts(block, done) for block in required)
    return Standing(completed, total, len(required) - total)


def happened_at(occurred_at: datetime | None, now: datetime) -> datetime:
    """Return when something was done: a client without a connection tells later, but nobody tells the future."""
    return now if occurred_at is None else min(occurred_at, now)
