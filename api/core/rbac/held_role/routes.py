"""HTTP of held roles."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.core.rbac.contract import PermissionUnknown
from api.core.rbac.held_role import logic
from api.core.rbac.held_role.logic import Explained
from cluster.base.ids import OrgId, UserId
from cluster.http import Caller, Router

router = Router("rbac")


@router.get("/v1/roles/-/explain", raises=(PermissionUnknown,))
async def explain(
    caller: Caller,
    user_id: UserId,
    permission: Annotated[str, Query(max_length=100)],
    organization_id: OrgId | None = None,
    course_id: UUID | None = None,
    run_id: UUID | None = None,
) -> Explained:
    """Explain why a person has or lacks a permission at a scope: the caller, or a person whose grants the caller may see."""
    return await logic.explain(caller, user_id, permission, org_id=organization_id, course_id=course_id, run_id=run_id)
