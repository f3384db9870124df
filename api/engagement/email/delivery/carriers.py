"""Several carriers, tried in their order: a letter goes to the first that takes letters now.

The next one is asked only when nothing was handed to the one before: it takes no connection, or is left alone because it took none.
A carrier that got a letter and did not answer may have taken it: the letter is tried later, and nobody else gets it before.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from api.engagement.email.delivery.transport import Outgoing, RelayAway, TakesNoSuchAddress, Transport
from api.engagement.email.rules import Reply

log = logging.getLogger(__name__)

clock = time.monotonic
FAILURES = 3
"""In a row, until a carrier is left alone for a while."""
_FIRST_S, _LONGEST_S = 30.0, 600.0


@dataclass(slots=True)
class Breaker:
    """What a process knows of a carrier: whether it is left alone, and until when."""

    failures: int = 0
    open_s: float = 0.0
    open_until: float = 0.0

    def may_try(self) -> bool:
        """Tell whether to ask it. When it was left alone long enough one letter is let through, the others wait for its answer."""
        if self.open_s == 0.0:
            return True
        if clock() < self.open_until:
            return False
        self._open()
        return True

    def answered(self) -> None:
        self.failures, self.open_s = 0, 0.0

    def failed(self) -> None:
        self.failures += 1
        if self.failures >= FAILURES and self.open_s == 0.0:
            self._open()

    def _open(self) -> None:
        self.open_s = min(_LONGEST_S, self.open_s * 2 or _FIRST_S)
        self.open_until = clock() + self.open_s


breakers: dict[str, Breaker] = {}
"""By the name of the carrier, in this process."""


class Carriers:
    """Hands letters to the first carrier that takes them."""

    ascii_only = False
    keeps_content = False

    def __init__(self, carriers: Sequence[Transport]) -> None:
        self._carriers = [(each, breakers.setdefault(each.name, Breaker())) for each in carriers]
        self.name = self._carriers[0][0].name
        self.rewrites_headers = any(each.rewrites_headers for each in carriers)

    async def deliver(self, outgoing: Outgoing) -> Reply:
        """Hand a message to one carrier, and to no second one once it was handed over.

        Raises:
            RelayAway: none takes letters now; nothing was handed over.
        """
        why = ""
        fit = [each for each in self._carriers if outgoing.to.isascii() or not each[0].ascii_only]
        unfit = len(fit) < len(self._carriers)
        for carrier, breaker in self._in_turn(fit):
            try:
                reply = await carrier.deliver(outgoing)
            except RelayAway as away:
                breaker.failed()
                why = f"{why}; {away}" if why else str(away)
                log.warning("a carrier takes no letters", extra={"carrier": carrier.name, "error": str(away)})
                continue
            except TakesNoSuchAddress:
                breaker.answered()
                unfit = True
                continue
            if reply.code is None:
                breaker.failed()
            else:
                breaker.answered()
            return replace(reply, carrier=carrier.name)
        if unfit and why:
            # This letter waits alone: others have a carrier.
            return Reply(code=None, text=f"the carriers that may take such an address are away: {why}", stage="connect")
        if unfit:
            return Reply(code=550, text="5.6.7 no carrier takes such an address (RFC 6531)", stage="mail")
        raise RelayAway(why)

    def _in_turn(self, carriers: Sequence[tuple[Transport, Breaker]]) -> Iterator[tuple[Transport, Breaker]]:
        """Yield those that are not left alone; then the others all the same, because letters have no other way."""
        left_alone: list[tuple[Transport, Breaker]] = []
        for carrier, breaker in carriers:
            # Asked here and not before: it counts as a try, and the one before may have taken the letter.
            if breaker.may_try():
                yield carrier, breaker
            else:
                left_alone.append((carrier, breaker))
        yield from left_alone

    async def close(self) -> None:
        for carrier, _ in self._carriers:
            await carrier.close()
