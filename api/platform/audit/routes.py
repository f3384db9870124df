"""HTTP of audit: the trail of an organization, for those who answer for it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from api.platform.audit import logic
from api.platform.audit.contract import OrganizationUnknown
from api.platform.audit.rules import Entry
from cluster.base.ids import OrgId
from cluster.http import Caller, Page, Paging, Router, Several

router = Router("audit")


class ActorView(BaseModel):
    """The actor of an entry; `id` is null for the platform and for erased people."""

    kind: str
    id: str | None
    acting_for: str | None
    service: str | None


class TargetView(BaseModel):
    type: str
    id: str


class EntryView(BaseModel):
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
    organization_id: UUID,
    action: Several[str] = None,
    actor_id: UUID | None = None,
    target_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Page[EntryView]:
    """List the audit entries of an organization, newest first."""
    after = paging.after(org=organization_id, action=action, actor=actor_id, target=target_id)
    entries = await logic.list_entries(
        caller,
        OrgId(organization_id),
        actions=action,
        actor_id=actor_id,
        target_id=target_id,
        before=after[0] if after else None,
        limit=paging.limit,
    )
    return paging.page(entries, render=_view)


def _view(entry: Entry) -> EntryView:
    return EntryView(
        id=entry.id,
        action=entry.action,
        actor=ActorView(kind=entry.actor_kind, id=entry.actor, acting_for=entry.acting_for, service=entry.service),
        target=TargetView(type=entry.target_type, id=entry.target),
        details=entry.payload,
        at=entry.at,
        trace_id=entry.trace_id,
    )
