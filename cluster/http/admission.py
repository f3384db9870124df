"""Admission: how much one process takes on at a time, and how often one address may knock without a token."""

import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from cluster.base.problems import TooManyRequests, Unavailable

sign_ins: set[tuple[str, str]] = set()
"""Method and path of the routes that were declared with `signs_in=True`: addresses without a token ask them less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one process. Generous: a whole school may share one address."""

    short_requests: int = 500
    """One service may have half of them: when its table is locked, the others go on."""
    bodies: int = 2000
    """Requests whose body has not arrived; one address may have a quarter of them."""
    streams: int = 20_000
    guest_rate_per_s: float = 200.0
    guest_burst: int = 1000
    sign_in_rate_per_s: float = 20.0
    sign_in_burst: int = 300


Kind = Literal["body", "short", "stream"]
"""What a request counts as: its body is on the way, it is worked on, or its answer takes long."""


class Admission:
    """Counts what is in flight and refuses what is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bodies = 0
        self.short = 0
        self.streams = 0
        self._bodies_of: Counter[str] = Counter()
        self._short_of: Counter[str] = Counter()
        self._guests = Buckets(limits.guest_rate_per_s, limits.guest_burst)
        self._sign_ins = Buckets(limits.sign_in_rate_per_s, limits.sign_in_burst)

    def enter(self, kind: Kind, address: str, service: str) -> None:
        """Count a request in.

        Raises:
            Unavailable: this process, this address or this service has as many as it may.
        """
        match kind:
            case "short":
                most = self.limits.short_requests
                if self.short >= most or (service and self._short_of[service] >= max(1, most // 2)):
                    raise Unavailable(
                        "too much is going on at once; nothing was done, repeat it shortly", retry_after_s=1
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
