"""What the pace of a process does with a load, counted on a clock of the test's own: the same on every machine."""

import math
import random
from dataclasses import dataclass, field

import pytest

from cluster.http.admission import LEAST_OVERLOADED, LEAST_SHORT, Limits, Pace

WORK_S = 0.003
REFUSAL_S = 0.0002
TICK_S = 0.05
MOST_PER_S = 1 / (WORK_S + REFUSAL_S)


@dataclass(slots=True)
class Process:
    """An event loop that takes what has come in each of its turns, and works on what it admitted in the turn after."""

    pace: Pace = field(default_factory=lambda: Pace(Limits().short_requests, Limits().target_lag_s))
    now: float = 0.0
    took: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When each answer was given, and the seconds since its request came."""
    refused: list[float] = field(default_factory=list[float])
    _work: list[float] = field(default_factory=list[float])
    _tick_at: float | None = None
    _told: int = 0

    def serve(self, arrivals: list[float]) -> None:
        """Answer or refuse requests that come at these times."""
        position = 0
        while position < len(arrivals) or self._work:
            self._tick()
            admitted: list[float] = []
            while position < len(arrivals) and arrivals[position] <= self.now:
                in_flight = len(self._work) + len(admitted)
                if in_flight >= LEAST_OVERLOADED and self._tick_at is None:
                    self._tick_at = self.now + TICK_S
                if in_flight >= self.pace.limit:
                    self.refused.append(self.now)
                else:
                    admitted.append(arrivals[position])
                self.now += REFUSAL_S
                position += 1
            for came_at in self._work:
                self.now += WORK_S
                self.took.append((self.now, self.now - came_at))
            is_idle = not admitted and not self._work
            self._work = admitted
            if is_idle and position < len(arrivals):
                self.now = max(self.now, min(arrivals[position], self._tick_at or math.inf))

    def _tick(self) -> None:
        if self._tick_at is not None and self.now >= self._tick_at:
            self.pace.observe(self.now - self._tick_at, len(self._work), len(self.refused) - self._told)
            self._told = len(self.refused)
            busy = self.pace.is_reduced or len(self._work) >= LEAST_OVERLOADED
            self._tick_at = self.now + TICK_S if busy else None

    def slowest_hundredth(self, *, since: float) -> float:
        """Return the seconds that 99 of 100 answers did not exceed."""
        seconds = sorted(took for at, took in self.took if at >= since)
        return seconds[int(len(seconds) * 0.99)]


def arrivals(per_s: float, *, since: float = 0.0, until: float) -> list[float]:
    """Return times at which requests come that know nothing of each other."""
    chance, times, now = random.Random(7), list[float](), since
    while (now := now + chance.expovariate(per_s)) < until:
        times.append(now)
    return times


def test_pace_keeps_admitted_requests_quick_at_three_times_the_load() -> None:
    calm, full = Process(), Process()

    calm.serve(arrivals(MOST_PER_S / 3, until=20))
    full.serve(arrivals(MOST_PER_S * 3, until=20))

    assert calm.refused == []
    assert full.slowest_hundredth(since=2.0) <= 5 * calm.slowest_hundredth(since=2.0)
    assert len(full.took) >= 0.8 * MOST_PER_S * 20


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_pace_refuses_nothing_that_a_process_can_take(share: float) -> None:
    process = Process()

    process.serve(arrivals(MOST_PER_S * share, until=60))

    assert process.refused == []


def test_pace_refuses_no_page_that_asks_much_at_once() -> None:
    process = Process()

    process.serve([page for page in range(0, 60, 2) for _ in range(30)])

    assert process.refused == []


def test_pace_recovers_from_an_overload_within_seconds() -> None:
    process = Process()

    overload = arrivals(MOST_PER_S * 3, until=10)
    process.serve([*overload, *arrivals(MOST_PER_S / 3, since=10, until=20)])

    assert any(at < 10 for at in process.refused)
    assert not [at for at in process.refused if at >= 13]
    assert not process.pace.is_reduced


def test_pace_refuses_none_of_a_class_that_asks_without_end() -> None:
    pace = Process().pace

    for _ in range(200):
        pace.observe(LEAST_SHORT * WORK_S, LEAST_SHORT, 0)

    assert pace.limit >= LEAST_SHORT


def test_pace_is_not_kept_low_by_lateness_that_no_request_causes() -> None:
    process = Process()
    process.serve(arrivals(MOST_PER_S * 3, until=5))
    assert process.pace.limit < LEAST_SHORT

    for _ in range(200):
        process.pace.observe(0.03, 2, 0)

    assert not process.pace.is_reduced
