"""Use cases of audit: read the trail, chain what arrived, prove that nothing was changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import UUID

from api.platform.audit import rules, store
from api.platform.audit.contract import OrganizationUnknown
from api.platform.audit.rules import PERSON, Entry
from api.platform.audit.store import End
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.data import Connection, read, write
from cluster.people.access import permit, within

_SEAL_LIMIT = 500
_VERIFY_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain does not hold."""

    chain: UUID
    seq: int
    why: str


async def list_entries(
    caller: Principal,
    org_id: OrgId,
    *,
    actions: list[str] | None,
    actor_id: UUID | None,
    target_id: str | None,
    before: UUID | None,
    limit: int,
) -> list[Entry]:
    """List what happened in an organization, newest first, with the people who are not erased."""
    await permit(caller, "audit:read", within(org_id=org_id), missing=OrganizationUnknown)
    async with read() as db:
        actor = None
        if actor_id is not None:
            pseudonym = await store.find_pseudonym(db, actor_id)
            if pseudonym is None:
                return []
            actor = f"{PERSON}{pseudonym}"
        targets = None if target_id is None else [target_id, *await _as_target(db, target_id)]
        entries = await store.list_entries(
            db, chain=org_id, actions=actions, actor=actor, targets=targets, before=before, limit=limit + 1
        )
        people = await store.people_behind(db, {UUID(name) for entry in entries for name in _pseudonyms(entry)})
    return [_shown(entry, people) for entry in entries]


async def _as_target(db: Connection, target_id: str) -> list[str]:
    """Return what a person is called as a target, if this is the id of one."""
    try:
        pseudonym = await store.find_pseudonym(db, UUID(target_id))
    except ValueError:
        return []
    return [] if pseudonym is None else [f"{PERSON}{pseudonym}"]


async def seal(caller: Principal, shard: int) -> None:
    """Chain everything that waits in a shard. Two sealers of a chain wait for each other at its end."""
    while True:
        async with write(caller) as tx:
            chains = await store.chains_to_seal(tx, shard)
            for chain in chains:
                seq, before = await store.lock_chain(tx, chain, rules.GENESIS)
                sealed: list[tuple[UUID, int, bytes]] = []
                for entry in await store.list_unsealed(tx, shard, chain, _SEAL_LIMIT):
                    seq += 1
                    before = rules.hash_of(entry, seq, before)
                    sealed.append((entry.id, seq, before))
                if sealed:
                    await store.seal(tx, chain, sealed)
        if not chains:
            return


async def verify(
    progress: Callable[[int], None], noted: Mapping[UUID, End] = MappingProxyType({})
) -> tuple[int, list[Broken]]:
    """Compute every chain again; returns how many entries hold, and where chains do not.

    Finds changed, added, deleted and swapped entries. Whoever rewrites a chain to its very end, and its end too, is found by what
    was noted of it elsewhere (`checkpoints.read_noted`).
    """
    holding = 0
    broken: list[Broken] = []
    async with read() as db:
        for chain in sorted({*await store.list_chains(db), *noted}):
            # One snapshot per chain: what is sealed meanwhile is no fault.
            async with db.raw.transaction(isolation="repeatable_read", readonly=True):
                count, fault = await _verify_chain(db, chain, noted.get(chain), progress)
            holding += count
            if fault is not None:
                broken.append(fault)
    return holding, broken


async def _verify_chain(
    db: Connection, chain: UUID, noted: End | None, progress: Callable[[int], None]
) -> tuple[int, Broken | None]:
    end = await store.find_end(db, chain)
    seq, before = 0, rules.GENESIS
    while page := await store.list_sealed(db, chain, seq, _VERIFY_PAGE):
        progress(len(page))
        for entry in page:
            if entry.seq != seq + 1:
                return seq, Broken(chain, seq + 1, f"entries {seq + 1} to {entry.seq - 1} are missing")
            if rules.hash_of(entry, entry.seq, before) != entry.hash:
                return seq, Broken(chain, entry.seq, f"entry {entry.id} is not what was sealed")
            if noted is not None and entry.seq == noted.seq and entry.hash != noted.hash:
                return 0, Broken(
                    chain, entry.seq, "a checkpoint holds another hash: entries up to here were written anew"
                )
            seq, before = entry.seq, entry.hash
    if noted is not None and seq < noted.seq:
        return seq, Broken(chain, seq + 1, f"a checkpoint holds {noted.seq} entries, and there are {seq}")
    if end is None:
        return seq, Broken(chain, 1, "the chain has entries and no end")
    if (seq, before) != (end.seq, end.hash):
        return seq, Broken(chain, seq + 1, f"the chain ends at {seq} instead of {end.seq}")
    return seq, None


def _pseudonyms(entry: Entry) -> list[str]:
    values = [entry.actor, entry.acting_for, entry.target, *entry.payload.values()]
    return [value.removeprefix(PERSON) for value in values if isinstance(value, str) and value.startswith(PERSON)]


def _shown(entry: Entry, people: dict[str, str]) -> Entry:
    def shown(value: Any) -> Any:
        if isinstance(value, str) and value.startswith(PERSON):
            return people.get(value.removeprefix(PERSON))
        return value

    return replace(
        entry,
        actor=shown(entry.actor),
        acting_for=shown(entry.acting_for),
        target=shown(entry.target) or "erased",
        payload={field: shown(value) for field, value in entry.payload.items()},
    )
