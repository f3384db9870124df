"""Record every event as an entry. Entries arrive in any order, unsealed."""

from uuid import UUID

from api.platform.audit import rules, store
from api.platform.audit.contract import Seal, shard_of
from cluster.base.ids import new_id
from cluster.data import Transaction
from cluster.events import Envelope, on_all
from cluster.jobs import enqueue
from cluster.people.erasure import erased


@on_all
async def on_anything(tx: Transaction, envelopes: list[Envelope]) -> None:
    """Record events, and have their entries chained."""
    people = {person for envelope in envelopes for person in rules.people_in(envelope)}
    gone = await erased(tx, people) if people else set[UUID]()
    pseudonyms = await store.upsert_pseudonyms(tx, people - gone) if people - gone else {}
    # An erased person gets a pseudonym that is stored nowhere, so that it never leads to anybody.
    pseudonyms |= {person: new_id() for person in gone}
    entries = [rules.entry_of(envelope, pseudonyms) for envelope in envelopes]
    await store.insert_entries(tx, entries)
    for shard in {shard_of(entry.chain) for entry in entries}:
        enqueue(tx, Seal(shard=shard), dedupe=f"audit:seal:{shard}")
