"""Record tries in groups: those that end while a transaction commits go into the next one."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from api.engagement.email.contract import Lane, LetterBounced, LetterId, LetterSent
from api.engagement.email.delivery import store
from api.engagement.email.delivery.store import Recorded, Released, Tried
from api.engagement.email.suppression.logic import suppress
from cluster.base.principal import Principal
from cluster.data import Transaction, write
from cluster.events import emit

SOFT_BOUNCES = 5
SOFT_WITHIN = timedelta(days=30)
_MOST = 500


class Recorder:
    """Writes how tries ended; `record` returns when that is committed."""

    def __init__(self, caller: Principal, lane: Lane, lease: UUID, *, keep: bool) -> None:
        self._caller = caller
        self._lane: Lane = lane
        self._lease = lease
        self._keep = keep
        self._waiting: list[tuple[Tried | tuple[Released, Sequence[LetterId]], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def record(self, tried: Tried) -> None:
        await self._put(tried)

    async def release(self, released: Released, untried: Sequence[LetterId]) -> None:
        """Let a domain go, and its letters that were not tried wait again."""
        await self._put((released, untried))

    async def _put(self, item: Tried | tuple[Released, Sequence[LetterId]]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                async with write(self._caller) as tx:
                    await self._record(tx, [item for item, _ in batch])
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    async def _record(self, tx: Transaction, items: Sequence[Tried | tuple[Released, Sequence[LetterId]]]) -> None:
        tried = [item for item in items if isinstance(item, Tried)]
        if tried:
            for letter in await store.update_tried(tx, tried, lease=self._lease, keep=self._keep):
                await _tell(tx, letter)
        ended = [item for item in items if not isinstance(item, Tried)]
        if ended:
            untried = [id for _, ids in ended for id in ids]
            if untried:
                await store.update_given_back(tx, untried, self._lease)
            await store.update_released(tx, self._lane, self._lease, [released for released, _ in ended])


async def _tell(tx: Transaction, letter: Recorded) -> None:
    """Tell how a letter ended, and suppress an address that takes none."""
    if letter.state == "sent":
        told = LetterSent(letter_id=letter.id, org_id=letter.org_id, user_id=letter.user_id, template=letter.template)
        emit(tx, told, version=letter.version)
    elif letter.state == "bounced":
        await bounced(tx, letter)


async def bounced(tx: Transaction, letter: Recorded) -> None:
    """Tell that a letter bounced. Its address gets no more at once if it does not exist, else after 5 bounces in 30 days."""
    event = LetterBounced(
        letter_id=letter.id,
        org_id=letter.org_id,
        user_id=letter.user_id,
        template=letter.template,
        hard=not letter.soft,
        status=letter.status or "5.0.0",
    )
    emit(tx, event, version=letter.version)
    if not letter.soft or await store.count_soft(tx, letter.address_hash, tx.now - SOFT_WITHIN) >= SOFT_BOUNCES:
        await suppress(
            tx, letter.address_hash, "bounced", letter_id=letter.id, status=letter.status, caused_in=letter.org_id
        )
