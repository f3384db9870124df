"""Decide which letters that were taken go now; the others wait."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from api.engagement.email.contract import Lane
from api.engagement.email.delivery import store
from api.engagement.email.delivery.store import Destination, Waiting
from api.engagement.email.hold import store as holds
from cluster.data import Transaction

_LOOK_AGAIN = timedelta(seconds=5)

Taken = list[tuple[Destination, list[Waiting]]]


async def pass_gate(tx: Transaction, lane: Lane, taken: Taken, *, lease: UUID) -> Taken:
    """Return what goes on now. Of organizations that are suspended no letters to many do."""
    if lane == "bulk":
        stopped = await _hold(tx, [letter for _, letters in taken for letter in letters], lease)
        taken = [(each, [letter for letter in letters if letter.id not in stopped]) for each, letters in taken]
    return taken


async def _hold(tx: Transaction, letters: Sequence[Waiting], lease: UUID) -> set[UUID]:
    """Have the letters of suspended organizations wait, and return them."""
    of = {letter.org_id for letter in letters if letter.org_id is not None}
    suspended = await holds.list_suspended(tx, of) if of else []
    if not suspended:
        return set()
    stay, change = ({each.org_id for each in suspended if each.changing is changing} for changing in (False, True))
    held = [letter.id for letter in letters if letter.org_id in stay]
    changing = [letter.id for letter in letters if letter.org_id in change]
    if held:
        await holds.update_held_back(tx, held, lease)
    if changing:
        await store.update_postponed(tx, changing, lease, tx.now + _LOOK_AGAIN)
    return {*held, *changing}
