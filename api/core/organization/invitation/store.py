"""The SQL of invitations."""

from dataclasses import dataclass
from datetime import datetime

from api.core.organization.contract import InvitationId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    id: InvitationId
    org_id: OrgId
    email: str | None
    roles: list[str]
    max_uses: int
    uses: int
    created_by: UserId
    version: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


_INVITATION = "id, org_id, email, roles, max_uses, uses, created_by, version, created_at, expires_at, revoked_at"

FIND_INVITATION = "SELECT " + _INVITATION + " FROM organization.invitations WHERE id = $invitation_id"


async def find_invitation(db: Connection, invitation_id: InvitationId) -> Guarded[Invitation] | None:
    found = await db.maybe(Invitation, FIND_INVITATION, invitation_id=invitation_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


FIND_BY_TOKEN = "SELECT " + _INVITATION + " FROM organization.invitations WHERE token_sha256 = $token_sha256"


async def find_by_token(db: Connection, token_sha256: bytes) -> Invitation | None:
    return await db.maybe(Invitation, FIND_BY_TOKEN, token_sha256=token_sha256)


LOCK_INVITATION = FIND_INVITATION + " FOR UPDATE"


async def lock_invitation(tx: Transaction, invitation_id: InvitationId) -> Invitation:
    return await tx.one(Invitation, LOCK_INVITATION, invitation_id=invitation_id)


LIST_INVITATIONS = (
    "SELECT "
    + _INVITATION
    + """ FROM organization.invitations
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_invitations(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[InvitationId] | None,
    before: InvitationId | None,
    limit: int,
) -> list[Invitation]:
    """List the invitations within reach, newest first."""
    return await db.all(Invitation, LIST_INVITATIONS, reach, org_id=org_id, ids=ids, before=before, limit=limit)


INSERT_INVITATION = (
    """INSERT INTO organization.invitations
        (id, org_id, token_sha256, email, sealed, roles, max_uses, created_by, created_at, expires_at)
    VALUES ($invitation_id, $org_id, $token_sha256, $email, $sealed, $roles, $max_uses, $created_by, $now, $expires_at)
    RETURNING """
    + _INVITATION
)


async def insert_invitation(
    tx: Transaction,
    invitation_id: InvitationId,
    org_id: OrgId,
    *,
    token_sha256: bytes,
    email: str | None,
    sealed: bytes | None,
    roles: list[str],
    max_uses: int,
    created_by: UserId,
    expires_at: datetime,
) -> Invitation:
    return await tx.one(
        Invitation,
        INSERT_INVITATION,
        invitation_id=invitation_id,
        org_id=org_id,
        token_sha256=token_sha256,
        email=email,
        sealed=sealed,
        roles=roles,
        max_uses=max_uses,
        created_by=created_by,
        expires_at=expires_at,
    )


FIND_UNSENT = (
    "SELECT " + _INVITATION + " FROM organization.invitations WHERE id = $invitation_id AND sealed IS NOT NULL"
)
FIND_SEALED = "SELECT sealed FROM organization.invitations WHERE id = $invitation_id"


async def find_unsent(db: Connection, invitation_id: InvitationId) -> tuple[Invitation, bytes] | None:
    """Find an invitation whose letter was not handed over yet, with its sealed token."""
    found = await db.maybe(Invitation, FIND_UNSENT, invitation_id=invitation_id)
    sealed = None if found is None else await db.value(FIND_SEALED, invitation_id=invitation_id)
    return None if found is None or sealed is None else (found, sealed)


UPDATE_HANDED_OVER = "UPDATE organization.invitations SET sealed = NULL WHERE id = $invitation_id"


async def update_handed_over(tx: Transaction, invitation_id: InvitationId) -> None:
    """Forget the token of an invitation whose letter was handed over."""
    await tx.run(UPDATE_HANDED_OVER, invitation_id=invitation_id)


UPDATE_REVOKED = (
    """UPDATE organization.invitations SET revoked_at = $now, version = version + 1
    WHERE id = $invitation_id AND revoked_at IS NULL
    RETURNING """
    + _INVITATION
)


async def update_revoked(tx: Transaction, invitation_id: InvitationId) -> Invitation | None:
    """Revoke an invitation; None when it is revoked already."""
    return await tx.maybe(Invitation, UPDATE_REVOKED, invitation_id=invitation_id)


UPDATE_REVOKED_OF_INVITER = (
    """UPDATE organization.invitations SET revoked_at = $now, version = version + 1
    WHERE org_id = $org_id AND created_by = $user_id AND revoked_at IS NULL AND expires_at > $now
    RETURNING """
    + _INVITATION
)


async def update_revoked_of_inviter(tx: Transaction, org_id: OrgId, user_id: UserId) -> list[Invitation]:
    """Revoke the open invitations that a person made, and return them."""
    return await tx.all(Invitation, UPDATE_REVOKED_OF_INVITER, org_id=org_id, user_id=user_id)


# Without its address an invitation would be for everybody: it is revoked as well.
DELETE_ADDRESSES = """
UPDATE organization.invitations i SET email = NULL, sealed = NULL, revoked_at = coalesce(revoked_at, $now), version = version + 1
FROM organization.invitation_uses u
WHERE u.user_id = $user_id AND ($org_id::uuid IS NULL OR u.org_id = $org_id) AND i.id = u.invitation_id
    AND i.email IS NOT NULL
RETURNING i.id, i.org_id, i.email, i.roles, i.max_uses, i.uses, i.created_by, i.version, i.created_at, i.expires_at, i.revoked_at
"""


async def delete_addresses(tx: Transaction, user_id: UserId, org_id: OrgId | None) -> list[Invitation]:
    """Delete the address in each invitation that a person used, and return these invitations."""
    return await tx.all(Invitation, DELETE_ADDRESSES, user_id=user_id, org_id=org_id)


DELETE_INVITED_ADDRESSES = (
    """UPDATE organization.invitations
    SET email = NULL, sealed = NULL, revoked_at = coalesce(revoked_at, $now), version = version + 1
    WHERE id = ANY(ARRAY(
        SELECT id FROM organization.invitations
        WHERE lower(email) = ANY($addresses::text[]) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        LIMIT $limit FOR UPDATE))
    RETURNING """
    + _INVITATION
)


async def delete_invited_addresses(
    tx: Transaction, addresses: list[str], org_id: OrgId | None, *, limit: int
) -> list[Invitation]:
    """Delete these addresses, in lower case, in up to `limit` invitations to them, and return these invitations."""
    return await tx.all(Invitation, DELETE_INVITED_ADDRESSES, addresses=addresses, org_id=org_id, limit=limit)


FIND_ACCEPTED_AT = """
SELECT accepted_at FROM organization.invitation_uses WHERE invitation_id = $invitation_id AND user_id = $user_id
"""


async def find_accepted_at(db: Connection, invitation_id: InvitationId, user_id: UserId) -> datetime | None:
    """Find when a person accepted an invitation; None: never."""
    return await db.value(FIND_ACCEPTED_AT, invitation_id=invitation_id, user_id=user_id)


INSERT_USE = (
    """WITH used AS (
        INSERT INTO organization.invitation_uses (invitation_id, user_id, org_id, accepted_at)
        VALUES ($id, $user_id, $org_id, $now)
    )
    UPDATE organization.invitations SET uses = uses + 1, version = version + 1 WHERE id = $id
    RETURNING """
    + _INVITATION
)


async def insert_use(tx: Transaction, invitation: Invitation, user_id: UserId) -> Invitation:
    """Note that a person accepted an invitation, and return it with one use more."""
    return await tx.one(Invitation, INSERT_USE, invitation, user_id=user_id)
