"""Lanes: which jobs may hold the slots of a worker host, so that slow ones do not keep those waiting that a person waits for.

A host has 16 slots. Each lane has some of its own, and all share the rest:

    lane     own   at most
    quick      4        10   somebody waits for it: a letter, a right
    normal     4        10
    bulk       2         6   nobody waits for it: purge, sweep, rebuild
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Lane = Literal["quick", "normal", "bulk"]

SLOTS = 16
OWN: Mapping[Lane, int] = {"quick": 4, "normal": 4, "bulk": 2}
SHARED = SLOTS - sum(OWN.values())
MOST: Mapping[Lane, int] = {"quick": 4 + SHARED, "normal": 4 + SHARED, "bulk": 6}


@dataclass(frozen=True, slots=True)
class Slots:
    """Free slots: those of each lane's own, those that all lanes share, and how many a lane may take of both."""

    shared: int
    own: Mapping[Lane, int] = field(default_factory=dict[Lane, int])
    most: Mapping[Lane, int] = field(default_factory=dict[Lane, int])
    """A lane that is missing here may take all."""

    @property
    def any(self) -> bool:
        return self.shared > 0 or any(count > 0 for count in self.own.values())


def free_slots(busy: Mapping[Lane, int]) -> Slots:
    """Return what is free while each lane has so many jobs running. A lane fills its own slots before shared ones."""
    held = {lane: busy.get(lane, 0) for lane in OWN}
    return Slots(
        shared=SHARED - sum(max(0, held[lane] - own) for lane, own in OWN.items()),
        own={lane: max(0, own - held[lane]) for lane, own in OWN.items()},
        most={lane: MOST[lane] - held[lane] for lane in OWN},
    )
