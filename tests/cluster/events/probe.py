"""A speaker, two listeners, and handlers that fail as told."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from cluster import events
from cluster.base.ids import OrgId, new_id
from cluster.data import Transaction
from cluster.events import Envelope, drainer
from tests.kernel import rows, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    thing_id: UUID
    org_id: OrgId | None = None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoed:
    thing_id: UUID
    org_id: OrgId | None = None
    n: int


@dataclass
class Faults:
    """How often each event fails, by its number: as a handler's error, or as a lost database connection."""

    errors: Counter[int] = field(default_factory=Counter[int])
    lost_connections: Counter[int] = field(default_factory=Counter[int])

    def clear(self) -> None:
        self.errors.clear()
        self.lost_connections.clear()


FAULTS = Faults()


async def note(tx: Transaction, envelope: Envelope, event: Counted) -> None:
    """Write the effect and tell it on; the fault comes last, when there is most to undo."""
    await tx.run(
        "INSERT INTO probe.effects (consumer, key, n, event_id) VALUES ('listener', $1, $2, $3)",
        envelope.subject,
        event.n,
        envelope.id,
    )
    events.emit(tx, Echoed(thing_id=event.thing_id, n=event.n), version=event.n)
    if FAULTS.lost_connections[event.n]:
        FAULTS.lost_connections[event.n] -= 1
        await tx.run("SELECT pg_terminate_backend(pg_backend_pid())")
    if FAULTS.errors[event.n]:
        FAULTS.errors[event.n] -= 1
        raise ValueError(f"event {event.n} is not wanted now")


def declare() -> None:
    events.event("probe.counted", subject="thing_id", service="speaker")(Counted)
    events.event("probe.echoed", subject="thing_id", service="listener")(Echoed)
    events.on(Counted, service="listener")(note)


def counted(key: UUID, n: int) -> Envelope:
    return events.envelope_of(Counted(thing_id=key, n=n), version=n, id=new_id())


async def effects() -> dict[str, list[int]]:
    """Return the numbers that took effect, per key, in the order they did."""
    found: dict[str, list[int]] = {}
    for key, n in await rows("SELECT key, n FROM probe.effects ORDER BY position"):
        found.setdefault(key, []).append(n)
    return found


async def echoes() -> list[int]:
    """Return the numbers that handlers told on, in the order of the outbox."""
    found = await rows("SELECT envelope FROM hub.outbox ORDER BY seq")
    return [Envelope.decode(envelope).payload["n"] for (envelope,) in found]


async def parked_keys() -> dict[str, tuple[int, bool]]:
    """Return attempts and death of each parked key."""
    return {
        key: (attempts, dead) for key, attempts, dead in await rows("SELECT key, attempts, dead FROM hub.parked_keys")
    }


async def drain_now() -> bool:
    """Drain one key as if its time had come."""
    await run("UPDATE hub.parked_keys SET retry_at = now() WHERE NOT dead")
    return await drainer.drain_once(["listener"])
