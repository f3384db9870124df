"""Use cases of origins: let pages of other sites ask, and stop that."""

from api.core.gateway.contract import (
    CorsOriginId,
    CorsOriginNotFound,
    CorsOriginRegistered,
    CorsOriginRemoved,
    CorsOriginTaken,
    TooManyCorsOrigins,
)
from api.core.gateway.cors_origin import store
from api.core.gateway.cors_origin.rules import origin_of
from api.core.gateway.cors_origin.store import CorsOrigin
from api.core.gateway.door import logic as doors
from api.core.gateway.organizations import ensure_organization
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import permit, permitted, reach_of, within

MANAGE = "cors_origin:manage"
TRUST = "cors_origin:trust"
MOST_ORIGINS = 50
"""Of one organization."""


async def register_cors_origin(caller: Principal, org_id: OrgId, origin: str, *, credentials: bool) -> CorsOrigin:
    """Let pages of an origin ask.

    Raises:
        Invalid: it is no origin.
        OrganizationUnknown, CorsOriginTaken, TooManyCorsOrigins
        Forbidden: with credentials, which the platform's administrators alone decide about: browsers send everybody's cookies.
    """
    await permit(caller, MANAGE, within(org_id=org_id))
    if credentials:
        await permit(caller, TRUST, within())
    origin = origin_of(origin)
    await ensure_organization(org_id)
    id = CorsOriginId(new_id())
    async with write(caller, result=id, status=201) as tx:
        await tx.take_turns("gateway.cors_origins", org_id)
        if await store.count_cors_origins(tx, org_id) >= MOST_ORIGINS:
            raise TooManyCorsOrigins("remove one that is not needed first")
        made = await store.insert_cors_origin(tx, id, org_id, origin, credentials=credentials)
        if made is None:
            raise CorsOriginTaken("there is nothing to do", pointer="/origin")
        emit(tx, CorsOriginRegistered(cors_origin_id=id, org_id=org_id), version=made.version)
        await doors.changed(tx)
    return made


async def get_cors_origin(caller: Principal, cors_origin_id: CorsOriginId) -> CorsOrigin:
    return await permitted(caller, MANAGE, store.find_cors_origin, cors_origin_id, missing=CorsOriginNotFound)


async def list_cors_origins(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[CorsOriginId] | None,
    before: CorsOriginId | None,
    limit: int,
) -> list[CorsOrigin]:
    """List the origins of the caller's organizations, newest first."""
    reach = await reach_of(caller, MANAGE)
    async with read() as db:
        return await store.list_cors_origins(db, reach, org_id=org_id, ids=ids, before=before, limit=limit)


async def remove_cors_origin(caller: Principal, cors_origin_id: CorsOriginId) -> None:
    """Let pages of an origin ask no more."""
    await get_cors_origin(caller, cors_origin_id)
    async with write(caller, result=cors_origin_id, status=204) as tx:
        removed = await store.delete_cors_origin(tx, cors_origin_id)
        if removed is not None:
            gone = CorsOriginRemoved(cors_origin_id=cors_origin_id, org_id=removed.org_id)
            emit(tx, gone, version=removed.version + 1)
            await doors.changed(tx)
