"""HTTP of maintenance windows."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Response
from pydantic import AwareDatetime, ConfigDict, Field, computed_field, model_validator

from api.core.gateway.contract import (
    MaintenanceHasBegun,
    MaintenanceOver,
    MaintenanceState,
    MaintenanceWindowId,
    MaintenanceWindowNotFound,
    OrganizationUnknown,
)
from api.core.gateway.maintenance import logic
from api.core.gateway.maintenance.rules import state_of
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View
from cluster.people.door import WindowMode, WindowScope

router = Router("gateway")


class NewMaintenanceWindow(Body):
    """When what is read only or closed."""

    scope: WindowScope
    service: Annotated[str | None, Field(max_length=63)] = None
    organization_id: OrgId | None = None
    mode: WindowMode
    starts_at: Annotated[AwareDatetime | None, Field(description="Null: now")] = None
    ends_at: AwareDatetime
    reason: Annotated[str, Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _names_its_scope(self) -> "NewMaintenanceWindow":
        named = (self.service is not None, self.organization_id is not None)
        if named != (self.scope == "service", self.scope == "organization"):
            raise ValueError("name a service or an organization if that is the scope, and nothing else")
        return self

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "scope": "platform",
                    "mode": "read_only",
                    "starts_at": "2031-05-04T20:00:00Z",
                    "ends_at": "2031-05-04T21:00:00Z",
                    "reason": "a larger database",
                }
            ]
        }
    )


class MaintenanceWindowChanges(Patch):
    """Other times. What has begun can only end at another time."""

    starts_at: AwareDatetime = datetime(1970, 1, 1, tzinfo=UTC)
    ends_at: AwareDatetime = datetime(1970, 1, 1, tzinfo=UTC)

    model_config = ConfigDict(json_schema_extra={"examples": [{"ends_at": "2031-05-04T22:00:00Z"}]})


class MaintenanceWindowView(View):
    """A maintenance window."""

    id: MaintenanceWindowId
    scope: WindowScope
    service: str | None
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    mode: WindowMode
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_at: datetime

    @computed_field
    @property
    def state(self) -> MaintenanceState:
        return state_of(self.starts_at, self.ends_at, datetime.now(UTC))


WINDOW = Answer(get=logic.get_window, view=MaintenanceWindowView, etag="version", path="/v1/maintenance-windows/{id}")


@router.post("/v1/maintenance-windows", status_code=201, raises=(OrganizationUnknown,))
async def plan_maintenance(caller: Caller, new: NewMaintenanceWindow, response: Response) -> MaintenanceWindowView:
    """Announce maintenance of the platform, a service or an organization. Every process obeys within a second.

    Before it begins, answers carry `Maintenance: starts=@..., ends=@..., mode=...` (a dictionary of RFC 9651). Meanwhile what is
    closed is answered with 503 and `Retry-After`; requests that are under way end with their answer. Signing in, health and the
    platform's administrators, who alone may plan it, pass.
    """
    work = logic.plan_window(
        caller,
        scope=new.scope,
        service=new.service,
        org_id=new.organization_id,
        mode=new.mode,
        starts_at=new.starts_at,
        ends_at=new.ends_at,
        reason=new.reason,
    )
    return await WINDOW.created(response, caller, work)


@router.get("/v1/maintenance-windows")
async def list_maintenance(
    caller: Caller, paging: Paging, id: Several[MaintenanceWindowId] = None
) -> Page[MaintenanceWindowView]:
    """List maintenance windows, the last planned first. Only for the platform's administrators."""
    after = paging.after(id=id)
    found = await logic.list_windows(
        caller, ids=id, before=MaintenanceWindowId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(found, render=MaintenanceWindowView.of)


@router.get("/v1/maintenance-windows/{maintenance_window_id}", raises=(MaintenanceWindowNotFound,))
async def get_maintenance(
    caller: Caller, maintenance_window_id: MaintenanceWindowId, response: Response
) -> MaintenanceWindowView:
    """Return a maintenance window."""
    return WINDOW.show(response, await logic.get_window(caller, maintenance_window_id))


@router.patch(
    "/v1/maintenance-windows/{maintenance_window_id}",
    raises=(MaintenanceWindowNotFound, MaintenanceOver, MaintenanceHasBegun, Stale),
)
async def change_maintenance(
    caller: Caller,
    maintenance_window_id: MaintenanceWindowId,
    changes: MaintenanceWindowChanges,
    version: IfMatch,
    response: Response,
) -> MaintenanceWindowView:
    """Move when maintenance begins or ends."""
    work = logic.change_window(caller, maintenance_window_id, changes.changes(), version)
    return await WINDOW.once(response, caller, work)


@router.post("/v1/maintenance-windows/{maintenance_window_id}/end", raises=(MaintenanceWindowNotFound,))
async def end_maintenance(
    caller: Caller, maintenance_window_id: MaintenanceWindowId, response: Response
) -> MaintenanceWindowView:
    """End maintenance now, or call it off."""
    return await WINDOW.once(response, caller, logic.end_window(caller, maintenance_window_id))
