"""HTTP of settings."""

from starlette.responses import Response

from api.core.organization.contract import OrganizationNotFound, SettingLocked, SuspendedOrganization
from api.core.organization.setting import logic
from api.core.organization.setting.view import (
    PLATFORM_SETTINGS,
    SETTINGS,
    PlatformSettingsPatch,
    PlatformSettingsView,
    SettingChanges,
    SettingsView,
)
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Caller, IfMatch, Router

router = Router("organization")


@router.get("/v1/organizations/-/settings")
async def get_platform_settings(caller: Caller, response: Response) -> PlatformSettingsView:
    """Return the settings that every organization inherits. Only for the platform's administrators."""
    return PLATFORM_SETTINGS.show(response, await logic.get_platform_settings(caller))


@router.patch(
    "/v1/organizations/-/settings",
    raises=(Stale,),
    example={
        "values": {"organization.invitation_days": 3},
        "locked": {"organization.invitation_days": True, "course.visibility": None},
    },
)
async def change_platform_settings(
    caller: Caller, patch: PlatformSettingsPatch, version: IfMatch, response: Response
) -> PlatformSettingsView:
    """Change the settings that every organization inherits, and lock and unlock them: all of it, or nothing.

    Null in `values` goes back to the default. What an organization chose for a locked setting is kept, and counts again once it is
    unlocked. Only for the platform's administrators.
    """
    work = logic.change_platform_settings(
        caller, values=patch.values.by_name(), locked=patch.locked.by_name(), expected_version=version
    )
    return await PLATFORM_SETTINGS.once(response, caller, work)


@router.get("/v1/organizations/{organization_id}/settings", raises=(OrganizationNotFound, SuspendedOrganization))
async def get_settings(caller: Caller, organization_id: OrgId, response: Response) -> SettingsView:
    """Return the settings of an organization: each with the value that counts, and where it comes from."""
    return SETTINGS.show(response, await logic.get_settings(caller, organization_id))


@router.patch(
    "/v1/organizations/{organization_id}/settings",
    raises=(OrganizationNotFound, SuspendedOrganization, SettingLocked, Stale),
    example={"organization.invitation_days": 3, "course.language": None},
)
async def change_settings(
    caller: Caller, organization_id: OrgId, changes: SettingChanges, version: IfMatch, response: Response
) -> SettingsView:
    """Change settings of an organization: all that are named, or none. Null goes back to the inherited value.

    Each setting says which permission it needs. The ETag also changes when an inherited value or a lock does.
    """
    return await SETTINGS.once(
        response, caller, logic.change_settings(caller, organization_id, changes.by_name(), version)
    )
