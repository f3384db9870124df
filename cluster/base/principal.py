"""Who acts: the `Principal` that the edge makes of a request, and the platform itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Unauthorized

Kind = Literal["person", "service_account", "guest", "platform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The one who asks. Carries identity, never roles: what it may do is `cluster.people.access`'s question."""

    kind: Kind
    id: UserId | None = None
    session_id: UUID | None = None
    acting_for: UserId | None = None
    """Set while somebody impersonates: `id` is who really acts."""
    scopes: frozenset[str] | None = None
    """Permissions that an OAuth client or API key was given; None: all that the person has."""
    bound_org: OrgId | None = None
    """The session was opened by this organization's identity provider and sees nothing else."""
    auth_time: datetime | None = None
    amr: tuple[str, ...] = ()
    """Authentication methods (RFC 8176)."""
    service: str | None = None
    """The service that acts, when the platform does. Of a call from another host: all of its services, joined by commas."""

    def person(self) -> UserId:
        """Return the person's id.

        Raises:
            Unauthorized: a guest asks.
        """
        if self.id is None:
            raise Unauthorized("sign in first: POST /v1/sessions gives an access token for the Authorization header")
        return self.id


GUEST = Principal(kind="guest")
PLATFORM = Principal(kind="platform")


def platform(service: str) -> Principal:
    """The platform, acting through one of its services."""
    return Principal(kind="platform", service=service)
