"""Use cases of locks: hear of a decision or its reversal.

News come in any order and more than once: each decision has one row, in which facts only come to be.
"""

from api.core.auth.lock import store
from api.core.auth.session.ending import end_all
from api.platform.moderation.contract import Decided
from cluster.data import Transaction


async def follow_decision(tx: Transaction, event: Decided) -> None:
    """Lock the account of whoever is banned on the platform, or unlock it. Bans in an organization are the organization's."""
    if event.org_id is not None or event.user_id is None:
        return
    if "ban" in event.actions:
        if await store.upsert_banned(tx, event.decision_id, event.user_id, event.until_at):
            await store.update_identities(tx, event.user_id)
            await end_all(tx, event.user_id, "released")
    elif event.reverses_id is not None:
        await store.upsert_reversed(tx, event.reverses_id, event.user_id)
