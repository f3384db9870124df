"""Use cases of the door: answer its rules, and tell every process that they changed."""

import msgspec

from api.core.gateway.door import store
from cluster.data import Transaction, read
from cluster.people import door
from cluster.people.door import DoorRules, Limit, Plan


async def door_rules(known_version: int) -> DoorRules | None:
    """Answer `DoorSource`."""
    async with read() as db:
        version = await store.find_version(db)
        if version == known_version:
            return None
        # What changes from here on comes once more, under its own version.
        return DoorRules(
            version=version,
            plans=[
                Plan(name=each.slug, limits=msgspec.convert(each.limits, list[Limit]))
                for each in await store.list_active_plans(db)
            ],
            overrides=await store.list_overrides(db),
            windows=await store.list_windows(db),
            origins=await store.list_origins(db),
        )


async def changed(tx: Transaction) -> None:
    """Let every process ask for the rules again once `tx` has committed. The last statement of a transaction."""
    door.announce(tx, await store.update_version(tx))
