"""The letter of an invitation: its token waits sealed until email has the letter."""

from datetime import UTC, datetime

from api.core.organization import store as organizations
from api.core.organization.contract import InvitationId
from api.core.organization.invitation import store
from api.core.organization.offers import LANGUAGE
from api.engagement.email.contract import EmailCalls, NewLetter
from cluster.base.principal import Principal
from cluster.base.sealing import seal, unseal
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.people.calls import client
from cluster.people.org_settings import setting

_SEALING_PURPOSE = "invitation"


def url_of(token: str) -> str:
    """Return the link of an invitation. After the #: browsers send that part to no server, so no log has it."""
    return f"{settings().public_url}/join#{token}"


def seal_token(token: str) -> bytes:
    return seal("organization", _SEALING_PURPOSE, token.encode())


async def hand_over(caller: Principal, invitation_id: InvitationId) -> None:
    """Hand the letter of an invitation to email, once by its id, unless the invitation is over."""
    async with read() as db:
        found = await store.find_unsent(db, invitation_id)
        organization = None if found is None else await organizations.find_summary(db, found[0].org_id)
    if found is None or organization is None:
        return
    invitation, sealed = found
    over = invitation.revoked_at is not None or invitation.uses > 0 or invitation.expires_at <= datetime.now(UTC)
    if invitation.email is not None and not over and organization.state == "active":
        letter = NewLetter(
            id=invitation.id,
            template="organization.invitation",
            to=invitation.email,
            locale=await setting(LANGUAGE, invitation.org_id),
            user_id=None,
            org_id=invitation.org_id,
            fields={
                "organization": organization.name,
                "url": url_of(unseal("organization", _SEALING_PURPOSE, sealed).decode()),
                "until": f"{invitation.expires_at:%Y-%m-%d}",
            },
            expires_at=invitation.expires_at,
        )
        await client(EmailCalls).send([letter])
    async with write(caller) as tx:
        await store.update_handed_over(tx, invitation_id)
