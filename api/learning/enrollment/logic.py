"""Use cases of enrollment: enrol, leave, suspend, resume, complete."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.course.contract import CourseCalls, CourseId, OpenRun, RunId
from api.learning.enrollment import rules, store
from api.learning.enrollment.contract import (
    Enrollment,
    EnrollmentCancelled,
    EnrollmentChanged,
    EnrollmentCompleted,
    EnrollmentCreated,
    EnrollmentEvent,
    EnrollmentId,
    EnrollmentNotFound,
    EnrollmentReactivated,
    EnrollmentResumed,
    EnrollmentSuspended,
    NotEnrollable,
    NotInThatState,
    RunChoiceNeeded,
    RunFull,
    RunNotOpen,
    ShutOut,
    State,
)
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import named, permit, permitted, reach_of, within
from cluster.people.calls import client
from cluster.signals import broadcast


async def enrol(
    caller: Principal, *, run_id: RunId | None, course_id: CourseId | None, now: datetime
) -> tuple[Enrollment, bool]:
    """Enrol the caller in a run, or in a course's only open run; return the enrolment and whether it is new.

    Enrolling again answers the same enrolment. A person who left comes back to it.

    Raises:
        NotEnrollable: there is no such published run or course.
        RunChoiceNeeded: the course has several open runs.
        RunNotOpen, RunFull
        ShutOut: the organization suspended, removed or banned the caller, or is suspended.
    """
    user_id = caller.person()
    async with read() as db:
        mine = await store.list_mine(db, user_id, run_id=run_id, course_id=course_id)
    for known in mine:
        if known.state != "cancelled":
            await _permit_in(caller, known.org_id)
            return known, False
    open_run = await _choose(caller, run_id, course_id, now)
    async with read() as db:
        if await store.find_shut_out(db, open_run.run.org_id, user_id):
            raise ShutOut("it is suspended, or it suspended or removed you: ask the people who manage its members")
    left = next((each for each in mine if each.run_id == open_run.run.id), None)
    if left is not None:
        return await _come_back(caller, left, open_run), False
    try:
        return await _come(caller, user_id, open_run), True
    except _TwinWasFirst:
        return await enrol(caller, run_id=open_run.run.id, course_id=None, now=now)


async def _come(caller: Principal, user_id: UserId, open_run: OpenRun) -> Enrollment:
    enrollment_id = EnrollmentId(new_id())
    async with write(caller, result=enrollment_id, status=201) as tx:
        created = await store.insert_enrollment(
            tx,
            enrollment_id=enrollment_id,
            org_id=open_run.run.org_id,
            course_id=open_run.run.course_id,
            run_id=open_run.run.id,
            user_id=user_id,
        )
        if created is None:
            # Out of the transaction: it must not keep this id under the request's key.
            raise _TwinWasFirst
        await _take_seat(tx, open_run)
        tell(tx, EnrollmentCreated, created)
    return created


async def _come_back(caller: Principal, left: Enrollment, open_run: OpenRun) -> Enrollment:
    async with write(caller, result=left.id) as tx:
        back = await store.update_state(tx, left.id, before=("cancelled",), after="active")
        if back is not None:
            await _take_seat(tx, open_run)
            tell(tx, EnrollmentReactivated, back, state=back.state)
    return back or await get_enrollment(caller, left.id)


class _TwinWasFirst(Exception):
    """Raised when another request of this person enrolled them meanwhile."""


async def get_enrollment(caller: Principal, enrollment_id: EnrollmentId) -> Enrollment:
    return await permitted(caller, "enrollment:read", store.find_enrollment, enrollment_id, missing=EnrollmentNotFound)


async def list_enrollments(
    caller: Principal,
    *,
    course_id: UUID | None,
    run_id: UUID | None,
    user_id: UserId | None,
    states: list[State] | None,
    ids: list[EnrollmentId] | None,
    before: EnrollmentId | None,
    limit: int,
) -> list[Enrollment]:
    reach = await reach_of(caller, "enrollment:read")
    async with read() as db:
        return await store.list_enrollments(
            db,
            reach,
            course_id=course_id,
            run_id=run_id,
            user_id=user_id,
            states=states,
            ids=ids,
            before=before,
            limit=limit,
        )


async def cancel(caller: Principal, enrollment_id: EnrollmentId) -> Enrollment:
    """Leave a run; progress is kept. Leaving twice is the same as once."""
    enrollment = await permitted(
        caller, "enrollment:cancel", store.find_enrollment, enrollment_id, missing=EnrollmentNotFound
    )
    async with write(caller, result=enrollment_id) as tx:
        cancelled = await store.update_state(tx, enrollment_id, before=rules.SEATED, after="cancelled")
        if cancelled is not None:
            await store.update_seats(tx, enrollment.run_id, -1)
            tell(tx, EnrollmentCancelled, cancelled)
            announce_access(tx, cancelled)
    return cancelled or await get_enrollment(caller, enrollment_id)


async def leave_all(caller: Principal, user_id: UserId, org_id: OrgId | None) -> None:
    """Leave all runs for a person, those of one organization or every one."""
    async with read() as db:
        seated = await store.list_seated(db, user_id, org_id)
    for enrollment_id in seated:
        await cancel(caller, enrollment_id)


async def suspend(caller: Principal, enrollment_id: EnrollmentId) -> Enrollment:
    """Suspend a learner, who keeps their seat.

    Raises:
        NotInThatState: they left, or are suspended.
    """
    await permitted(caller, "enrollment:suspend", store.find_enrollment, enrollment_id, missing=EnrollmentNotFound)
    async with write(caller, result=enrollment_id) as tx:
        suspended = await store.update_state(tx, enrollment_id, before=rules.LEARNING, after="suspended")
        if suspended is None:
            raise NotInThatState("only an active or completed enrolment can be suspended")
        tell(tx, EnrollmentSuspended, suspended)
        announce_access(tx, suspended)
    return suspended


async def resume(caller: Principal, enrollment_id: EnrollmentId) -> Enrollment:
    """Resume a suspended enrolment.

    Raises:
        NotInThatState: they are not suspended.
    """
    await permitted(caller, "enrollment:suspend", store.find_enrollment, enrollment_id, missing=EnrollmentNotFound)
    async with write(caller, result=enrollment_id) as tx:
        resumed = await store.update_state(tx, enrollment_id, before=("suspended",), after="active")
        if resumed is None:
            raise NotInThatState("only a suspended enrolment can be resumed")
        tell(tx, EnrollmentResumed, resumed)
    return resumed


async def complete(tx: Transaction, enrollment_id: EnrollmentId, revision: int) -> None:
    """Note that everything required was done. A later change of the course does not undo it."""
    completed = await store.update_completed(tx, enrollment_id, revision)
    if completed is not None:
        tell(tx, EnrollmentCompleted, completed, revision=revision)


async def _choose(caller: Principal, run_id: RunId | None, course_id: CourseId | None, now: datetime) -> OpenRun:
    if run_id is not None:
        found = await client(CourseCalls).find_open_run(run_id, now)
        runs = [] if found is None else [found]
    elif course_id is not None:
        runs = await client(CourseCalls).list_open_runs(course_id, now)
    else:
        runs = []
    if not runs:
        raise _not_enrollable(run_id)
    await named(caller, runs[0].guarded(), unknown=_not_enrollable(run_id))
    await _permit_in(caller, runs[0].run.org_id)
    takers = [each for each in runs if each.open]
    if not takers:
        raise RunNotOpen("choose another run or course, or come back when enrolment opens")
    if len(takers) > 1:
        raise RunChoiceNeeded(
            "send run_id with one of `runs`", pointer="/run_id", runs=[str(each.run.id) for each in takers]
        )
    return takers[0]


def _not_enrollable(run_id: RunId | None) -> NotEnrollable:
    pointer = "/course_id" if run_id is None else "/run_id"
    return NotEnrollable("GET /v1/catalog lists what can be learned", pointer=pointer)


async def _permit_in(caller: Principal, org_id: OrgId) -> None:
    """Check that the caller may enrol in this organization's courses: their session may be bound to another one.

    Raises:
        Forbidden
    """
    await permit(caller, "enrollment:create", within(org_id=org_id, see="catalog:read"))


async def _take_seat(tx: Transaction, open_run: OpenRun) -> None:
    if not await store.upsert_seat(tx, open_run.run.id, open_run.run.seats):
        raise RunFull("all seats are taken; choose another run")


def announce_access(tx: Transaction, enrollment: Enrollment) -> None:
    """Have every replica forget what the person may do."""
    broadcast.announce(tx, "access", {"user_id": str(enrollment.user_id)})


def tell(tx: Transaction, kind: Callable[..., EnrollmentEvent], enrollment: Enrollment, **more: object) -> None:
    """Emit the state, then the fact: a reaction to the fact finds the state projected."""
    emit(tx, state_of(enrollment), version=enrollment.version)
    emit(tx, kind(**_ids(enrollment), **more), version=enrollment.version)


def state_of(enrollment: Enrollment) -> EnrollmentChanged:
    return EnrollmentChanged(**_ids(enrollment), state=enrollment.state)


def _ids(enrollment: Enrollment) -> dict[str, Any]:
    return {
        "enrollment_id": enrollment.id,
        "org_id": enrollment.org_id,
        "course_id": enrollment.course_id,
        "run_id": enrollment.run_id,
        "user_id": enrollment.user_id,
    }
