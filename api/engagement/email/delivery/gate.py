"""Decide which letters that were taken go now; the others wait."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from api.engagement.email.contract import Lane
from api.engagement.email.delivery import store
from api.engagement.email.delivery.store import Destination, Waiting
from api.engagement.email.hold import store as holds
from api.engagement.email.rules import HELD_FOR
from api.engagement.email.sender.logic import Senders, find_senders
from api.engagement.email.warm_up import store as warm_ups
from cluster.base.ids import OrgId
from cluster.data import Transaction

_LOOK_AGAIN = timedelta(seconds=5)

Taken = list[tuple[Destination, list[Waiting]]]


async def pass_gate(tx: Transaction, lane: Lane, taken: Taken, *, lease: UUID) -> Taken:
    """Return what goes on now.

    Letters to many of suspended organizations do not, nor what a sender that warms up has too much today.
    """
    if lane == "bulk":
        stopped = await _hold(tx, [letter for _, letters in taken for letter in letters], lease)
        taken = [(each, [letter for letter in letters if letter.id not in stopped]) for each, letters in taken]
    if lane != "security":
        letters = [letter for _, each in taken for letter in each]
        beyond = await _wait_for_tomorrow(tx, letters, lease) if letters else set()
        taken = [(each, [letter for letter in letters if letter.id not in beyond]) for each, letters in taken]
    return taken


async def _wait_for_tomorrow(tx: Transaction, letters: Sequence[Waiting], lease: UUID) -> set[UUID]:
    """Count letters of senders that warm up, have those wait that are too many today, and return them."""
    plans = await warm_ups.lock_plans(tx, {letter.org_id for letter in letters if letter.org_id is not None})
    if not plans:
        return set()
    senders = await find_senders(tx, {letter.sender_domain for letter in letters})
    waiting: set[UUID] = set()
    for plan in plans:
        # Whoever took letters just before may have been on the next day already.
        day = max(today := plan.day_of(tx.now), plan.counted_on or today)
        room = plan.room(day)
        if room is None:
            continue
        # What was tried goes on: it is one of an earlier day, and its receiver asked for it again.
        new = [
            letter
            for letter in letters
            if _writer_of(senders, letter) == plan.org_id and letter.attempts == 0 and letter.counted_on != day
        ]
        goes, beyond = new[:room], new[room:]
        if goes:
            await warm_ups.update_counted(tx, plan, day, [letter.id for letter in goes])
        if beyond:
            late = [letter.id for letter in beyond]
            await store.update_postponed(tx, late, lease, plan.next_day(tx.now))
            waiting |= {*late}
    return waiting


def _writer_of(senders: Senders, letter: Waiting) -> OrgId | None:
    return letter.org_id if senders.writes_itself(letter.org_id, letter.sender_domain) else None


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
        await holds.update_held_back(tx, held, lease, tx.now + HELD_FOR)
    if changing:
        await store.update_postponed(tx, changing, lease, tx.now + _LOOK_AGAIN)
    return {*held, *changing}
