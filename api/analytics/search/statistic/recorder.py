"""Count questions and clicks beside the requests: a process writes what it has every few seconds, in one transaction."""

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import date

from api.analytics.search.statistic import store
from api.analytics.search.statistic.rules import asker_of, era_of
from api.analytics.search.statistic.store import Asked, Clicked
from cluster.base import secrets
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import platform
from cluster.base.sealing import SealBroken, seal, unseal
from cluster.data import Transaction, write
from cluster.people.erasure import erased

log = logging.getLogger(__name__)
_PLATFORM = platform("search")
_EVERY_S = 5.0
_MOST = 10_000
"""That wait; more are not counted."""
_BATCH = 1000
PURPOSE = "asker key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """That somebody asked. Who is kept until it is written, in memory alone."""

    org_id: OrgId
    day: date
    language: str
    query: str
    user_id: UserId
    answered: bool


class Recorder:
    """What waits in this process."""

    def __init__(self) -> None:
        self._waiting: list[Question | Clicked] = []
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    def note(self, what: Question | Clicked) -> None:
        """Count it soon."""
        if len(self._waiting) >= _MOST:
            return
        self._waiting.append(what)
        if self._writer is None or self._writer.done():
            # Without the request's context: it is none of its transactions.
            self._writer = asyncio.create_task(self._write_later(), name="search statistics", context=Context())

    async def flush(self) -> None:
        """Write what waits; what cannot be written goes on waiting."""
        async with self._writing:
            while batch := self._waiting[:_BATCH]:
                async with write(_PLATFORM) as tx:
                    await _record(tx, batch)
                del self._waiting[: len(batch)]

    async def _write_later(self) -> None:
        while self._waiting:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.flush()
            except Exception as error:
                log.warning("questions are counted later", extra={"error": repr(error)})


recorder = Recorder()


async def _record(tx: Transaction, batch: Sequence[Question | Clicked]) -> None:
    questions = [each for each in batch if isinstance(each, Question)]
    if questions:
        rows = await _asked(tx, questions)
        if rows:
            await store.upsert_asked(tx, rows)
    best: dict[object, Clicked] = {}
    for each in batch:
        if isinstance(each, Clicked):
            known = best.setdefault(each.answer_id, each)
            best[each.answer_id] = min(known, each, key=lambda click: click.position)
    if best:
        await store.upsert_clicked(tx, list(best.values()))


async def _asked(tx: Transaction, questions: Sequence[Question]) -> list[Asked]:
    keys = await _keys(tx, {era_of(each.day) for each in questions})
    gone = await erased(tx, {each.user_id for each in questions})
    counts: dict[tuple[OrgId, date, str, str, bytes], list[bool]] = defaultdict(list)
    for each in questions:
        key = keys.get(era_of(each.day))
        if key is not None and each.user_id not in gone:
            asker = asker_of(key, each.org_id, each.language, each.query, each.user_id)
            counts[each.org_id, each.day, each.language, each.query, asker].append(each.answered)
    return [
        Asked(
            org_id=org_id,
            day=day,
            language=language,
            query=query,
            asker=asker,
            asked=len(answered),
            unanswered=answered.count(False),
        )
        for (org_id, day, language, query, asker), answered in counts.items()
    ]


async def _keys(tx: Transaction, eras: set[int]) -> dict[int, bytes]:
    """Return the keys of these eras; one that is over has none any more."""
    current = era_of(tx.now.date())
    held = await store.lock_keys(tx)
    if current in eras and current not in held:
        await store.insert_key(tx, current, seal("search", PURPOSE, os.urandom(secrets.KEY_BYTES)))
        held = await store.lock_keys(tx)
    return opened({era: sealed for era, sealed in held.items() if era in eras})


def opened(sealed: dict[int, bytes]) -> dict[int, bytes]:
    """Open keys; one that was sealed under a secret that is gone leads to nobody any more."""
    keys: dict[int, bytes] = {}
    for era, content in sealed.items():
        try:
            keys[era] = unseal("search", PURPOSE, content)
        except SealBroken:
            log.warning("nobody is counted: HUB_SECRET lists another secret than that of the key", extra={"era": era})
    return keys
