"""Ranges of a film that a learner has watched, in whole milliseconds, and how much of a claim is believed.

Nobody watches more than 2.5 seconds of film per second. Each learner and film has a credit that grows with the time in
which they hold a playback; new milliseconds use it up, milliseconds watched before cost nothing. So uniting is idempotent,
and however many heartbeats and playbacks tell of a film, it is never watched faster.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from api.learning.content.contract import BlockId
from api.learning.enrollment.contract import EnrollmentId
from cluster.base.ids import OrgId, UserId

Range = tuple[int, int]
"""From, and up to but without, in milliseconds."""
Ranges = tuple[Range, ...]
"""In order, apart from each other, none empty."""

MAX_SPEED = 2.5
INITIAL_CREDIT_MS = 500
"""Clocks and packets are not exact."""
MAX_RANGES = 500
"""A film in more pieces than this is not watched by a person; further pieces are not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The ranges that a learner has watched of the film of a block."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    video_id: UUID
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    block_version: int
    min_ratio: float | None
    """How much of the film completes the block; None: watching does not."""
    duration_ms: int
    ranges: Ranges
    position_ms: int
    credit_ms: int
    heard_at: datetime
    """Up to here passed time is turned into credit."""

    @property
    def ratio(self) -> float:
        return min(1.0, length(self.ranges) / self.duration_ms)

    @property
    def enough(self) -> bool:
        return self.min_ratio is not None and self.ratio >= self.min_ratio


def unite(*lots: Iterable[Range]) -> Ranges:
    """Return the ranges that cover what any of these cover."""
    united: list[Range] = []
    for start, end in sorted(each for lot in lots for each in lot if each[0] < each[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return tuple(united)


def subtract(ranges: Ranges, known: Ranges) -> Ranges:
    """Return what is in `ranges` and not in `known`."""
    rest: list[Range] = []
    for start, end in ranges:
        for known_start, known_end in known:
            if known_end <= start or end <= known_start:
                continue
            if start < known_start:
                rest.append((start, known_start))
            start = known_end
            if start >= end:
                break
        if start < end:
            rest.append((start, end))
    return tuple(rest)


def earliest(ranges: Ranges, amount_ms: int) -> Ranges:
    """Return the first `amount_ms` of some ranges."""
    taken: list[Range] = []
    for start, end in ranges:
        if amount_ms <= 0:
            break
        taken.append((start, min(end, start + amount_ms)))
        amount_ms -= end - start
    return tuple(taken)


def length(ranges: Ranges) -> int:
    return sum(end - start for start, end in ranges)


def hear(
    watched: Watched,
    claims: Iterable[Range],
    *,
    position_ms: int,
    seen_at: datetime,
    began_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> Watched:
    """Return the watched ranges after a heartbeat of the playback that began and ends then.

    The position is where the player stood last, also when not all that was claimed is believed.
    """
    at = min(now, ends_at)
    passed = max(timedelta(0), at - max(watched.heard_at, began_at))
    credit = min(watched.duration_ms, watched.credit_ms + int(passed / timedelta(milliseconds=1) * MAX_SPEED))
    inside = unite((max(0, start), min(end, watched.duration_ms)) for start, end in claims)
    believed = earliest(subtract(inside, watched.ranges), credit)
    ranges = unite(watched.ranges, believed)
    if len(ranges) > MAX_RANGES:
        ranges, believed = watched.ranges, ()
    return replace(
        watched,
        ranges=ranges,
        position_ms=watched.position_ms if seen_at < watched.heard_at else min(position_ms, watched.duration_ms),
        credit_ms=credit - length(believed),
        heard_at=max(watched.heard_at, at),
    )


Rule = Callable[[Watched], Watched]


def newest(watched: Watched, playback: Watched) -> Watched:
    """Take over the version of the block that this playback shows, when it is not an older one."""
    if playback.block_version < watched.block_version:
        return watched
    return replace(
        watched,
        block_version=playback.block_version,
        min_ratio=playback.min_ratio,
        duration_ms=playback.duration_ms,
    )
