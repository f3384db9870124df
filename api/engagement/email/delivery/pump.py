"""Hand letters of a lane over, many receiving domains side by side, and record each before the connection's next.

A domain is held by one pump at a time, under a lease that lasts 15 s beyond the pump's death. A letter that was under way then is
handed over again: if the server had taken it, its reader gets it twice, under one Message-ID. That is the one window; it holds
as many letters as there were connections.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.engagement.email.contract import Lane, LetterId
from api.engagement.email.delivery import store
from api.engagement.email.delivery.gate import pass_gate
from api.engagement.email.delivery.recorder import Recorder
from api.engagement.email.delivery.store import Destination, Released, Tried, Waiting
from api.engagement.email.delivery.transport import CONNECTIONS, Outgoing, RelayAway, Transport
from api.engagement.email.delivery.writing import Writer, find_writer
from api.engagement.email.rules import (
    TRIED_FOR,
    Reply,
    is_hard,
    next_pace,
    outcome_of,
    retry_at,
    slows_down,
    without_address,
)
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import Problem
from cluster.base.sealing import SealBroken
from cluster.data import write

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
_KEEP_S = 4.0
RUN_FOR_S = 20.0
"""After this a pump takes nothing more and ends, so that other work gets its slot."""
PER_DESTINATION = 10
_STOP_S = 5.0


class Pump:
    """Hands over what is due in one lane."""

    def __init__(self, caller: Principal, lane: Lane, transport: Transport) -> None:
        self._caller = caller
        self._lane: Lane = lane
        self._transport = transport
        self._lease: UUID = new_id()
        self._recorder = Recorder(caller, lane, self._lease, keep=transport.keeps_content)
        self._serving: set[asyncio.Task[None]] = set()
        self._under_way = asyncio.Semaphore(CONNECTIONS)
        """Held from the hand-over until the record: so many letters may go out twice after a kill."""
        self._stopping = False

    async def run(self) -> None:
        """Hand letters over until none is due or the time is up.

        Raises:
            RelayAway: no mail server answers; what was not handed over waits again.
        """
        keeper = asyncio.create_task(self._keep())
        until = time.monotonic() + RUN_FOR_S
        try:
            while time.monotonic() < until and not self._stopping and not keeper.done():
                free = CONNECTIONS - len(self._serving)
                taken = await self._take(free) if free else []
                for destination, letters, writer in taken:
                    self._serving.add(asyncio.create_task(self._serve(destination, letters, writer)))
                if not self._serving:
                    break
                if not taken:
                    await asyncio.wait(self._serving, return_when=asyncio.FIRST_COMPLETED, timeout=0.5)
                self._collect()
            while self._serving:
                await asyncio.wait(self._serving, return_when=asyncio.FIRST_COMPLETED)
                self._collect()
        finally:
            self._stopping = True
            await self._end(keeper)

    def _collect(self) -> None:
        for task in [task for task in self._serving if task.done()]:
            self._serving.discard(task)
            task.result()

    async def _end(self, keeper: asyncio.Task[None]) -> None:
        """Let what is under way come to its end: what is cut off may have been handed over, and goes out twice."""
        if self._serving:
            await asyncio.wait(self._serving, timeout=_STOP_S)
        for task in (*self._serving, keeper):
            task.cancel()
        await asyncio.gather(*self._serving, keeper, return_exceptions=True)
        await self._transport.close()

    async def _take(self, limit: int) -> Sequence[tuple[Destination, list[Waiting], Writer]]:
        async with write(self._caller) as tx:
            taken = await store.update_taken(tx, self._lane, lease=self._lease, until=tx.now + LEASE, limit=limit)
            taken = await pass_gate(tx, self._lane, taken, lease=self._lease)
            writer = await find_writer(tx, [letter for _, letters in taken for letter in letters])
            return [(destination, letters, writer) for destination, letters in taken]

    async def _keep(self) -> None:
        """Hold on to what is held, while this process lives."""
        while True:
            await asyncio.sleep(_KEEP_S)
            async with write(self._caller) as tx:
                await store.update_held(tx, self._lease, tx.now + LEASE)

    async def _serve(self, destination: Destination, letters: Sequence[Waiting], writer: Writer) -> None:
        """Hand over the letters of one domain, and let it go."""
        waiting = deque(letters)
        served = _Served()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(letters), PER_DESTINATION)):
                    group.create_task(self._work(waiting, served, writer))
        except* RelayAway as away:
            self._stopping = True
            raise RelayAway(str(away.exceptions[0])) from away
        finally:
            pace, rest_s = next_pace(destination.pace, sent=served.sent, slowed=served.slowed)
            released = Released(
                sender_domain=destination.sender_domain, domain=destination.domain, pace=pace, rest_s=rest_s
            )
            await self._recorder.release(released, [*served.untried, *(letter.id for letter in waiting)])

    async def _work(self, waiting: "deque[Waiting]", served: "_Served", writer: Writer) -> None:
        while waiting and not served.slowed and not self._stopping:
            letter = waiting.popleft()
            try:
                outgoing = writer.outgoing_of(letter, rewritten=self._transport.rewrites_headers)
            except (Problem, SealBroken) as error:
                await self._recorder.record(_unwritten(letter, str(error)))
                continue
            async with self._under_way:
                try:
                    reply = await self._transport.deliver(outgoing)
                except RelayAway:
                    served.untried.append(letter.id)
                    raise
                await self._recorder.record(tried(letter, outgoing, reply, datetime.now(UTC)))
            served.sent += outcome_of(reply) == "sent"
            served.slowed = served.slowed or slows_down(reply)


class _Served:
    """What happened to the letters of one domain."""

    def __init__(self) -> None:
        self.sent = 0
        self.slowed = False
        self.untried: list[LetterId] = []


def tried(letter: Waiting, outgoing: Outgoing, reply: Reply, now: datetime) -> Tried:
    """Tell what an answer makes of a letter."""
    outcome = outcome_of(reply)
    due_at = retry_at(now, letter.attempts + 1)
    words = without_address(reply.text, outgoing.to)
    over = outcome == "deferred" and due_at > (letter.tried_since or letter.created_at) + TRIED_FOR
    return Tried(
        letter_id=letter.id,
        state="bounced" if over else outcome,
        outcome=outcome,
        reason=None if outcome == "sent" else f"nobody took it for two days: {words}" if over else words,
        code=reply.code,
        status="4.4.7" if over else reply.status,
        reply=words,
        carrier=reply.carrier,
        carrier_id=reply.carrier_id,
        soft=over or (outcome == "bounced" and not is_hard(reply)),
        due_at=due_at if outcome == "deferred" and not over else None,
    )


def _unwritten(letter: Waiting, why: str) -> Tried:
    return Tried(
        letter_id=letter.id, state="refused", outcome="refused", reason=why[:300], code=None, status=None, reply=""
    )
