"""Use cases of statistics: count what is asked and clicked, report it, forget it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from api.analytics.search.contract import AnswerNotFound, ClickUnknown, Named
from api.analytics.search.pin.kept import primary
from api.analytics.search.statistic import answer, store
from api.analytics.search.statistic.recorder import Question, opened, recorder
from api.analytics.search.statistic.rules import ERA, FEWEST_PEOPLE, KEPT, NO_LANGUAGE, asker_of, end_of, era_of, normal
from api.analytics.search.statistic.store import Asked, AskedQuery, Clicked
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Unavailable
from cluster.data import read, write
from cluster.jobs import JobRun
from cluster.people import erasure
from cluster.people.access import permit, reach_of, within
from cluster.people.erasure import Erasing

Period = Literal["week", "month", "quarter"]
_DAYS: dict[Period, int] = {"week": 7, "month": 30, "quarter": 90}
_PAGE = 1000


async def note(
    caller: Principal, org_id: OrgId | None, text: str, language: str | None, shown: Sequence[Named]
) -> str | None:
    """Count a question, and return the id of its answer; None: it is not counted.

    A member's question counts in the organization that they asked in, or in the only one that they belong to.
    """
    query = normal(text)
    place = await _place(caller, org_id)
    if query is None or place is None:
        return None
    now = datetime.now(UTC)
    told = answer.Answer(
        id=uuid4(),
        org_id=place,
        day=now.date(),
        language=primary(language) or NO_LANGUAGE,
        query=query,
        user_id=caller.person(),
        ends_at=now + answer.VALID,
        shown=answer.shown_of(shown),
    )
    recorder.note(
        Question(
            org_id=place,
            day=told.day,
            language=told.language,
            query=query,
            user_id=told.user_id,
            answered=bool(shown),
        )
    )
    return answer.encode(told)


async def click(caller: Principal, answer_id: str, document: Named, position: int) -> None:
    """Count that a document was opened that an answer showed at a position.

    Raises:
        AnswerNotFound
        ClickUnknown: the answer shows another document there.
    """
    told = answer.decode(answer_id, caller.person(), datetime.now(UTC))
    if told is None:
        raise AnswerNotFound("ask again: an answer has an id for an hour, for who asked")
    if not told.has(document, position):
        raise ClickUnknown(f"the answer shows no {document.kind} {document.id} there", pointer="/position")
    recorder.note(
        Clicked(
            answer_id=told.id,
            org_id=told.org_id,
            day=told.day,
            language=told.language,
            query=told.query,
            position=position,
        )
    )


async def report(
    caller: Principal,
    org_id: OrgId,
    *,
    period: Period,
    language: str | None,
    unanswered: bool,
    after: tuple[int, str, str] | None,
    limit: int,
) -> list[AskedQuery]:
    """List what enough members of an organization asked."""
    await permit(caller, "search:report", within(org_id=org_id))
    since = datetime.now(UTC).date() - timedelta(days=_DAYS[period] - 1)
    async with read() as db:
        return await store.list_report(
            db,
            org_id,
            since=since,
            language=primary(language),
            unanswered=unanswered,
            fewest=FEWEST_PEOPLE,
            era_days=ERA.days,
            after=after,
            limit=limit,
        )


async def delete_old(caller: Principal, limit: int) -> int:
    """Delete what was counted 90 days ago, and keys of eras that are over by a day; return the larger of the counts."""
    async with write(caller) as tx:
        today = tx.now.date()
        # An answer of an era's last day can still be clicked on the next one.
        await store.delete_keys(tx, era_of(today - timedelta(days=1)))
        asked = await store.delete_old_asked(tx, today - KEPT, limit)
        return max(asked, await store.delete_old_clicked(tx, today - KEPT, limit))


async def erase(run: JobRun, request: Erasing) -> None:
    """Delete what a person asked since the last key was deleted. What is older leads to nobody any more."""
    async with read() as db:
        keys = opened(await store.list_keys(db))
    if not keys:
        return
    since = end_of(min(keys) - 1)
    after: Asked | None = None
    while True:
        async with read() as db:
            rows = await store.list_asked(db, request.org_id, since=since, after=after, limit=_PAGE)
        mine = [row for row in rows if _is_of(row, keys, request)]
        if mine:
            async with write(run.principal) as tx:
                await erasure.count(tx, request, rows=await store.delete_asked(tx, mine))
        if len(rows) < _PAGE:
            return
        after = rows[-1]
        await run.extend()


def _is_of(row: Asked, keys: dict[int, bytes], request: Erasing) -> bool:
    key = keys.get(era_of(row.day))
    return key is not None and row.asker == asker_of(key, row.org_id, row.language, row.query, request.user_id)


async def _place(caller: Principal, org_id: OrgId | None) -> OrgId | None:
    """Return in which organization a question of somebody counts. Who acts for somebody else is not counted."""
    if caller.kind != "person" or caller.acting_for is not None:
        return None
    try:
        mine = (await reach_of(caller, "search:ask")).org_ids
    except Unavailable:
        return None
    if org_id is None:
        return OrgId(mine[0]) if len(mine) == 1 else None
    return org_id if org_id in mine else None
