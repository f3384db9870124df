"""Admission: how much one process takes on at a time, and how often one address may knock without a token."""

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

from cluster.base.problems import TooManyRequests, Unavailable

sign_ins: set[tuple[str, str]] = set()
"""Method and path of the routes that were declared with `signs_in=True`: addresses without a token ask them less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one process. Generous: a whole school may share one address."""

    short_requests: int = 500
    """One service may have half of them: when its table is locked, the others go on."""
    target_lag_s: float = 0.05
    """How late the event loop may be for long, before fewer requests are worked on."""
    bodies: int = 2000
    """Requests whose body has not arrived; one address may have a quarter of them."""
    streams: int = 20_000
    guest_rate_per_s: float = 200.0
    guest_burst: int = 1000
    sign_in_rate_per_s: float = 20.0
    sign_in_burst: int = 300


Kind = Literal["body", "short", "stream"]
"""What a request counts as: its body is on the way, it is worked on, or its answer takes long."""


LEAST_SHORT = 32
"""So many requests a process works on although it is late for a moment: what one page asks at once is not refused."""
LEAST_OVERLOADED = 4
"""So many it works on in an overload that lasts: whoever is admitted then waits for few others."""
_TICK_S = 0.05
_LATE_TICKS = 3
_VERY_LATE = 10
"""Times the target: no need to look again."""
_OVERLOADED_AFTER_S = 1.0
_RECOVERED_AFTER_S = 2.0
_STRICTER = 0.2
"""Of the target, in an overload: two thirds are refused anyhow, so the others need not wait."""
_FEWER, _MORE = 0.7, 1.05
_CALM_TICKS = 8


class TemporaryReducedCapacity(Unavailable):
    """This process has more to do than it can (draft-ietf-httpapi-ratelimit-headers-11, section 5)."""

    title = "Request cannot be satisfied due to temporary server capacity constraints"
    type_uri: ClassVar[str | None] = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


class Pace:
    """How many short requests a process works on at a time: fewer while its event loop is late, more again when it is not.

    A queue that stands for three ticks is too long (CoDel; RFC 8289); the limit falls by a share and grows by a smaller one (AIMD;
    Chiu and Jain, 1989). Requests that wait for a database delay nobody and do not count as late. A moment of lateness leaves what
    one page asks at once; an overload that lasts for a second leaves next to nothing in the queue, and looks closer.
    """

    def __init__(self, most: int, target_lag_s: float) -> None:
        self.limit = most
        self._most = most
        self._target_lag_s = target_lag_s
        self._late = 0
        self._calm = 0
        self._overload_s = 0.0

    @property
    def is_reduced(self) -> bool:
        return self.limit < self._most

    def observe(self, lag_s: float, in_flight: int, refused: int) -> None:
        """Take note of how late the event loop was with a timer, and how many were refused since the last one."""
        overloaded = self._overload_s >= _OVERLOADED_AFTER_S
        target_s = self._target_lag_s * (_STRICTER if overloaded else 1.0)
        if lag_s > target_s and (refused or not self.is_reduced):
            self._late, self._calm = self._late + 1, 0
            # As many as are never refused may keep a process late: they wait for each other alone.
            self._overload_s += _TICK_S + lag_s if refused else 0.0
        else:
            self._late, self._calm = 0, self._calm + 1
            if self._calm * _TICK_S >= _RECOVERED_AFTER_S:
                self._overload_s = 0.0
        if self._late >= _LATE_TICKS or (self._late and lag_s > _VERY_LATE * self._target_lag_s):
            # A turn of the event loop takes as long as there is to do in it.
            share = min(_FEWER, max(2 * target_s / lag_s, 0.2))
            least = min(LEAST_OVERLOADED if overloaded else LEAST_SHORT, self._most)
            self.limit = max(least, int(min(self.limit, in_flight) * share))
        elif self._calm and self.is_reduced and not (overloaded and self._calm % _CALM_TICKS):
            self.limit = min(self._most, max(self.limit + 1, int(self.limit * _MORE)))


