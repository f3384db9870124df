"""Breakers: a push service that does not answer is left alone for a while, so that it takes no places from others.

Each process learns for itself; nothing is kept elsewhere.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

clock = time.monotonic
FAILURES = 5
"""In a row, until it counts as away."""
_FIRST_S, _LONGEST_S = 30.0, 600.0
_MOST_HOSTS = 10_000


@dataclass(slots=True)
class Breaker:
    """What is known of one host: closed, open until a moment, then open but for one attempt."""

    failures: int = 0
    open_s: float = 0.0
    open_until: float = 0.0

    def wait_s(self) -> float:
        """Return 0.0 when the host may be asked now, else for how long not. One attempt is let through when that has passed."""
        if self.open_s == 0.0:
            return 0.0
        left = self.open_until - clock()
        if left > 0:
            return left
        self._open()
        return 0.0

    def answered(self) -> None:
        """Note that the host answers."""
        self.failures, self.open_s = 0, 0.0

    def failed(self) -> None:
        """Note that it did not."""
        self.failures += 1
        if self.failures >= FAILURES and self.open_s == 0.0:
            self._open()

    def _open(self) -> None:
        self.open_s = min(_LONGEST_S, self.open_s * 2 or _FIRST_S)
        self.open_until = clock() + self.open_s


_breakers: OrderedDict[str, Breaker] = OrderedDict()


def breaker_of(host: str) -> Breaker:
    """Return the breaker of a host; those that were asked for longest ago are forgotten when there are too many."""
    breaker = _breakers.get(host)
    if breaker is None:
        breaker = _breakers[host] = Breaker()
        if len(_breakers) > _MOST_HOSTS:
            _breakers.popitem(last=False)
    _breakers.move_to_end(host)
    return breaker
