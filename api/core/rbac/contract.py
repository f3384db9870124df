"""What others may import of rbac."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import Conflict, Forbidden, Invalid, NotFound
from cluster.events import event
from cluster.people.access import ScopeKind

GrantId = NewType("GrantId", UUID)
RoleId = NewType("RoleId", UUID)
EndReason = Literal["ended", "expired"]


@event("grant.created", subject="grant_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCreated:
    """`role` is a built-in role's name or a custom role's id."""

    grant_id: GrantId
    org_id: OrgId | None
    user_id: UserId
    role: str
    scope: ScopeKind
    scope_id: UUID | None
    expires_at: datetime | None = None


@event("grant.extended", subject="grant_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class GrantExtended:
    """The end of a grant moved; None: it has none."""

    grant_id: GrantId
    org_id: OrgId | None
    user_id: UserId
    expires_at: datetime | None


@event("grant.ended", subject="grant_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class GrantEnded:
    grant_id: GrantId
    org_id: OrgId | None
    user_id: UserId
    role: str
    scope: ScopeKind
    scope_id: UUID | None
    reason: EndReason


@event("role.created", subject="role_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCreated:
    role_id: RoleId
    org_id: OrgId
    permissions: list[str]


@event("role.updated", subject="role_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUpdated:
    role_id: RoleId
    org_id: OrgId
    permissions: list[str]


@event("role.deleted", subject="role_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDeleted:
    role_id: RoleId
    org_id: OrgId


class GrantNotFound(NotFound):
    title = "There is no such grant"


class RoleNotFound(NotFound):
    title = "There is no such role"


class RoleUnknown(Invalid):
    title = "There is no such role"


class RoleDoesNotFit(Invalid):
    title = "This role cannot be granted there"


class PlaceUnknown(Invalid):
    title = "The organization has no such place"


class PermissionUnknown(Invalid):
    title = "There is no such permission"


class BeyondOwnRights(Forbidden):
    """The caller gives, ends or changes permissions that they do not hold themselves."""

    title = "This exceeds your own permissions"


class LastOwner(Conflict):
    title = "An organization needs an owner"


class SuccessorIsSuspended(Conflict):
    title = "The successor is suspended"


class RoleInUse(Conflict):
    title = "The role still has grants"


class RoleNameTaken(Conflict):
    title = "The name of the role is taken"


class TooManyRoles(Conflict):
    title = "The organization has reached its limit of roles"


class RbacCalls(Protocol):
    """For services that own the places of grants. They check the rights of their callers; every call may be repeated."""

    async def grant(
        self,
        user_id: UserId,
        role: str,
        scope: ScopeKind,
        scope_id: UUID | None,
        org_id: OrgId | None,
        granted_by: UserId | None = None,
        expires_at: datetime | None = None,
        extends: bool = True,
    ) -> GrantId:
        """Grant a role (a built-in one's name, a custom one's id) at a place, and note the organization of the place.

        `extends=False`: a grant that stands keeps the end that it has.

        Raises:
            RoleUnknown, RoleDoesNotFit
        """
        ...

    async def revoke(
        self,
        user_id: UserId,
        role: str,
        scope: ScopeKind,
        scope_id: UUID | None,
        org_id: OrgId | None,
        revoked_by: UserId | None = None,
    ) -> bool:
        """End the grant of a role at a place; False when there is none.

        Raises:
            LastOwner
        """
        ...

    async def revoke_all(self, user_id: UserId, org_id: OrgId, revoked_by: UserId | None = None) -> int:
        """End all grants of a person in an organization, and return how many that were.

        Raises:
            LastOwner
        """
        ...

    async def owned_alone(self, user_id: UserId) -> list[OrgId]:
        """Return the organizations that would have no owner without this person."""
        ...

    async def discard(self, org_id: OrgId) -> int:
        """End all grants of an organization that was not created, its owner's too."""
        ...

    async def transfer_ownership(self, org_id: OrgId, owner: UserId, successor: UserId) -> None:
        """Make `successor` an owner and `owner` an administrator, in one step.

        Raises:
            BeyondOwnRights: `owner` is none.
            SuccessorIsSuspended
        """
        ...

    async def suspend(self, org_id: OrgId, user_id: UserId | None = None) -> None:
        """Let the grants of a member, or of everybody in the organization, rest.

        Raises:
            LastOwner: the member is the last owner that is left.
        """
        ...

    async def resume(self, org_id: OrgId, user_id: UserId | None = None) -> None: ...

    async def lacking(self, caller: Principal, role: str, org_id: OrgId) -> list[str]:
        """Return the permissions of a role that `caller` does not hold in the organization itself, and without an end.

        Raises:
            RoleUnknown, RoleDoesNotFit
        """
        ...

    async def lacking_against(
        self,
        caller: Principal,
        user_id: UserId,
        org_id: OrgId,
        course_id: UUID | None = None,
        roles: list[str] | None = None,
    ) -> list[str]:
        """Return the permissions that a person was granted at a place and `caller` does not hold there.

        The place is the organization itself, or its course. `roles`: only the permissions of these built-in roles.
        """
        ...
