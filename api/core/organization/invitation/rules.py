"""Decide whether an invitation is valid."""

from datetime import datetime

from api.core.organization.contract import InvitationOver
from api.core.organization.invitation.store import Invitation


def check_valid(invitation: Invitation, now: datetime) -> None:
    """Check that an invitation can still be accepted.

    Raises:
        InvitationOver
    """
    if invitation.revoked_at is not None:
        raise InvitationOver("it was withdrawn; ask for a new one")
    if invitation.expires_at <= now:
        raise InvitationOver("it has expired; ask for a new one")
    if invitation.uses >= invitation.max_uses:
        raise InvitationOver("it was used as often as it may; ask for a new one")
