"""Breakers: whoever does not answer is left alone for a while, so that it takes no places from others.

Each process learns for itself; nothing is kept elsewhere.
"""

import time
from dataclasses import dataclass

clock = time.monotonic
_FIRST_S, _LONGEST_S = 30.0, 600.0


@dataclass(slots=True)
class Breaker:
    """What is known of one server: closed, open until a moment, then open but for one attempt."""

    most_failures: int
    """So many in a row, until it counts as away."""
    failures: int = 0
    open_s: float = 0.0
    open_until: float = 0.0

    def wait_s(self) -> float:
        """Return 0.0 when it may be asked now, else for how long not. One attempt is let through when that has passed."""
        if self.open_s == 0.0:
            return 0.0
        left = self.open_until - clock()
        if left > 0:
            return left
        self._open()
        return 0.0

    def answered(self) -> None:
        """Note that it answers."""
        self.failures, self.open_s = 0, 0.0

    def failed(self) -> None:
        """Note that it did not."""
        self.failures += 1
        if self.failures >= self.most_failures and self.open_s == 0.0:
            self._open()

    def _open(self) -> None:
        self.open_s = min(_LONGEST_S, self.open_s * 2 or _FIRST_S)
        self.open_until = clock() + self.open_s
