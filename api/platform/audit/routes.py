"""HTTP of audit: the trail of an organization, for its owners and administrators."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query

from api.platform.audit import logic
from api.platform.audit.contract import OrganizationUnknown
from cluster.base.ids import OrgId, UserId
from cluster.http import Caller, Page, Paging, Router, Several, View

router = Router("audit")


class ActorView(View):
    """The actor of an entry; `id` is null for the platform and for erased people."""

    kind: str
    id: str | None
    acting_for: str | None
    service: str | None


class TargetView(View):
    type: str
    id: str


class EntryView(View):
    """An entry of the audit trail."""

    id: UUID
    action: str
    actor: ActorView
    target: TargetView
    details: dict[str, Any]
    at: datetime
    trace_id: str


@router.get("/v1/audit-entries", raises=(OrganizationUnknown,))
async def list_entries(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId,
    action: Several[str] = None,
    actor_id: UserId | None = None,
    target_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Page[EntryView]:
    """List the audit entries of an organization, newest first."""
    after = paging.after(org=organization_id, action=action, actor=actor_id, target=target_id)
    entries = await logic.list_entries(
        caller,
        organization_id,
        actions=action,
        actor_id=actor_id,
        target_id=target_id,
        before=after[0] if after else None,
        limit=paging.rows,
    )
    return paging.page(entries, render=EntryView.of)
