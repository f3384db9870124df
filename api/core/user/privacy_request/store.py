"""The SQL of privacy requests and their parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from api.core.user.contract import PrivacyRequestId, RequestKind, RequestState
from api.core.user.privacy_request import signing
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach
from cluster.people.erasure import Outcome, PartDone


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of one service; its `outcome` is None until it has answered."""

    service: str
    outcome: Outcome | None
    rows_erased: int
    rows_kept: int
    rows_exported: int
    files_erased: int
    files_exported: int
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
        """Address of the signed report once there is one. It contains the token that opens it."""
        return f"/v1/privacy-requests/-/report?token={signing.token_of(self.id)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """An erasure that has begun, as the ledger outside the database has it."""

    request_id: PrivacyRequestId
    user_id: UserId
    org_id: OrgId | None
    requested_by: UserId
    created_at: datetime


_REQUEST = """id, kind, user_id, org_id, requested_by, state, failure, round, version, created_at, confirmed_at, starts_at,
    finished_at, archive_until, signed_report, (
        SELECT coalesce(jsonb_agg(to_jsonb(part) - 'request_id' ORDER BY service), '[]')
        FROM "user".privacy_parts AS part WHERE part.request_id = request.id) AS parts"""


def _request(row: asyncpg.Record) -> Request:
    fields: dict[str, Any] = dict(row)
    fields["parts"] = [Part(**part) for part in fields["parts"]]
    return Request(**fields)


FIND_REQUEST = "SELECT " + _REQUEST + ' FROM "user".privacy_requests AS request WHERE id = $request_id'


async def find_request(db: Connection, request_id: PrivacyRequestId) -> Guarded[Request] | None:
    """Find a request. The person whom it is about may see it, also when an organization asked for it."""
    rows = await db.rows(FIND_REQUEST, request_id=request_id)
    if not rows:
        return None
    found = _request(rows[0])
    return Guarded(found, owner_id=found.user_id, org_id=found.org_id, see="privacy_request:read")


LOCK_REQUEST = FIND_REQUEST + " FOR UPDATE"


async def lock_request(tx: Transaction, request_id: PrivacyRequestId) -> Request | None:
    rows = await tx.rows(LOCK_REQUEST, request_id=request_id)
    return _request(rows[0]) if rows else None


LIST_REQUESTS = (
    "SELECT "
    + _REQUEST
    + """ FROM "user".privacy_requests AS request
    WHERE ($everywhere OR user_id = $own OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_requests(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[PrivacyRequestId] | None,
    before: PrivacyRequestId | None,
    limit: int,
) -> list[Request]:
    """List requests within reach, newest first."""
    rows = await db.rows(LIST_REQUESTS, reach, org_id=org_id, ids=ids, before=before, limit=limit)
    return [_request(row) for row in rows]


LIST_EXPORTS = """
SELECT id FROM "user".privacy_requests WHERE user_id = $user_id AND kind = 'export' ORDER BY id DESC LIMIT 1000
"""


async def list_exports(db: Connection, user_id: UserId) -> list[PrivacyRequestId]:
    """List the exports about a person, whoever asked for them."""
    return [row["id"] for row in await db.rows(LIST_EXPORTS, user_id=user_id)]


INSERT_REQUEST = """
INSERT INTO "user".privacy_requests (id, kind, user_id, org_id, requested_by, created_at)
VALUES ($request_id, $kind, $user_id, $org_id, $requested_by, $now)
ON CONFLICT DO NOTHING
"""


async def insert_request(
    tx: Transaction,
    request_id: PrivacyRequestId,
    kind: RequestKind,
    *,
    user_id: UserId,
    org_id: OrgId | None,
    requested_by: UserId,
) -> bool:
    """Insert a request; False when an open one asks for the same."""
    fields = {"kind": kind, "user_id": user_id, "org_id": org_id, "requested_by": requested_by}
    return await tx.run(INSERT_REQUEST, request_id=request_id, **fields) == 1


INSERT_LOST_REQUEST = """
INSERT INTO "user".privacy_requests (id, kind, user_id, org_id, requested_by, state, created_at, confirmed_at)
VALUES ($request_id, 'erasure', $user_id, $org_id, $requested_by, 'running', $created_at, $created_at)
ON CONFLICT (id) DO NOTHING
"""


async def insert_lost_request(tx: Transaction, entry: LedgerEntry) -> None:
    """Insert the request of a ledger's entry, unless the database still has it."""
    await tx.run(INSERT_LOST_REQUEST, entry)


UPDATE_REQUEST = (
    """UPDATE "user".privacy_requests AS request
    SET state = $state, failure = $failure, round = $round, confirmed_at = $confirmed_at, starts_at = $starts_at,
        finished_at = $finished_at, archive_until = $archive_until, signed_report = $signed_report, version = version + 1
    WHERE id = $id RETURNING """
    + _REQUEST
)


async def update_request(tx: Transaction, request: Request) -> Request:
    """Store the state of a request, and return the request with its new version."""
    return _request((await tx.rows(UPDATE_REQUEST, request))[0])


UPSERT_PARTS = """
INSERT INTO "user".privacy_parts (request_id, service) SELECT $request_id, unnest($services::text[])
ON CONFLICT (request_id, service) DO UPDATE SET outcome = NULL
"""


async def upsert_parts(tx: Transaction, request_id: PrivacyRequestId, services: Sequence[str]) -> None:
    """Insert a part without outcome for each service, and clear the outcomes of an earlier round."""
    await tx.run(UPSERT_PARTS, request_id=request_id, services=services)


UPDATE_PART = """
UPDATE "user".privacy_parts
SET outcome = $outcome, rows_erased = $rows_erased, rows_kept = $rows_kept, rows_exported = $rows_exported,
    files_erased = $files_erased, files_exported = $files_exported, grounds = $grounds
WHERE request_id = $request_id AND service = $service
"""


async def update_part(tx: Transaction, service: str, answer: PartDone) -> None:
    await tx.run(UPDATE_PART, answer, service=service)


UPDATE_ERASED_VERSION = (
    "UPDATE \"user\".users SET version = version + 1 WHERE id = $user_id AND state = 'erased' RETURNING version"
)


async def update_erased_version(tx: Transaction, user_id: UserId) -> int | None:
    """Return the next version of an erased person's row, for the event `user.erased`; None when there is no such row."""
    return await tx.value(UPDATE_ERASED_VERSION, user_id=user_id)
