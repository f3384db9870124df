"""Personal data that rbac keeps: grants, the people who gave them, and suspensions."""

from api.core.rbac.grant import logic
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="rbac.grants",
        person="user_id",
        columns=("user_id", "role", "scope", "scope_id", "org_id", "created_at", "expires_at", "ended_at"),
        purpose="decides what a person may do",
        kept="while the grant lasts, and as its history afterwards",
        erasure="delete",
        organization="org_id",
        merge="move_unless_present",
    ),
    PersonalData(
        table="rbac.grants",
        person="granted_by",
        columns=("granted_by",),
        purpose="tells who gave a role",
        kept="as long as the grant",
        erasure="clear",
        organization="org_id",
        clear_to={"granted_by": None},
        merge="move",
    ),
    PersonalData(
        table="rbac.suspensions",
        person="user_id",
        columns=("user_id", "org_id", "created_at"),
        purpose="lets a suspended member's roles rest",
        kept="while the suspension lasts",
        erasure="delete",
        organization="org_id",
        merge="move_unless_present",
    ),
)
FREE_TEXT = (FreeText(table="rbac.roles", columns=("name", "title"), holds="what an organization calls its roles"),)


async def erase(run: JobRun, request: Erasing) -> None:
    """End the person's grants, so that events tell of it before the rows are deleted."""
    await logic.revoke_for_erasure(run.principal, request.user_id, request.org_id)
