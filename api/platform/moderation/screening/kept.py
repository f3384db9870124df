"""The rules in memory, compiled: each process keeps those of the platform, and of the organizations whose texts it screens."""

import asyncio

from api.platform.moderation.screening import store
from api.platform.moderation.screening.matching import Matcher
from cluster.base.ids import OrgId
from cluster.data import Transaction, read
from cluster.signals.kept import Kept

_TTL_S = 30.0
_MAX_BROADCAST_AGE_S = 5.0
_kept: Kept[OrgId | None, Matcher] = Kept(
    "moderation.rules",
    size=50_000_000,
    ttl_s=_TTL_S,
    max_broadcast_age_s=_MAX_BROADCAST_AGE_S,
    weigh=lambda matcher: matcher.weight,
)
"""Weighed by the characters of their entries."""


async def matchers(org_id: OrgId | None) -> list[Matcher]:
    """Return the rules of the platform, and those of an organization: no statement while they are kept, else one for each."""
    platform = await _matcher(None)
    return [platform] if org_id is None else [platform, await _matcher(org_id)]


async def _matcher(org_id: OrgId | None) -> Matcher:
    async def load() -> Matcher:
        async with read() as db:
            rules = await store.list_active_rules(db, org_id)
        return await asyncio.to_thread(Matcher, rules)

    return await _kept.get(org_id, load)


def drop(tx: Transaction) -> None:
    """Forget all rules in every process once `tx` has committed."""
    _kept.drop(tx)
