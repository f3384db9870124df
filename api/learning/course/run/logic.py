"""Use cases of runs: open further ones, change dates and seats, pin a revision, end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from api.learning.content.contract import FrozenId
from api.learning.course import rules
from api.learning.course.catalog import kept
from api.learning.course.contract import (
    CourseId,
    CourseNotFound,
    RevisionUnknown,
    Run,
    RunCreated,
    RunEnded,
    RunEvent,
    RunHasEnded,
    RunId,
    RunModerated,
    RunNotFound,
    RunStarting,
    RunUpdated,
)
from api.learning.course.forgetting.store import lock_revisions, update_unpinned
from api.learning.course.run import store
from api.learning.course.store import find_course
from api.platform.moderation.contract import Place, look_later, screened
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import NotFound, Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import Guarded, permit, permitted, reach_of

T = TypeVar("T")
_REMINDED_BEFORE = timedelta(days=1)


async def create_run(caller: Principal, course_id: CourseId, fields: dict[str, Any], now: datetime) -> Run:
    """Create a further run of a course.

    Raises:
        DatesOutOfOrder: its dates do not follow each other.
        RevisionUnknown: it pins a revision that was never published, or was forgotten.
        TextRefused, AuthorMuted
    """
    course = await permitted(caller, "run:manage", find_course, course_id, missing=CourseNotFound)
    run = Run(
        id=RunId(new_id()),
        course_id=course_id,
        org_id=course.org_id,
        is_default=False,
        ended_at=None,
        version=1,
        created_at=now,
        **fields,
    )
    _check_dates(run)
    place = Place(kind=rules.MODERATED_RUN, org_id=course.org_id, language=course.language)
    doubtful = await screened({"/title": run.title}, caller.id, place)
    async with write(caller, result=run.id, status=201) as tx:
        frozen_id = await _pin(tx, run, before=None)
        run = replace(run, created_at=tx.now)
        await store.insert_run(tx, run, by=caller.id)
        if doubtful:
            look_later(tx, rules.MODERATED_RUN, run.id)
        await tell_state(tx, run.id)
        emit(tx, _event(RunCreated, run, frozen_id), version=run.version)
    return run


async def get_run(caller: Principal, run_id: RunId) -> Run:
    """Return a run to whoever sees its course in the catalogue, and to its learners and staff."""
    async with read() as db:
        guarded = await store.find_run(db, run_id)
    [run] = await _as_seen(caller, [await _see(caller, guarded, RunNotFound)])
    return run


async def list_runs(caller: Principal, course_id: CourseId, *, after: RunId | None, limit: int) -> list[Run]:
    async with read() as db:
        guarded = await store.find_runs(db, course_id, after=after, limit=limit)
    return await _as_seen(caller, await _see(caller, guarded, CourseNotFound))


async def change_run(caller: Principal, run_id: RunId, changes: dict[str, Any], expected_version: int) -> Run:
    """Change dates, pace, seats or the pinned revision; null in `pinned_revision` follows the newest again.

    Raises:
        Stale: somebody changed it since.
        RunHasEnded, DatesOutOfOrder, RevisionUnknown, TextRefused, AuthorMuted: see `create_run`.
        RunModerated: a moderator removed its title, and this is another one.
    """
    run = await permitted(caller, "run:manage", store.find_run, run_id, missing=RunNotFound)
    if run.ended_at is not None:
        raise RunHasEnded("open a further run instead: POST /v1/runs")
    wanted = replace(run, **changes)
    if run.moderation_state is not None and wanted.title != run.title:
        raise RunModerated("leave the title; its author may appeal: GET /v1/moderation-decisions", pointer="/title")
    _check_dates(wanted)
    titles = {} if wanted.title == run.title else {"/title": wanted.title}
    doubtful = await screened(titles, caller.id, Place(kind=rules.MODERATED_RUN, org_id=run.org_id))
    async with write(caller, result=run_id) as tx:
        frozen_id = await _pin(tx, wanted, before=run.pinned_revision)
        changed = await store.update_run(tx, wanted, expected_version, by=caller.id)
        if changed is None:
            raise Stale(await store.get_run_version(tx, run_id))
        if doubtful:
            look_later(tx, rules.MODERATED_RUN, run_id)
        await tell_state(tx, run_id)
        emit(tx, _event(RunUpdated, changed, frozen_id), version=changed.version)
    return changed


async def end_run(caller: Principal, run_id: RunId) -> Run:
    """End a run now: nobody enrols any more. Ending twice is the same as once."""
    run = await permitted(caller, "run:manage", store.find_run, run_id, missing=RunNotFound)
    async with write(caller, result=run_id) as tx:
        ended = await store.update_ended(tx, run_id)
        if ended is not None:
            await tell_state(tx, run_id)
            emit(tx, RunEnded(run_id=run_id, course_id=run.course_id, org_id=run.org_id), version=ended.version)
    return ended or await get_run(caller, run_id)


async def remind(platform: Principal, limit: int) -> int:
    """Tell of runs that begin within a day; return how many."""
    async with write(platform) as tx:
        runs = await store.update_reminded(tx, tx.now + _REMINDED_BEFORE, limit)
        for run in runs:
            assert run.starts_at is not None, "a run that begins has a time"
            told = RunStarting(run_id=run.id, course_id=run.course_id, org_id=run.org_id, starts_at=run.starts_at)
            emit(tx, told, version=run.version)
    return len(runs)


async def tell_state(tx: Transaction, run_id: RunId) -> None:
    """Emit what others project of a run, after a change of it, and let the catalogue be read again."""
    kept.drop(tx)
    state, version = await store.get_run_state(tx, run_id)
    emit(tx, state, version=version)


def _event(kind: type[RunEvent], run: Run, frozen_id: FrozenId | None) -> RunEvent:
    return kind(
        run_id=run.id,
        course_id=run.course_id,
        org_id=run.org_id,
        starts_at=run.starts_at,
        ends_at=run.ends_at,
        pinned_revision=run.pinned_revision,
        pinned_frozen_id=frozen_id,
    )


async def _as_seen(caller: Principal, runs: list[Run]) -> list[Run]:
    """Return runs of one course as the caller sees them: only those who manage them see a title that was removed."""
    if all(run.moderation_state is None for run in runs):
        return runs
    if caller.id is not None:
        reach = await reach_of(caller, "run:manage")
        places = {*reach.org_ids, *reach.course_ids, *reach.run_ids}
        if reach.everywhere or not places.isdisjoint((runs[0].org_id, runs[0].course_id)):
            return runs
    return [rules.titled(run) for run in runs]


async def _see(caller: Principal, guarded: Guarded[T] | None, missing: type[NotFound]) -> T:
    permission = "run:read" if guarded is None or guarded.see is None else guarded.see
    return await permit(caller, permission, guarded, missing=missing)


def _check_dates(run: Run) -> None:
    rules.check_dates(
        starts_at=run.starts_at,
        ends_at=run.ends_at,
        enrolment_opens_at=run.enrolment_opens_at,
        enrolment_closes_at=run.enrolment_closes_at,
    )


async def _pin(tx: Transaction, run: Run, *, before: int | None) -> FrozenId | None:
    """Hold the revision that the run is to pin, so that it is not forgotten meanwhile, and return its outline.

    `before`: the revision that the run pinned until now.
    """
    named = {each for each in (before, run.pinned_revision) if each is not None}
    revisions = await lock_revisions(tx, run.course_id, named) if named else {}
    if before is not None and before != run.pinned_revision:
        await update_unpinned(tx, run.course_id, before)
    if run.pinned_revision is None:
        return None
    revision = revisions.get(run.pinned_revision)
    if revision is None:
        raise RevisionUnknown("pin a revision that was published, or null for the newest", pointer="/pinned_revision")
    if revision.forgotten_at is not None:
        raise RevisionUnknown("it was forgotten: pin another, or null for the newest", pointer="/pinned_revision")
    return revision.frozen_id
