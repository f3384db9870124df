"""The SQL of privacy requests and their parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from api.core.user.contract import PrivacyRequestId, PrivacyRequestPending, RequestKind, RequestState
from api.core.user.privacy_request import signing
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach
from cluster.people.erasure import Outcome, PartDone


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one service did; without `outcome` it has not answered."""

    service: str
    outcome: Outcome | None
    rows_erased: int
    rows_kept: int
    rows_exported: int
    grounds: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    id: PrivacyRequestId
    kind: RequestKind
    user_id: UserId
    org_id: OrgId | None
    requested_by: UserId
    state: RequestState
    failure: str | None
    round: int
    version: int
    created_at: datetime
    confirmed_at: datetime | None
    starts_at: datetime | None
    finished_at: datetime | None
    archive_until: datetime | None
    signed_report: str | None
    parts: list[Part]

    @property
    def report_url(self) -> str:
        """Where the signed report stands once there is one, for whoever has this address."""
        return f"/v1/privacy-requests/-/report?token={signing.token_of(self.id)}"


_REQUEST = """id, kind, user_id, org_id, requested_by, state, failure, round, version, created_at, confirmed_at, starts_at,
    finished_at, archive_until, signed_report, (
        SELECT coalesce(jsonb_agg(to_jsonb(part) - 'request_id' ORDER BY service), '[]')
        FROM "user".privacy_parts AS part WHERE part.request_id = request.id) AS parts"""


def _request(row: asyncpg.Record) -> Request:
    fields: dict[str, Any] = dict(row)
    fields["parts"] = [Part(**part) for part in fields["parts"]]
    return Request(**fields)


FIND_REQUEST = "SELECT " + _REQUEST + ' FROM "user".privacy_requests AS request WHERE id = $request_id'


async def find_request(db: Connection, request_id: UUID) -> Guarded[Request] | None:
    """Find a request; the person whom it is about may see it, whoever asked for it."""
    rows = await db.rows(FIND_REQUEST, request_id=request_id)
    if not rows:
        return None
    found = _request(rows[0])
    return Guarded(found, owner_id=found.user_id, org_id=found.org_id, see="privacy_request:read")


def managed(request: Request) -> Guarded[Request]:
    """Guard a request, which the caller may see, for who may confirm and cancel it: the person, or the asking organization."""
    owner = request.user_id if request.org_id is None else None
    return Guarded(request, owner_id=owner, org_id=request.org_id, public=True)


LOCK_REQUEST = FIND_REQUEST + " FOR UPDATE"


async def lock_request(tx: Transaction, request_id: UUID) -> Request | None:
    rows = await tx.rows(LOCK_REQUEST, request_id=request_id)
    return _request(rows[0]) if rows else None


LIST_REQUESTS = (
    "SELECT "
    + _REQUEST
    + """ FROM "user".privacy_requests AS request
    WHERE ($everywhere OR user_id = $own OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($after::uuid IS NULL OR id < $after)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_requests(
    db: Connection, reach: Reach, *, org_id: UUID | None, ids: list[UUID] | None, after: UUID | None, limit: int
) -> list[Request]:
    rows = await db.rows(LIST_REQUESTS, reach, org_id=org_id, ids=ids, after=after, limit=limit)
    return [_request(row) for row in rows]


INSERT_REQUEST = """
INSERT INTO "user".privacy_requests (id, kind, user_id, org_id, requested_by, created_at)
VALUES ($request_id, $kind, $user_id, $org_id, $requested_by, $now)
"""


async def insert_request(
    tx: Transaction,
    request_id: PrivacyRequestId,
    kind: RequestKind,
    *,
    user_id: UserId,
    org_id: OrgId | None,
    requested_by: UserId,
) -> None:
    """Store a request.

    Raises:
        PrivacyRequestPending: an open one asks for the same.
    """
    fields = {"kind": kind, "user_id": user_id, "org_id": org_id, "requested_by": requested_by}
    try:
        await tx.run(INSERT_REQUEST, request_id=request_id, **fields)
    except asyncpg.UniqueViolationError:
        raise PrivacyRequestPending("confirm or cancel the request that there is: GET /v1/privacy-requests") from None


RESTORE_REQUEST = """
INSERT INTO "user".privacy_requests (id, kind, user_id, org_id, requested_by, state, created_at, confirmed_at)
VALUES ($request_id, 'erasure', $user_id, $org_id, $requested_by, 'running', $created_at, $created_at)
ON CONFLICT (id) DO NOTHING
"""


async def restore_request(tx: Transaction, noted: object) -> None:
    """Store an erasure of the ledger that the database has lost."""
    await tx.run(RESTORE_REQUEST, noted)


UPDATE_REQUEST = (
    """UPDATE "user".privacy_requests AS request
    SET state = $state, failure = $failure, round = $round, confirmed_at = $confirmed_at, starts_at = $starts_at,
        finished_at = $finished_at, archive_until = $archive_until, signed_report = $signed_report, version = version + 1
    WHERE id = $id RETURNING """
    + _REQUEST
)


async def update_request(tx: Transaction, request: Request) -> Request:
    """Store what moved on, and return it with its new version."""
    return _request((await tx.rows(UPDATE_REQUEST, request))[0])


ASK_PARTS = """
INSERT INTO "user".privacy_parts (request_id, service) SELECT $request_id, unnest($services::text[])
ON CONFLICT (request_id, service) DO UPDATE SET outcome = NULL
"""


async def ask_parts(tx: Transaction, request_id: PrivacyRequestId, services: Sequence[str]) -> None:
    """Wait for the answer of each of these services, also of those that have answered an earlier round."""
    await tx.run(ASK_PARTS, request_id=request_id, services=services)


ANSWER_PART = """
UPDATE "user".privacy_parts
SET outcome = $outcome, rows_erased = $rows_erased, rows_kept = $rows_kept, rows_exported = $rows_exported, grounds = $grounds
WHERE request_id = $request_id AND service = $service
"""


async def answer_part(tx: Transaction, service: str, answer: PartDone) -> None:
    await tx.run(ANSWER_PART, answer, service=service)


TOUCH_ERASED = (
    "UPDATE \"user\".users SET version = version + 1 WHERE id = $user_id AND state = 'erased' RETURNING version"
)


async def touch_erased(tx: Transaction, user_id: UserId) -> int | None:
    """Return the next version of an erased person's row, for the event that says so."""
    version: int | None = await tx.value(TOUCH_ERASED, user_id=user_id)
    return version
