"""What others may import of organization."""

from dataclasses import dataclass
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, NotFound, TooManyRequests
from cluster.events import event
from cluster.jobs import job

MemberId = NewType("MemberId", UUID)
InvitationId = NewType("InvitationId", UUID)
OrganizationState = Literal["active", "suspended"]
MemberState = Literal["active", "suspended", "left"]


@event("organization.created", subject="org_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationCreated:
    org_id: OrgId
    owner_id: UserId


@event("organization.updated", subject="org_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationUpdated:
    """The state of an organization, told with every change of it."""

    org_id: OrgId
    state: OrganizationState = "active"


@event("organization.suspended", subject="org_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationSuspended:
    org_id: OrgId


@event("organization.resumed", subject="org_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationResumed:
    org_id: OrgId


@event("organization.transferred", subject="org_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationTransferred:
    org_id: OrgId
    owner_id: UserId
    successor_id: UserId


@event("member.joined", subject="member_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined:
    member_id: MemberId
    org_id: OrgId
    user_id: UserId


@event("member.updated", subject="member_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberUpdated:
    """The state of a membership, told with every change of it.

    `removed`: the person was removed, or left while suspended.
    """

    member_id: MemberId
    org_id: OrgId
    user_id: UserId
    state: MemberState
    removed: bool = False


@event("member.left", subject="member_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeft:
    """`removed`: somebody else ended the membership."""

    member_id: MemberId
    org_id: OrgId
    user_id: UserId
    removed: bool


@event("member.ban_refused", subject="member_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberBanRefused:
    """A moderator's ban is not carried out: the person is the last owner. It is, once there is another owner."""

    member_id: MemberId
    org_id: OrgId
    user_id: UserId


@event("invitation.created", subject="invitation_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationCreated:
    invitation_id: InvitationId
    org_id: OrgId


@event("invitation.accepted", subject="invitation_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationAccepted:
    invitation_id: InvitationId
    org_id: OrgId
    user_id: UserId


@event("invitation.revoked", subject="invitation_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRevoked:
    invitation_id: InvitationId
    org_id: OrgId


@event("organization.settings_changed", subject="scope_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanged:
    """Settings have other values or locks. `scope_id`: the organization, or zeros for the platform."""

    scope_id: UUID
    org_id: OrgId | None
    names: tuple[str, ...]


@job("organization.grant_invited", attempts=20, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class GrantInvited:
    """Give the roles of an accepted invitation."""

    invitation_id: InvitationId
    user_id: UserId

    @property
    def dedupe(self) -> str:
        return f"{self.invitation_id} {self.user_id}"


@job("organization.mail_invitation", attempts=20, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class MailInvitation:
    """Hands the letter with an invitation's link to email."""

    invitation_id: InvitationId


@job("organization.carry_out_bans", attempts=20, timeout_s=30)
@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOutBans:
    """Suspends a member whom a moderator banned, or reactivates one whom no ban keeps out any more."""

    org_id: OrgId
    user_id: UserId


@job("organization.discard_unfounded", attempts=20, timeout_s=30)
@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardUnfounded:
    """End the grants of an organization that was not created."""

    org_id: OrgId


class OrganizationNotFound(NotFound):
    title = "There is no such organization"


class MemberNotFound(NotFound):
    title = "There is no such member"


class InvitationNotFound(NotFound):
    title = "There is no such invitation"


class SlugTaken(Conflict):
    title = "The slug is taken"


class ExternalIdTaken(Conflict):
    title = "Another member has this external id"


class TooManyFoundings(TooManyRequests):
    title = "You made many organizations today"


class SuspendedOrganization(Forbidden):
    title = "The organization is suspended"


class MemberIsSuspended(Conflict):
    title = "The membership is suspended"


class MemberIsBanned(Conflict):
    """Carries `until`; null: the ban has no end."""

    title = "A moderator has banned this person here"


class MemberNotActive(Conflict):
    title = "This person is not an active member"


class SuccessorIsOwner(Conflict):
    title = "The successor is the present owner"


class SettingLocked(Conflict):
    title = "The platform has locked this setting"


class InvitationOver(Conflict):
    title = "The invitation is no longer valid"


class AddressNotVerified(Forbidden):
    title = "This invitation is for somebody with another verified e-mail address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An organization as other services know it."""

    id: OrgId
    slug: str
    name: str
    state: OrganizationState


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMember:
    """An active member as other services know it."""

    user_id: UserId
    external_id: str | None


class OrganizationCalls(Protocol):
    async def find_members(self, org_id: OrgId, user_ids: list[UserId], external_ids: list[str]) -> list[KnownMember]:
        """Return the active members with one of these ids, at most 1,000 of each."""
        ...

    async def find_organization(self, org_id: OrgId) -> Organization | None: ...

    async def list_members(self, org_id: OrgId, after: UserId | None, limit: int) -> list[UserId]:
        """Return active members in the order of their ids."""
        ...
