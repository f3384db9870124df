"""Admission: how much one process takes on at a time, and how often one address may knock without a token."""

import math
import time
from dataclasses import dataclass

from cluster.base.problems import TooManyRequests, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one process. Generous: a whole school may share one address."""

    short_requests: int = 500
    streams: int = 20_000
    guest_rate_per_s: float = 200.0
    guest_burst: int = 1000
    sign_in_rate_per_s: float = 20.0
    sign_in_burst: int = 300


class Admission:
    """Counts what is in flight and refuses what is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.short = 0
        self.streams = 0
        self._guests = Buckets(limits.guest_rate_per_s, limits.guest_burst)
        self._sign_ins = Buckets(limits.sign_in_rate_per_s, limits.sign_in_burst)

    def enter_short(self) -> None:
        """Count a short request in.

        Raises:
            Unavailable: this process has its hands full.
        """
        if self.short >= self.limits.short_requests:
            raise Unavailable("too much is going on at once; nothing was done, repeat it shortly", retry_after_s=1)
        self.short += 1

    def leave_short(self) -> None:
        self.short -= 1

    def enter_stream(self) -> None:
        """Count a stream in.

        Raises:
            Unavailable: this process holds as many as it can.
        """
        if self.streams >= self.limits.streams:
            raise Unavailable("too many streams are open; repeat it shortly", retry_after_s=5)
        self.streams += 1

    def leave_stream(self) -> None:
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
