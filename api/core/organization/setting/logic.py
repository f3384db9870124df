"""Use cases of settings: see and change them, in an organization and for the platform."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.core.organization import logic as organizations
from api.core.organization.contract import OrganizationNotFound, SettingsChanged
from api.core.organization.setting import rules, store
from api.core.organization.setting.rules import Value
from api.core.organization.setting.store import Chosen
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import Connection, Transaction, read, write
from cluster.events import emit
from cluster.people import org_settings
from cluster.people.access import permit, within

PLATFORM_SCOPE = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings as they count in one scope.

    The version counts the changes of everything that is shown: also of what an organization inherits.
    """

    org_id: OrgId | None
    settings: list[Value]
    version: int


async def get_settings(caller: Principal, org_id: OrgId) -> Settings:
    """Return the settings of an organization.

    Raises:
        OrganizationNotFound, SuspendedOrganization
    """
    await organizations.get_organization(caller, org_id)
    async with read() as db:
        return _settings(*await _find(db, org_id))


async def change_settings(caller: Principal, org_id: OrgId, changes: dict[str, Any], expected_version: int) -> Settings:
    """Change settings of an organization: all of them, or none. None goes back to the inherited value.

    Raises:
        OrganizationNotFound, SuspendedOrganization, Forbidden, SettingLocked, Stale
    """
    await organizations.get_organization(caller, org_id)
    offered = org_settings.offered()
    # Who sends no change must be allowed to make one all the same.
    for permission in sorted({offered[name].permission for name in changes} or {"organization:edit"}):
        await permit(caller, permission, within(org_id=org_id), missing=OrganizationNotFound)
    async with write(caller, result=org_id) as tx:
        own = await store.lock_chosen(tx, org_id, org_id)
        platform, _ = await _find(tx, org_id)
        if platform.version + own.version != expected_version:
            raise Stale(platform.version + own.version)
        rules.check_unlocked(changes, platform.locked)
        own = await _update(tx, own, rules.merged(own.chosen, changes), own.locked)
    return _settings(platform, own)


async def get_platform_settings(caller: Principal, scope_id: UUID = PLATFORM_SCOPE) -> Settings:  # noqa: ARG001
    """Return what the platform gives to every organization. There is one such scope; a repeated request names it by its id."""
    await permit(caller, "organization:edit-platform", within())
    async with read() as db:
        platform, _ = await _find(db, None)
    return _settings(platform, None)


async def change_platform_settings(
    caller: Principal, *, values: dict[str, Any], locked: dict[str, bool | None], expected_version: int
) -> Settings:
    """Change what the platform gives to every organization, and what it locks: all of it, or nothing.

    What an organization has chosen stays stored, and counts again when the lock is taken away.

    Raises:
        Stale
    """
    await permit(caller, "organization:edit-platform", within())
    async with write(caller, result=PLATFORM_SCOPE) as tx:
        platform = await store.lock_chosen(tx, PLATFORM_SCOPE, None)
        if platform.version != expected_version:
            raise Stale(platform.version)
        locks = rules.merged(
            dict.fromkeys(platform.locked, True), {name: each or None for name, each in locked.items()}
        )
        platform = await _update(tx, platform, rules.merged(platform.chosen, values), sorted(locks))
    return _settings(platform, None)


async def settings_of(org_id: OrgId | None) -> dict[str, list[Any]]:
    """Answer `SettingSource`."""
    async with read() as db:
        return rules.nearest_first(*await _find(db, org_id))


async def _find(db: Connection, org_id: OrgId | None) -> tuple[Chosen, Chosen | None]:
    """Return what the platform chose, and what an organization did."""
    scopes = [PLATFORM_SCOPE] if org_id is None else [PLATFORM_SCOPE, org_id]
    found = {each.scope_id: each for each in await store.list_chosen(db, scopes)}
    platform = found.get(PLATFORM_SCOPE) or Chosen(scope_id=PLATFORM_SCOPE, org_id=None)
    if org_id is None:
        return platform, None
    return platform, found.get(org_id) or Chosen(scope_id=org_id, org_id=org_id)


async def _update(tx: Transaction, before: Chosen, chosen: dict[str, Any], locked: list[str]) -> Chosen:
    """Store what changed, tell it, and let every process read it again."""
    names = rules.changed_names(before.chosen, chosen) | (set(before.locked) ^ set(locked))
    if not names:
        return before
    after = await store.update_chosen(tx, before.scope_id, chosen=chosen, locked=locked)
    event = SettingsChanged(scope_id=after.scope_id, org_id=after.org_id, names=tuple(sorted(names)))
    emit(tx, event, version=after.version)
    org_settings.drop(tx, after.org_id)
    return after


def _settings(platform: Chosen, organization: Chosen | None) -> Settings:
    return Settings(
        org_id=None if organization is None else organization.org_id,
        settings=rules.values_of(platform, organization, org_settings.offered().values()),
        version=platform.version + (0 if organization is None else organization.version),
    )
