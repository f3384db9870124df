"""Use cases of audit: list entries, seal new ones, and verify that none was changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from api.platform.audit import rules, store
from api.platform.audit.contract import OrganizationUnknown
from api.platform.audit.rules import PERSON, Actor, Entry, ShownEntry, Target
from api.platform.audit.store import End
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import Connection, read, write
from cluster.people.access import permit, within

_SEAL_LIMIT = 500
_VERIFY_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first entry where a chain does not hold."""

    chain: UUID
    seq: int
    why: str


async def list_entries(
    caller: Principal,
    org_id: OrgId,
    *,
    actions: list[str] | None,
    actor_id: UserId | None,
    target_id: str | None,
    before: UUID | None,
    limit: int,
) -> list[ShownEntry]:
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
            db, chain=org_id, actions=actions, actor=actor, targets=targets, before=before, limit=limit
        )
        people = await store.list_people(db, {UUID(name) for entry in entries for name in _pseudonyms(entry)})
    return [_shown(entry, people) for entry in entries]


async def _as_target(db: Connection, target_id: str) -> list[str]:
    """Return the name of a person as a target, if this is the id of one."""
    try:
        pseudonym = await store.find_pseudonym(db, UserId(UUID(target_id)))
    except ValueError:
        return []
    return [] if pseudonym is None else [f"{PERSON}{pseudonym}"]


async def seal(caller: Principal, shard: int) -> None:
    """Chain everything that waits in a shard. The lock on a chain's end keeps two sealers apart."""
    while True:
        async with write(caller) as tx:
            chains = await store.list_unsealed_chains(tx, shard)
            for chain in chains:
                end = await store.lock_end(tx, chain, rules.GENESIS)
                sealed: list[tuple[UUID, End]] = []
                for entry in await store.list_unsealed(tx, shard, chain, _SEAL_LIMIT):
                    end = End(chain, end.seq + 1, rules.hash_of(entry, end.seq + 1, end.hash))
                    sealed.append((entry.id, end))
                if sealed:
                    await store.update_sealed(tx, sealed)
        if not chains:
            return


async def verify(
    progress: Callable[[int], None], checkpointed: Mapping[UUID, End] = MappingProxyType({})
) -> tuple[int, list[ChainFault]]:
    """Compute every chain again; return the number of entries that hold, and the faults.

    Changed, added, deleted and swapped entries are found. A chain that was rewritten to its very end, with its end, is found by
    comparing it with its checkpoints: `checkpointed` has the last end of each chain (`checkpoints.read_checkpoints`).
    """
    holding = 0
    broken: list[ChainFault] = []
    async with read() as db:
        for chain in sorted({*await store.list_chains(db), *checkpointed}):
            # One snapshot per chain: an entry that is sealed meanwhile is no fault.
            async with db.raw.transaction(isolation="repeatable_read", readonly=True):
                count, fault = await _verify_chain(db, chain, checkpointed.get(chain), progress)
            holding += count
            if fault is not None:
                broken.append(fault)
    return holding, broken


async def _verify_chain(
    db: Connection, chain: UUID, checkpointed: End | None, progress: Callable[[int], None]
) -> tuple[int, ChainFault | None]:
    end = await store.find_end(db, chain)
    seq, before = 0, rules.GENESIS
    while page := await store.list_sealed(db, chain, seq, _VERIFY_PAGE):
        progress(len(page))
        for entry in page:
            if entry.seq != seq + 1:
                return seq, ChainFault(chain, seq + 1, f"entries {seq + 1} to {entry.seq - 1} are missing")
            if rules.hash_of(entry, entry.seq, before) != entry.hash:
                return seq, ChainFault(chain, entry.seq, f"entry {entry.id} is not what was sealed")
            if checkpointed is not None and entry.seq == checkpointed.seq and entry.hash != checkpointed.hash:
                return 0, ChainFault(
                    chain, entry.seq, "a checkpoint holds another hash: entries up to here were written anew"
                )
            seq, before = entry.seq, entry.hash
    if checkpointed is not None and seq < checkpointed.seq:
        return seq, ChainFault(chain, seq + 1, f"a checkpoint holds {checkpointed.seq} entries, and there are {seq}")
    if end is None:
        return seq, ChainFault(chain, 1, "the chain has entries and no end")
    if (seq, before) != (end.seq, end.hash):
        return seq, ChainFault(chain, seq + 1, f"the chain ends at {seq} instead of {end.seq}")
    return seq, None


def _pseudonyms(entry: Entry) -> list[str]:
    values = [entry.actor, entry.acting_for, entry.target, *entry.payload.values()]
    return [value.removeprefix(PERSON) for value in values if isinstance(value, str) and value.startswith(PERSON)]


def _shown(entry: Entry, people: dict[str, str]) -> ShownEntry:
    def shown(value: Any) -> Any:
        if isinstance(value, str) and value.startswith(PERSON):
            return people.get(value.removeprefix(PERSON))
        return value

    return ShownEntry(
        id=entry.id,
        action=entry.action,
        actor=Actor(entry.actor_kind, shown(entry.actor), shown(entry.acting_for), entry.service),
        target=Target(entry.target_type, shown(entry.target) or "erased"),
        details={field: shown(value) for field, value in entry.payload.items()},
        at=entry.at,
        trace_id=entry.trace_id,
    )
