"""Use cases of bulk: begin it, do a batch, take a batch back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from uuid import UUID

from api.core.auth.contract import AuthCalls
from api.core.organization.contract import OrganizationCalls
from api.learning.course.contract import CourseCalls, CourseId, OpenRun, RunId
from api.learning.enrollment import store as enrollments
from api.learning.enrollment.bulk import store
from api.learning.enrollment.bulk.rows import EnrolRow, key_of
from api.learning.enrollment.bulk.store import Move
from api.learning.enrollment.contract import (
    BulkEnrol,
    Enrollment,
    EnrollmentCancelled,
    EnrollmentCreated,
    EnrollmentId,
    EnrollmentNotFound,
    EnrollmentReactivated,
    NotEnrollable,
    NotMember,
    RunFull,
    RunNotOpen,
    State,
)
from api.learning.enrollment.logic import announce_access, tell
from api.learning.enrollment.rules import SEATED
from api.media.media.contract import AssetId, AssetNotFound, AssetNotReady, MediaCalls
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Problem
from cluster.data import Transaction, write
from cluster.jobs import bulk
from cluster.jobs.bulk import Apply, Bulk, BulkWork, ChangedSince, Line, Outcome, TakeBack
from cluster.people.access import Guarded, permit
from cluster.people.calls import client

PURPOSE = "roster"


async def begin(
    caller: Principal,
    run_id: RunId,
    *,
    items: Sequence[EnrolRow] | None,
    asset_id: AssetId | None,
    all_or_nothing: bool,
    dry_run: bool,
) -> UUID:
    """Begin to enrol many people in a run, and return the id of the operation.

    Raises:
        NotEnrollable: there is no such published run.
        AssetNotFound, AssetNotReady: the roster is none that the caller uploaded for this, or is still being checked.
    """
    caller.person()
    found = await _run(caller, run_id)
    file = None if asset_id is None else await _file(caller, asset_id, found.run.org_id)
    operation_id = new_id()
    async with write(caller, result=operation_id, status=202) as tx:
        await bulk.start(
            tx,
            BulkEnrol,
            operation_id=operation_id,
            org_id=found.run.org_id,
            context={"run_id": str(run_id), "course_id": str(found.run.course_id)},
            items=items,
            file=file,
            all_or_nothing=all_or_nothing,
            dry_run=dry_run,
        )
    return operation_id


async def _run(caller: Principal, run_id: RunId) -> OpenRun:
    found = await client(CourseCalls).find_open_run(run_id, datetime.now(UTC))
    if found is None:
        raise NotEnrollable("GET /v1/runs?course_id= lists the runs of a course", pointer="/run_id")
    await permit(caller, "enrollment:manage", found.guarded(), missing=NotEnrollable)
    if found.run.ended_at is not None:
        raise RunNotOpen("the run has ended; choose another one", pointer="/run_id")
    return found


async def _file(caller: Principal, asset_id: AssetId, org_id: OrgId) -> tuple[str, str]:
    asset = await client(MediaCalls).find_asset(asset_id)
    if asset is None or asset.org_id != org_id or asset.purpose != PURPOSE:
        raise AssetNotFound(f"upload the roster with the purpose {PURPOSE} first", pointer="/asset_id")
    await permit(caller, "enrollment:manage", asset.guarded(), missing=AssetNotFound)
    if asset.state != "ready" or asset.object_key is None:
        raise AssetNotReady(f"the file is {asset.state}; wait until it is ready", pointer="/asset_id")
    return asset.bucket, asset.object_key


async def _plan(caller: Principal, bulk: Bulk, rows: Sequence[EnrolRow]) -> Apply:
    """Find who the rows name, among the organization's members, and return what does the batch."""
    found = await _run(caller, RunId(UUID(bulk.context["run_id"])))
    people = await _people(bulk.org_id, rows)

    async def apply(tx: Transaction) -> list[Outcome]:
        return await _apply(tx, found, rows, people)

    return apply


async def _people(org_id: OrgId, rows: Sequence[EnrolRow]) -> list[UserId | None]:
    """Return the member that each row names; None: it names none."""
    emails = [row.email for row in rows if row.email is not None]
    by_email = await client(AuthCalls).find_people(emails) if emails else {}
    wanted = [row.user_id or by_email.get(row.email or "") for row in rows]
    members = await client(OrganizationCalls).find_members(
        org_id,
        [user_id for user_id in wanted if user_id is not None],
        [row.external_id for row in rows if row.external_id is not None],
    )
    known = {member.user_id for member in members}
    by_external_id = {member.external_id: member.user_id for member in members if member.external_id is not None}
    return [
        by_external_id.get(row.external_id) if row.external_id is not None else user_id if user_id in known else None
        for row, user_id in zip(rows, wanted, strict=True)
    ]


