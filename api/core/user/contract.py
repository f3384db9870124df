"""What others may import of user."""

from dataclasses import dataclass
from typing import Protocol

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, NotFound
from cluster.events import event


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


class UserNotFound(NotFound):
    title = "There is no such person"


class SignUpTakenOver(Conflict):
    title = "Somebody else signed up with this address at the same time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What others may show of a person."""

    id: UserId
    name: str
    locale: str
    time_zone: str


class UserCalls(Protocol):
    async def profiles(self, user_ids: list[UserId]) -> list[Profile]:
        """Return the profiles of those of these people that there are; at most 1,000."""
        ...
