"""Several carriers, tried in their order: a letter goes to the first that takes letters now.

The next one is asked only when nothing was handed to the one before: it takes no connection, or is left alone because it took none.
A carrier that got a letter and did not answer may have taken it: the letter is tried later, and nobody else gets it before.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from api.engagement.email.delivery.transport import Outgoing, RelayAway, TakesNoSuchAddress, Transport
from api.engagement.email.rules import Reply
from cluster.base.breaker import Breaker

log = logging.getLogger(__name__)

FAILURES = 3
"""In a row, until a carrier is left alone for a while."""

breakers: dict[str, Breaker] = {}
"""By the name of the carrier, in this process."""


class Carriers:
    """Hands letters to the first carrier that takes them."""

    ascii_only = False
    keeps_content = False

    def __init__(self, carriers: Sequence[Transport]) -> None:
        self._carriers = [(each, breakers.setdefault(each.name, Breaker(FAILURES))) for each in carriers]
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
            if breaker.wait_s() == 0.0:
                yield carrier, breaker
            else:
                left_alone.append((carrier, breaker))
        yield from left_alone

    async def close(self) -> None:
        for carrier, _ in self._carriers:
            await carrier.close()
