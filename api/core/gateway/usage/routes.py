"""HTTP of usage."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime, Field

from api.core.gateway.contract import UsageNotFound
from api.core.gateway.usage import logic
from cluster.base.ids import OrgId
from cluster.http import Caller, Page, Paging, Router, View

router = Router("gateway")


class UsageView(View):
    """How much was asked of a route in an hour."""

    begins_at: Annotated[datetime, Field(validation_alias="hour", description="When the hour begins")]
    route: Annotated[str, Field(description="A method and a path as the API document writes it")]
    calls: int
    units: Annotated[int, Field(description="What the calls cost; see `x-cost` in the API document")]


@router.get("/v1/gateway/-/usage", raises=(UsageNotFound,))
async def list_usage(
    caller: Caller,
    paging: Paging,
    organization_id: Annotated[OrgId | None, Query(description="What was asked in this organization")] = None,
    caller_id: Annotated[UUID | None, Query(description="What this person or key asked")] = None,
    everybody: Annotated[bool, Query(description="What was asked by all together, guests too")] = False,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Hours that begin then or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Hours that begin before")] = None,
) -> Page[UsageView]:
    """List how much was asked, by hour and route, the last hour first. Without a filter: what the caller asked.

    Administrators of an organization see what was asked in it and by its keys, the platform's administrators everything. A request
    counts within some 10 seconds after its end; what was refused with 429 does not count. Hours of people are kept for 30
    days, others for 90.
    """
    after = paging.after(
        datetime, str, sort="-hour", org=organization_id, caller=caller_id, all=everybody, since=since, until=until
    )
    found = await logic.list_usage(
        caller,
        org_id=organization_id,
        caller_id=caller_id,
        everybody=everybody,
        since=since,
        until=until,
        before=None if after is None else (after[0], after[1]),
        limit=paging.rows,
    )
    return paging.page(found, key=lambda each: (each.hour, each.route), render=UsageView.of)