async def _apply(
    tx: Transaction, found: OpenRun, rows: Sequence[EnrolRow], people: Sequence[UserId | None]
) -> list[Outcome]:
    """Do a batch. Enrolments are held before seats, as when one person enrols."""
    run = found.run
    coming = {
        person: EnrollmentId(new_id())
        for row, person in zip(rows, people, strict=True)
        if person is not None and row.state == "active"
    }
    inserted = await store.insert_enrollments(
        tx, org_id=run.org_id, course_id=run.course_id, run_id=run.id, people=coming
    )
    new = {enrollment.user_id: enrollment for enrollment in inserted}
    known = sorted({person for person in people if person is not None and person not in new})
    before = new | {each.user_id: each for each in await store.lock_enrollments(tx, run.id, known)}
    free = await _free_seats(tx, run.id, run.seats)
    moves: dict[UserId, Move] = {}
    full: set[UserId] = set()
    done: set[UserId] = set()
    change = 0
    for row, person in zip(rows, people, strict=True):
        enrollment = None if person is None else before.get(person)
        if person is None or enrollment is None or person in done:
            continue
        done.add(person)
        seated = person not in new and enrollment.state in SEATED
        if row.state == "cancelled" and seated:
            moves[person] = Move(enrollment.id, enrollment.version, "cancelled")
            change -= 1
        elif row.state == "active" and not seated:
            if change >= free:
                full.add(person)
                continue
            change += 1
            if person not in new:
                moves[person] = Move(enrollment.id, enrollment.version, "active")
    await store.delete_enrollments(tx, [new[person].id for person in full if person in new])
    moved = {each.user_id: each for each in await store.update_states(tx, list(moves.values()))}
    await enrollments.update_seats(tx, run.id, change)
    outcomes: list[Outcome] = []
    done.clear()
    for person in people:
        if person is None:
            outcomes.append(Outcome(state="failed", problem=NotMember(_INVITE)))
        elif person in full:
            outcomes.append(Outcome(state="failed", user_id=person, problem=RunFull("all seats are taken")))
        else:
            made = _outcome(tx, new.get(person), before.get(person), moved.get(person), again=person in done)
            outcomes.append(replace(made, user_id=person))
        if person is not None:
            done.add(person)
    return outcomes


_INVITE = "no active member of the organization is named so; invite them first: POST /v1/invitations"


def _outcome(
    tx: Transaction, new: Enrollment | None, before: Enrollment | None, moved: Enrollment | None, *, again: bool
) -> Outcome:
    """Tell what became of a row, and tell others by event."""
    if again or (new is None and moved is None):
        return Outcome(state="unchanged", id=None if before is None else before.id)
    if new is not None:
        tell(tx, EnrollmentCreated, new)
        return Outcome(state="created", id=new.id, after={"version": new.version})
    assert moved is not None and before is not None  # noqa: PT018 (what moved was locked before)
    _tell(tx, moved)
    return Outcome(state="changed", id=moved.id, before={"state": before.state}, after={"version": moved.version})


def _tell(tx: Transaction, moved: Enrollment) -> None:
    if moved.state == "cancelled":
        tell(tx, EnrollmentCancelled, moved)
        announce_access(tx, moved)
    else:
        tell(tx, EnrollmentReactivated, moved, state=moved.state)


async def _plan_back(caller: Principal, bulk: Bulk, lines: Sequence[Line]) -> TakeBack:
    """Return what undoes a batch: enrolments are cancelled, and people whose enrolment was cancelled come back.

    The run may have ended, and its course may be archived.
    """
    run_id, course_id = RunId(UUID(bulk.context["run_id"])), CourseId(UUID(bulk.context["course_id"]))
    here = Guarded(None, org_id=bulk.org_id, course_id=course_id, run_id=run_id, see="catalog:read")
    await permit(caller, "enrollment:manage", here)
    run = next((run for run in await client(CourseCalls).runs_of_course(course_id) if run.id == run_id), None)

    async def take_back(tx: Transaction) -> dict[int, Problem]:
        held = await store.lock_by_id(tx, [line.id for line in lines if line.id is not None])
        free = await _free_seats(tx, run_id, None if run is None else run.seats)
        kept: dict[int, Problem] = {}
        moves: list[Move] = []
        change = 0
        for line in lines:
            now = None if line.id is None else held.get(line.id)
            before: State = "cancelled" if line.before is None else line.before["state"]
            if now is None:
                kept[line.row] = EnrollmentNotFound("it was erased since")
            elif now.version != line.after["version"]:
                kept[line.row] = ChangedSince(f"it is {now.state} now; change it by itself if it should not be")
            elif before in SEATED and run is None:
                kept[line.row] = NotEnrollable("the run was deleted since")
            else:
                step = (before in SEATED) - (now.state in SEATED)
                if step > 0 and change >= free:
                    kept[line.row] = RunFull("others took the seat since")
                    continue
                change += step
                moves.append(Move(now.id, now.version, before))
        for moved in await store.update_states(tx, moves):
            _tell(tx, moved)
        await enrollments.update_seats(tx, run_id, change)
        return kept

    return take_back


async def _free_seats(tx: Transaction, run_id: RunId, seats: int | None) -> float:
    """Hold the seats of a run and return how many are free."""
    taken = await store.lock_seats(tx, run_id)
    return inf if seats is None else seats - taken


WORK = BulkWork(row=EnrolRow, key=key_of, plan=_plan, plan_back=_plan_back)