class Admission:
    """Counts what is in flight and refuses what is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bodies = 0
        self.short = 0
        self.streams = 0
        self.pace = Pace(limits.short_requests, limits.target_lag_s)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._refused = 0
        self._refused_before = 0
        self._bodies_of: Counter[str] = Counter()
        self._short_of: Counter[str] = Counter()
        self._guests = Buckets(limits.guest_rate_per_s, limits.guest_burst)
        self._sign_ins = Buckets(limits.sign_in_rate_per_s, limits.sign_in_burst)

    def enter(self, kind: Kind, address: str, service: str, *, is_call: bool = False) -> None:
        """Count a request in. A call is part of a request that was admitted elsewhere.

        Raises:
            TemporaryReducedCapacity: this process is late already.
            Unavailable: this process, this address or this service has as many as it may.
        """
        match kind:
            case "short":
                most = self.limits.short_requests
                if self.short >= most or (service and self._short_of[service] >= max(1, most // 2)):
                    raise Unavailable(
                        "too much is going on at once; nothing was done, repeat it shortly", retry_after_s=1
                    )
                if self.short >= LEAST_OVERLOADED:
                    self._watch()
                    if self.short >= self.pace.limit and not is_call:
                        self._refused += 1
                        raise TemporaryReducedCapacity(
                            "too much is asked at once; nothing was done, repeat it shortly",
                            # Those who are sent away together do not come back together.
                            retry_after_s=1 + self._refused % 4,
                        )
                self.short += 1
                self._short_of[service] += 1
            case "body":
                if self.bodies >= self.limits.bodies or self._bodies_of[address] >= max(1, self.limits.bodies // 4):
                    raise Unavailable("too many requests wait for their bodies; repeat it shortly", retry_after_s=1)
                self.bodies += 1
                self._bodies_of[address] += 1
            case "stream":
                if self.streams >= self.limits.streams:
                    raise Unavailable("too many streams are open; repeat it shortly", retry_after_s=5)
                self.streams += 1

    def _watch(self) -> None:
        """See how late the event loop is, as long as there is much to do."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time() + _TICK_S
            self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        refused, self._refused_before = self._refused - self._refused_before, self._refused
        self.pace.observe(asyncio.get_running_loop().time() - self._due, self.short, refused)
        if self.pace.is_reduced or self.short >= LEAST_OVERLOADED:
            self._watch()

    def leave(self, kind: Kind, address: str, service: str) -> None:
        """Count a request out."""
        match kind:
            case "short":
                self.short -= 1
                self._short_of[service] -= 1
            case "body":
                self.bodies -= 1
                self._bodies_of[address] -= 1
                if not self._bodies_of[address]:
                    del self._bodies_of[address]
            case "stream":
                self.streams -= 1

    def take(self, address: str, *, signs_in: bool) -> None:
        """Let one request of an address without a valid token pass.

        Raises:
            TooManyRequests
        """
        now = time.monotonic()
        wait_s = self._guests.take(address, now)
        if not wait_s and signs_in:
            wait_s = self._sign_ins.take(address, now)
        if wait_s:
            seconds = math.ceil(wait_s)
            raise TooManyRequests(f"wait {seconds} s; signed in you may ask more often", retry_after_s=seconds)


class Buckets:
    """A token bucket per key, kept as one number: when the bucket would be full again (GCRA; ITU-T I.371)."""

    def __init__(self, rate_per_s: float, burst: int, *, capacity: int = 50_000) -> None:
        self._interval_s = 1 / rate_per_s
        self._depth_s = burst / rate_per_s
        self._capacity = capacity
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float) -> float:
        """Take one token and return 0, or take none and return the seconds until there is one."""
        full_at = max(self._full_at.get(key, now), now)
        wait_s = full_at + self._interval_s - now - self._depth_s
        # A hair of slack: a bucket of n must give n tokens in spite of rounding.
        if wait_s > 1e-9:
            return wait_s
        if len(self._full_at) >= self._capacity and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = full_at + self._interval_s
        return 0.0

    def _forget(self, now: float) -> None:
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= self._capacity:
            # An attack from everywhere: starting over is kinder than scanning per request.
            self._full_at.clear()
