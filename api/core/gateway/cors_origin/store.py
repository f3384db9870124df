"""The SQL of origins."""

from dataclasses import dataclass
from datetime import datetime

from api.core.gateway.contract import CorsOriginId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsOrigin:
    """An origin whose pages may ask."""

    id: CorsOriginId
    org_id: OrgId
    origin: str
    credentials: bool
    version: int
    created_at: datetime


_COLUMNS = "id, org_id, origin, credentials, version, created_at"

INSERT_CORS_ORIGIN = (
    """INSERT INTO gateway.cors_origins (id, org_id, origin, credentials, created_at)
    VALUES ($cors_origin_id, $org_id, $origin, $credentials, $now) ON CONFLICT (org_id, origin) DO NOTHING RETURNING """
    + _COLUMNS
)


async def insert_cors_origin(
    tx: Transaction, cors_origin_id: CorsOriginId, org_id: OrgId, origin: str, *, credentials: bool
) -> CorsOrigin | None:
    """Insert an origin; None: the organization has it."""
    return await tx.maybe(
        CorsOrigin,
        INSERT_CORS_ORIGIN,
        cors_origin_id=cors_origin_id,
        org_id=org_id,
        origin=origin,
        credentials=credentials,
    )


COUNT_CORS_ORIGINS = "SELECT count(*) FROM gateway.cors_origins WHERE org_id = $org_id"


async def count_cors_origins(tx: Transaction, org_id: OrgId) -> int:
    return await tx.value(COUNT_CORS_ORIGINS, org_id=org_id)


FIND_CORS_ORIGIN = "SELECT " + _COLUMNS + " FROM gateway.cors_origins WHERE id = $cors_origin_id"


async def find_cors_origin(db: Connection, cors_origin_id: CorsOriginId) -> Guarded[CorsOrigin] | None:
    found = await db.maybe(CorsOrigin, FIND_CORS_ORIGIN, cors_origin_id=cors_origin_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


LIST_CORS_ORIGINS = (
    "SELECT "
    + _COLUMNS
    + """ FROM gateway.cors_origins
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_cors_origins(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[CorsOriginId] | None,
    before: CorsOriginId | None,
    limit: int,
) -> list[CorsOrigin]:
    """List origins within reach, newest first."""
    return await db.all(CorsOrigin, LIST_CORS_ORIGINS, reach, org_id=org_id, ids=ids, before=before, limit=limit)


DELETE_CORS_ORIGIN = "DELETE FROM gateway.cors_origins WHERE id = $cors_origin_id RETURNING " + _COLUMNS


async def delete_cors_origin(tx: Transaction, cors_origin_id: CorsOriginId) -> CorsOrigin | None:
    return await tx.maybe(CorsOrigin, DELETE_CORS_ORIGIN, cors_origin_id=cors_origin_id)
