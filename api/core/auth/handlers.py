"""What auth hears: moderators banned somebody on the platform, or that was reversed."""

from api.core.auth.lock.logic import follow_decision
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(Decided)
async def on_decided(tx: Transaction, envelope: Envelope, event: Decided) -> None:
    """Lock the account of whoever is banned, and unlock it when that is reversed."""
    await follow_decision(tx, event)
