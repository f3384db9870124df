"""Events, jobs, problems, values and calls of user."""

from dataclasses import dataclass
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, NotFound, Unauthorized, Unavailable
from cluster.events import event
from cluster.jobs import job
from cluster.people.erasure import ErasureRequested, PartDone
from cluster.people.export import ExportRequested

__all__ = ["ErasureRequested", "ExportRequested", "PartDone"]

PrivacyRequestId = NewType("PrivacyRequestId", UUID)
RequestKind = Literal["erasure", "export"]
RequestState = Literal["requested", "cooling", "running", "done", "failed", "cancelled"]


@event("user.created", subject="user_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreated:
    user_id: UserId
    org_id: OrgId | None = None


@event("user.updated", subject="user_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class UserUpdated:
    user_id: UserId
    org_id: OrgId | None = None


@event("person.document_changed", subject="member_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class PersonDocumentChanged:
    """What is found of a member of an organization is something else now."""

    member_id: UUID
    org_id: OrgId


@event("user.erased", subject="user_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class UserErased:
    """The person left, and every service has erased its part: the id belongs to nobody."""

    user_id: UserId
    org_id: OrgId | None = None


@event("privacy.requested", subject="request_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRequested:
    request_id: PrivacyRequestId
    user_id: UserId
    org_id: OrgId | None
    kind: RequestKind


@event("privacy.state_changed", subject="request_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRequestChanged:
    request_id: PrivacyRequestId
    user_id: UserId
    org_id: OrgId | None
    kind: RequestKind
    state: RequestState


@job("user.copy_address", attempts=20, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class CopyAddress:
    user_id: UserId


@job("user.start_erasure", attempts=50, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class StartErasure:
    request_id: PrivacyRequestId

    @staticmethod
    def dedupe(request_id: UUID) -> str:
        return f"privacy:{request_id}"


@job("user.pack_export", attempts=20, timeout_s=300)
@dataclass(frozen=True, slots=True, kw_only=True)
class PackExport:
    request_id: PrivacyRequestId


class PrivacyRequestNotFound(NotFound):
    title = "There is no such privacy request"


class PrivacyRequestPending(Conflict):
    title = "There is such a request already"


class PrivacyRequestOver(Conflict):
    title = "The request has gone on"


class SoleOwner(Conflict):
    title = "An organization would have no owner"


class ArchiveNotReady(Conflict):
    title = "There is no archive to download"


class RecentSignInNeeded(Unauthorized):
    """The password was proven too long ago for this (RFC 9470)."""

    title = "Prove your password again"


class ForOneselfAlone(Forbidden):
    title = "Nobody does this in somebody else's name"


class AvatarNotFound(NotFound):
    title = "The profile shows no picture"


class UserNotFound(NotFound):
    title = "There is no such person"


class SignUpPaused(Unavailable):
    title = "Nobody can sign up at the moment"


class SignUpTakenOver(Conflict):
    title = "Somebody else signed up with this address at the same time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The part of a profile that other people may see."""

    id: UserId
    name: str
    locale: str
    time_zone: str


class UserCalls(Protocol):
    async def profiles(self, user_ids: list[UserId]) -> list[Profile]:
        """Return the profiles of these people, at most 1,000; a person without a profile is missing."""
        ...
