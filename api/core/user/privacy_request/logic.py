"""Use cases of privacy requests: create, confirm, cancel, start, and take the answers of the services.

requested -> cooling (erasure, 14 days) -> running -> done | failed
requested -> running (export)           -> done | failed
requested, cooling -> cancelled;  failed -> running, when an operator has a part repeated
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from api.core.auth.contract import AuthCalls
from api.core.rbac.contract import RbacCalls
from api.core.user import logic as profiles
from api.core.user.contract import (
    ArchiveNotReady,
    ForOneselfAlone,
    PackExport,
    PrivacyRequestChanged,
    PrivacyRequested,
    PrivacyRequestId,
    PrivacyRequestNotFound,
    PrivacyRequestOver,
    PrivacyRequestPending,
    RecentSignInNeeded,
    RequestKind,
    SoleOwner,
    StartErasure,
    UserErased,
    UserNotFound,
)
from api.core.user.privacy_request import ledger, signing, store
from api.core.user.privacy_request.store import LedgerEntry, Request
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Forbidden
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.events.kafka import LOG_KEPT_FOR
from cluster.jobs import cancel_jobs, enqueue
from cluster.people import erasure, export
from cluster.people.access import Guarded, lacking, permit, permitted, reach_of
from cluster.people.calls import client
from cluster.people.erasure import Erasing, PartDone
from cluster.people.export import ExportRequested
from cluster.signals import broadcast

COOLING_PERIOD = timedelta(days=14)
RECENT_SIGN_IN = timedelta(minutes=5)
DOWNLOAD_PERIOD = timedelta(days=7)
ROUNDS = 2
"""The second round erases rows that late events inserted after the first."""
_REPORT = "privacy-report+jws"
_NOTES = [
    "Texts, titles and files of organizations are not searched: nobody can tell who is mentioned in them.",
    "Invitations are searched for the verified address of the account, not for addresses that it had before.",
    "A signed note of the ids stays outside the database, so that a restored backup is erased again.",
]
_IDS_LEFT = (
    ("events in the event log", "the log is not rewritten; events hold ids and never names or addresses", LOG_KEPT_FOR),
    (
        "work and events that wait or failed",
        "needed to end what is under way, such as enrolments and rights; they hold ids and never names",
        erasure.AGAIN_AFTER[-1],
    ),
    ("messages between processes", "needed to end sessions and rights everywhere at once", broadcast.KEPT_FOR),
)
"""Where the id alone may still stand when somebody has left, on which ground, and how long from then."""


async def create_request(
    caller: Principal, kind: RequestKind, *, user_id: UserId | None, org_id: OrgId | None
) -> Request:
    """Request to erase or export all data about the caller, or the data that an organization keeps about its member.

    Raises:
        UserNotFound: it is about somebody else, and about no organization that the caller owns.
        SoleOwner, PrivacyRequestPending, ForOneselfAlone
    """
    person = _oneself(caller)
    about = user_id or person
    owner = about if org_id is None else None
    place = Guarded(None, owner_id=owner, org_id=org_id)
    await permit(caller, "privacy_request:create", place, missing=UserNotFound)
    if kind == "erasure":
        await _check_owners_stay(about, org_id)
    request_id = PrivacyRequestId(new_id())
    async with write(caller, result=request_id, status=201) as tx:
        if not await store.insert_request(tx, request_id, kind, user_id=about, org_id=org_id, requested_by=person):
            raise PrivacyRequestPending("confirm or cancel the request that there is: GET /v1/privacy-requests")
        emit(tx, PrivacyRequested(request_id=request_id, user_id=about, org_id=org_id, kind=kind), version=1)
    return await get_request(caller, request_id)


def _oneself(caller: Principal) -> UserId:
    if caller.acting_for is not None:
        raise ForOneselfAlone("end the impersonation first")
    return caller.person()


async def _check_owners_stay(user_id: UserId, org_id: OrgId | None) -> None:
    owned = await client(RbacCalls).owned_alone(user_id)
    left = owned if org_id is None else [each for each in owned if each == org_id]
    if left:
        detail = "hand these organizations over first: POST /v1/organizations/{id}/transfer"
        raise SoleOwner(detail, organizations=[str(each) for each in left])


async def get_request(caller: Principal, request_id: PrivacyRequestId) -> Request:
    """Return a request with the parts of all services."""
    return await permitted(
        caller, "privacy_request:read", store.find_request, request_id, missing=PrivacyRequestNotFound
    )


async def list_requests(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[PrivacyRequestId] | None,
    before: PrivacyRequestId | None,
    limit: int,
) -> list[Request]:
    """List the requests that the caller may see, newest first."""
    reach = await reach_of(caller, "privacy_request:read")
    async with read() as db:
        return await store.list_requests(db, reach, org_id=org_id, ids=ids, before=before, limit=limit)


async def _managed(caller: Principal, request_id: PrivacyRequestId) -> Request:
    """Return a request that the caller may confirm and cancel.

    Raises:
        PrivacyRequestNotFound, ForOneselfAlone, Forbidden
    """
    _oneself(caller)
    seen = await get_request(caller, request_id)
    # The person may manage their own request, and the organization the one that it made.
    place = Guarded(None, owner_id=seen.user_id if seen.org_id is None else None, org_id=seen.org_id)
    if await lacking(caller, ["privacy_request:manage"], place):
        raise Forbidden("this needs the permission privacy_request:manage", permission="privacy_request:manage")
    return seen


async def confirm(caller: Principal, request_id: PrivacyRequestId, now: datetime) -> Request:
    """Let a request go on: an erasure waits 14 days, in which it can be cancelled; an export begins.

    Raises:
        RecentSignInNeeded: the password was proven more than five minutes ago.
        PrivacyRequestOver: it is cancelled or finished.
        SoleOwner
    """
    seen = await _managed(caller, request_id)
    if caller.auth_time is None or now - caller.auth_time > RECENT_SIGN_IN:
        raise RecentSignInNeeded(
            "send the password to POST /v1/sessions/me/reauthenticate, then confirm with the new token",
            headers={"WWW-Authenticate": 'Bearer error="insufficient_user_authentication", max_age="300"'},
        )
    if seen.kind == "erasure":
        await _check_owners_stay(seen.user_id, seen.org_id)
    async with write(caller, result=seen.id) as tx:
        request = await _locked(tx, seen.id)
        match request.state:
            case "requested" if request.kind == "erasure":
                starts_at = tx.now + COOLING_PERIOD
                await _move(tx, replace(request, state="cooling", confirmed_at=tx.now, starts_at=starts_at))
                enqueue(tx, StartErasure(request_id=request.id), at=starts_at, dedupe=StartErasure.dedupe(request.id))
            case "requested":
                await _export(tx, replace(request, confirmed_at=tx.now))
            case "cooling" | "running":
                pass
            case "done" | "failed" | "cancelled":
                raise PrivacyRequestOver(f"it is {request.state}; make a new one")
    return await get_request(caller, seen.id)


async def cancel(caller: Principal, request_id: PrivacyRequestId) -> Request:
    """Cancel a request that has not begun.

    Raises:
        PrivacyRequestOver
    """
    seen = await _managed(caller, request_id)
    async with write(caller, result=seen.id) as tx:
        request = await _locked(tx, seen.id)
        if request.state in ("requested", "cooling"):
            await _move(tx, replace(request, state="cancelled", finished_at=tx.now))
            cancel_jobs(tx, StartErasure, StartErasure.dedupe(request.id))
        elif request.state != "cancelled":
            raise PrivacyRequestOver(f"it is {request.state}, and what is erased does not come back")
    return await get_request(caller, seen.id)


async def _locked(tx: Transaction, request_id: PrivacyRequestId) -> Request:
    request = await store.lock_request(tx, request_id)
    if request is None:
        raise PrivacyRequestNotFound
    return request


async def _move(tx: Transaction, request: Request) -> Request:
    moved = await store.update_request(tx, request)
    changed = PrivacyRequestChanged(
        request_id=moved.id, user_id=moved.user_id, org_id=moved.org_id, kind=moved.kind, state=moved.state
    )
    emit(tx, changed, version=moved.version)
    return moved


async def start(caller: Principal, request_id: PrivacyRequestId) -> None:
    """Begin an erasure whose time has come. A repetition goes on where the attempt before broke off."""
    seen = await permitted(caller, "privacy_request:read", store.find_request, request_id)
    owned = await client(RbacCalls).owned_alone(seen.user_id)
    if seen.state == "cooling" and (seen.org_id in owned if seen.org_id is not None else owned):
        async with write(caller) as tx:
            request = await _locked(tx, request_id)
            if request.state == "cooling":
                await _move(tx, replace(request, state="failed", failure="sole-owner", finished_at=tx.now))
        return
    addresses = await _addresses_of(seen.user_id)
    async with write(caller) as tx:
        request = await _locked(tx, request_id)
        if request.state == "cooling":
            request = await _move(tx, replace(request, state="running"))
        if request.state == "running" and request.round == 0:
            await erasure.prepare(tx, _erasing(request, addresses))
    if request.state != "running" or request.round > 0:
        return
    # The ledger is written before anything is erased, because that is final, and after a cancellation has become impossible.
    await ledger.record(request)
    if request.org_id is None:
        await client(AuthCalls).release_identity(request.user_id)
    async with write(caller) as tx:
        request = await _locked(tx, request_id)
        if request.state == "running" and request.round == 0:
            await _ask(tx, request)


async def _addresses_of(user_id: UserId) -> list[str]:
    """Return the verified address of a person: an address that somebody else may own is not theirs to erase."""
    address = await client(AuthCalls).address_of(user_id)
    return [] if address is None or not address.verified else [address.email.lower()]


def _erasing(request: Request, addresses: Sequence[str] = ()) -> Erasing:
    return Erasing(request_id=request.id, user_id=request.user_id, org_id=request.org_id, addresses=list(addresses))


async def _ask(tx: Transaction, request: Request) -> None:
    """Begin the next round. The profile lets go of its picture first, so that media finds nothing in use."""
    if request.org_id is None:
        await profiles.change_avatar(tx, request.user_id, None)
    await store.upsert_parts(tx, request.id, erasure.services())
    asked = await _move(tx, replace(request, state="running", failure=None, finished_at=None, round=request.round + 1))
    await erasure.begin(tx, _erasing(asked), round=asked.round, version=asked.version)


async def _export(tx: Transaction, request: Request) -> None:
    await store.upsert_parts(tx, request.id, erasure.services())
    asked = await _move(tx, replace(request, state="running", round=1))
    requested = ExportRequested(request_id=asked.id, user_id=asked.user_id, org_id=asked.org_id)
    export.begin(tx, requested, version=asked.version)


async def take_answer(tx: Transaction, service: str, answer: PartDone) -> None:
    """Record the answer of a service; the last answer of a round begins the next round, or finishes the request."""
    request = await store.lock_request(tx, PrivacyRequestId(answer.request_id))
    if request is None or request.state not in ("running", "failed") or answer.round != request.round:
        return
    await store.update_part(tx, service, answer)
    request = await _locked(tx, request.id)
    outcomes = {part.outcome for part in request.parts}
    if None in outcomes:
        return
    if "failed" in outcomes:
        if request.state != "failed":
            await _move(tx, replace(request, state="failed", failure="part-failed", finished_at=tx.now))
    elif request.kind == "export":
        if request.state == "failed":
            await _move(tx, replace(request, state="running", failure=None, finished_at=None))
        enqueue(tx, PackExport(request_id=request.id), dedupe=f"privacy:pack:{request.id}")
    elif request.round < ROUNDS:
        await _ask(tx, request)
    else:
        await finish(tx, request)


async def finish(tx: Transaction, request: Request) -> None:
    """Finish a request, and sign its report."""
    await erasure.end(tx, request.id)
    finished = replace(request, state="done", failure=None, finished_at=tx.now)
    report = signing.sign(report_of(finished), _REPORT)
    await _move(tx, replace(finished, signed_report=report))
    if request.kind == "erasure" and request.org_id is None:
        version = await store.update_erased_version(tx, request.user_id)
        if version is not None:
            emit(tx, UserErased(user_id=request.user_id), version=version)


def report_of(request: Request) -> dict[str, Any]:
    """Return the report of a request, unsigned."""

    def at(time: datetime | None) -> str | None:
        return None if time is None else time.isoformat()

    return {
        "format": 1,
        "request_id": str(request.id),
        "kind": request.kind,
        "user_id": str(request.user_id),
        "organization_id": None if request.org_id is None else str(request.org_id),
        "requested_at": at(request.created_at),
        "confirmed_at": at(request.confirmed_at),
        "finished_at": at(request.finished_at),
        "parts": [asdict(part) for part in request.parts],
        "notes": _NOTES if request.kind == "erasure" else [],
        "ids_left": _ids_left(request),
    }


def _ids_left(request: Request) -> list[dict[str, str]]:
    if request.kind != "erasure" or request.org_id is not None or request.finished_at is None:
        return []
    return [
        {"where": where, "ground": ground, "until": (request.finished_at + period).isoformat()}
        for where, ground, period in _IDS_LEFT
    ]


async def end_exports(actor: Principal, user_id: UserId) -> list[PrivacyRequestId]:
    """End the exports about somebody who leaves, and return them: what they wrote is to be deleted."""
    async with read() as db:
        export_ids = await store.list_exports(db, user_id)
    for export_id in export_ids:
        async with write(actor) as tx:
            request = await _locked(tx, export_id)
            if request.state in ("requested", "running"):
                await _move(tx, replace(request, state="cancelled", finished_at=tx.now))
            elif request.archive_until is not None:
                await _move(tx, replace(request, archive_until=None))
    return export_ids


async def report_by(token: str) -> Request:
    """Return the finished request of a token: a person who is erased cannot sign in.

    Raises:
        PrivacyRequestNotFound: the token is unknown, or there is no report yet.
    """
    request_id = signing.request_of(token)
    if request_id is None:
        raise PrivacyRequestNotFound
    request = await get_request(platform("user"), request_id)
    if request.signed_report is None:
        raise PrivacyRequestNotFound("there is no report yet")
    return request


async def open_archive(caller: Principal, request_id: PrivacyRequestId, now: datetime) -> AsyncGenerator[bytes, None]:
    """Return the archive of an export as a stream, to the person alone, also when an organization asked for it.

    Raises:
        PrivacyRequestNotFound, ArchiveNotReady, ForOneselfAlone
    """
    _oneself(caller)
    request = await get_request(caller, request_id)
    if request.user_id != caller.id:
        raise ForOneselfAlone("the person whom it is about downloads it")
    if request.archive_until is None or request.archive_until <= now:
        raise ArchiveNotReady("an export can be downloaded for 7 days after it is done", state=request.state)
    return export.exports().get(f"{request.id}.zip")


async def replay(caller: Principal, entry: LedgerEntry) -> bool:
    """Repeat an erasure that is not done in the database; False when it is done."""
    async with write(caller) as tx:
        await store.insert_lost_request(tx, entry)
        request = await _locked(tx, entry.request_id)
        if request.state == "done":
            return False
        cancel_jobs(tx, StartErasure, StartErasure.dedupe(request.id))
        again = replace(request, state="running", failure=None, finished_at=None, round=0)
        await _move(tx, replace(again, confirmed_at=request.confirmed_at or tx.now))
        enqueue(tx, StartErasure(request_id=request.id), dedupe=StartErasure.dedupe(request.id))
    return True
