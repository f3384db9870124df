"""Use cases of totals: note what changes them, compute them again, and show a learner their own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import ComputeTotals, PassDue, ProgressNotFound
from api.learning.progress.logic import find_learner
from api.learning.progress.store import guard
from api.learning.progress.totals import rules, store
from api.learning.progress.totals.rules import WHOLE, Given, Item, Scheme
from api.learning.progress.totals.store import Place, Total
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.jobs import enqueue
from cluster.people.access import lacking, permit

_BATCH = 100


async def scheme_changed(tx: Transaction, *, run_id: UUID, org_id: OrgId, course_id: UUID) -> None:
    """Note that what makes the totals of a run is another now: all of them are stale, and computed again."""
    await store.upsert_scheme(tx, run_id=run_id, org_id=org_id, course_id=course_id)
    _compute_all(tx, run_id)


async def scores_changed(tx: Transaction, places: Sequence[Place]) -> None:
    """Note that learners have other scores: their totals are stale, and computed again."""
    if not places:
        return
    await store.upsert_stale(tx, places)
    for run_id in {each.run_id for each in places}:
        enqueue(tx, ComputeTotals(run_id=run_id, of_all=False), dedupe=f"totals:{run_id}:stale")


async def begin(platform: Principal, enrollment_id: EnrollmentId) -> None:
    """Have the totals of a new learner computed."""
    learner = await find_learner(enrollment_id)
    if learner is None:
        return
    place = Place(
        enrollment_id=learner.enrollment_id,
        org_id=learner.org_id,
        course_id=learner.course_id,
        run_id=learner.run_id,
        user_id=learner.user_id,
    )
    async with write(platform) as tx:
        await scores_changed(tx, [place])


async def pass_due(platform: Principal, run_id: UUID) -> None:
    """Note that a line item is due: what is missing may count as zero from now on."""
    async with write(platform) as tx:
        if await store.update_scheme(tx, run_id) is not None:
            _compute_all(tx, run_id)


def _compute_all(tx: Transaction, run_id: UUID) -> None:
    enqueue(tx, ComputeTotals(run_id=run_id, of_all=True), dedupe=f"totals:{run_id}:all")


async def compute_stale(platform: Principal, run_id: UUID) -> bool:
    """Compute totals of some learners whose scores changed; return whether there may be more."""
    async with write(platform) as tx:
        version = await store.lock_scheme(tx, run_id)
        if version is None:
            return False
        places = await store.lock_stale(tx, run_id, _BATCH)
        await _compute(tx, run_id, places, version)
    return len(places) == _BATCH


async def compute_next(platform: Principal, run_id: UUID, after: EnrollmentId | None) -> EnrollmentId | None:
    """Compute totals of the next learners of a run; return where to go on, None at the end."""
    async with write(platform) as tx:
        version = await store.lock_scheme(tx, run_id)
        if version is None:
            return None
        places = await store.list_learners(tx, run_id, after=after, limit=_BATCH)
        await store.lock_totals(tx, [each.enrollment_id for each in places])
        schemes, items = await _compute(tx, run_id, places, version)
        due_at = rules.next_due(items, tx.now)
        if due_at is not None and after is None and any(each.missing_as_zero for each in schemes):
            enqueue(tx, PassDue(run_id=run_id), at=due_at, dedupe=f"due:{run_id}", replace=True)
    return places[-1].enrollment_id if len(places) == _BATCH else None


async def _compute(
    tx: Transaction, run_id: UUID, places: Sequence[Place], version: int
) -> tuple[list[Scheme], list[Item]]:
    """Compute and write the totals of learners whose rows are held."""
    schemes, items = await store.list_scheme(tx, run_id)
    given = await store.list_given(tx, [each.enrollment_id for each in places])
    # Exact fractions take a while: other work of this process goes on meanwhile.
    computed = await asyncio.to_thread(_computed, places, schemes, items, given, tx.now)
    if computed:
        await store.upsert_totals(tx, computed, version)
    return schemes, items


def _computed(
    places: Sequence[Place],
    schemes: Sequence[Scheme],
    items: Sequence[Item],
    given: Mapping[EnrollmentId, Mapping[UUID, Given]],
    now: datetime,
) -> list[tuple[Place, dict[UUID, store.Percents]]]:
    """Return the totals of each learner: of all scores, and of the released ones."""
    released = [each for each in items if each.released]
    computed: list[tuple[Place, dict[UUID, store.Percents]]] = []
    for place in places:
        whole = rules.totals_of(schemes, items, given[place.enrollment_id], now)
        shown = rules.totals_of(schemes, released, given[place.enrollment_id], now)
        computed.append((place, {id: (percent, shown[id]) for id, percent in whole.items()}))
    return computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """The totals of a learner."""

    enrollment_id: EnrollmentId
    run_id: UUID
    is_stale: bool
    whole: Total | None
    categories: list[Total]


def grades_of(enrollment_id: EnrollmentId, run_id: UUID, totals: Sequence[Total], version: int | None) -> Grades:
    """Put the totals of a learner together; stale are those of an earlier scheme, and of earlier scores."""
    whole = next((each for each in totals if each.category_id == WHOLE), None)
    return Grades(
        enrollment_id=enrollment_id,
        run_id=run_id,
        is_stale=version is not None and (whole is None or whole.stale or whole.scheme_version < version),
        whole=whole,
        categories=[each for each in totals if each.category_id != WHOLE],
    )


async def get_grades(caller: Principal, enrollment_id: EnrollmentId) -> tuple[Grades, bool]:
    """Return the totals of a learner, and whether the caller sees what is not released.

    Raises:
        ProgressNotFound, Forbidden
    """
    learner = await find_learner(enrollment_id)
    guarded = None if learner is None else guard(learner)
    learner = await permit(caller, "score:read", guarded, missing=ProgressNotFound)
    is_staff = not await lacking(caller, ["line_item:read"], guard(learner))
    async with read() as db:
        totals = await store.list_totals(db, [enrollment_id])
        version = await store.find_scheme(db, learner.run_id)
    return grades_of(enrollment_id, learner.run_id, totals[enrollment_id], version), is_staff
