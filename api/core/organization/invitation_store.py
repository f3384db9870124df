"""One function per statement on the schema organization: invitations."""

from datetime import datetime
from uuid import UUID

from api.core.organization.contract import InvitationId
from api.core.organization.store import Invitation
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

FIND_INVITATION = """
SELECT id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
FROM organization.invitations WHERE id = $1
"""


async def find_invitation(db: Connection, invitation_id: InvitationId) -> Guarded[Invitation] | None:
    found = await db.maybe(Invitation, FIND_INVITATION, invitation_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


FIND_BY_HASH = """
SELECT id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
FROM organization.invitations WHERE token_sha256 = $1
"""


async def find_by_token(db: Connection, token_sha256: bytes) -> Invitation | None:
    return await db.maybe(Invitation, FIND_BY_HASH, token_sha256)


LOCK_INVITATION = """
SELECT id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
FROM organization.invitations WHERE id = $1 FOR UPDATE
"""


async def lock_invitation(tx: Transaction, invitation_id: InvitationId) -> Invitation:
    return await tx.one(Invitation, LOCK_INVITATION, invitation_id)


LIST_INVITATIONS = """
SELECT id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
FROM organization.invitations
WHERE ($1 OR org_id = ANY($2::uuid[])) AND ($3::uuid IS NULL OR org_id = $3) AND ($4::uuid[] IS NULL OR id = ANY($4))
    AND ($5::uuid IS NULL OR id < $5)
ORDER BY id DESC LIMIT $6
"""


async def list_invitations(
    db: Connection, reach: Reach, *, org_id: UUID | None, ids: list[UUID] | None, after: UUID | None, limit: int
) -> list[Invitation]:
    return await db.all(Invitation, LIST_INVITATIONS, reach.everywhere, reach.org_ids, org_id, ids, after, limit)


INSERT_INVITATION = """
INSERT INTO organization.invitations (id, org_id, token_sha256, email, roles, max_uses, created_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
"""


async def insert_invitation(
    tx: Transaction,
    id: InvitationId,
    org_id: OrgId,
    *,
    token_sha256: bytes,
    email: str | None,
    roles: list[str],
    max_uses: int,
    created_by: UserId,
    expires_at: datetime,
) -> Invitation:
    return await tx.one(
        Invitation, INSERT_INVITATION, id, org_id, token_sha256, email, roles, max_uses, created_by, tx.now, expires_at
    )


REVOKE = """
UPDATE organization.invitations SET revoked_at = $2, version = version + 1 WHERE id = $1 AND revoked_at IS NULL
RETURNING id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
"""


async def revoke(tx: Transaction, invitation_id: InvitationId) -> Invitation | None:
    return await tx.maybe(Invitation, REVOKE, invitation_id, tx.now)


REVOKE_OF_INVITER = """
UPDATE organization.invitations SET revoked_at = $3, version = version + 1
WHERE org_id = $1 AND created_by = $2 AND revoked_at IS NULL AND expires_at > $3
RETURNING id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
"""


async def revoke_of_inviter(tx: Transaction, org_id: OrgId, user_id: UserId) -> list[Invitation]:
    """Withdraw what somebody who leaves has invited to."""
    return await tx.all(Invitation, REVOKE_OF_INVITER, org_id, user_id, tx.now)


# Without its address an invitation would be for everybody: it counts no more.
FORGET_ADDRESSES = """
UPDATE organization.invitations i SET email = NULL, revoked_at = coalesce(revoked_at, $3), version = version + 1
FROM organization.invitation_uses u
WHERE u.user_id = $1 AND ($2::uuid IS NULL OR u.org_id = $2) AND i.id = u.invitation_id AND i.email IS NOT NULL
RETURNING i.id, i.org_id, i.email, i.roles, i.max_uses, i.uses, i.created_by, i.version, i.created_at, i.expires_at, i.revoked_at
"""


async def forget_addresses(tx: Transaction, user_id: UserId, org_id: OrgId | None) -> list[Invitation]:
    """Forget the address in each invitation that somebody used, and return those."""
    return await tx.all(Invitation, FORGET_ADDRESSES, user_id, org_id, tx.now)


WAS_USED_BY = """
SELECT EXISTS (SELECT FROM organization.invitation_uses WHERE invitation_id = $1 AND user_id = $2)
"""


async def was_used_by(db: Connection, invitation_id: InvitationId, user_id: UserId) -> bool:
    return await db.value(WAS_USED_BY, invitation_id, user_id)


COUNT_USE = """
WITH used AS (
    INSERT INTO organization.invitation_uses (invitation_id, user_id, org_id, accepted_at) VALUES ($1, $2, $3, $4)
)
UPDATE organization.invitations SET uses = uses + 1, version = version + 1 WHERE id = $1
RETURNING id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at
"""


async def count_use(tx: Transaction, invitation_id: InvitationId, org_id: OrgId, user_id: UserId) -> Invitation:
    return await tx.one(Invitation, COUNT_USE, invitation_id, user_id, org_id, tx.now)
