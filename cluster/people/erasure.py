"""Erasures: each service erases by what its `privacy.py` declares, and tells what it erased and kept.

`begin` tells `privacy.erasure_requested`. The kernel hears it for every service with a `privacy.py`, in a durable job, and answers
`<service>.privacy_part_done`. A service whose rows cannot simply be deleted has `async def erase(run: JobRun, request: Erasing)` in
its `privacy.py`: it runs first, leaves what must be left (memberships, seats, files), and may be repeated.

Events that were under way may bring rows back, so a request goes in rounds: whoever began it tells a further one when all have
answered, and each service looks again by itself, as round 0, a day and 15 days after a person left the platform.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, make_dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Literal
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.registry import has_room, room
from cluster.base.services import table
from cluster.data import Connection, Transaction, read, write
from cluster.events import Envelope, emit, event, on
from cluster.jobs import GiveUp, JobRun, enqueue, job, perform
from cluster.people.erasure_sql import Statements, statements
from cluster.people.privacy import PersonalData, personal_data

OWNER = "user"
"""The service that answers for requests of people; it erases what the kernel keeps, too."""
AGAIN_AFTER = (timedelta(days=1), timedelta(days=15))
"""The second is longer than any event may be delivered late."""

Outcome = Literal["done", "kept", "failed"]


@event("privacy.erasure_requested", subject="request_id", service=OWNER)
@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRequested:
    """Everything about the person is to be erased; with an organization, what that organization keeps about them."""

    request_id: UUID
    user_id: UserId
    org_id: OrgId | None
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing:
    """An erasure that has begun."""

    request_id: UUID
    user_id: UserId
    org_id: OrgId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDone:
    """What one service did about a request; each service tells it under its own name. Rows erased are those of all rounds."""

    request_id: UUID
    user_id: UserId
    org_id: OrgId | None
    round: int
    outcome: Outcome
    rows_erased: int
    rows_kept: int
    rows_exported: int
    grounds: list[str]


@cache
def services() -> tuple[str, ...]:
    """Return the services that have a part in every request."""
    return tuple(sorted(name for name in table() if has_room(name, "privacy")))


def class_of(service: str, name: str, base: type | None = None, fields: Iterable[tuple[str, Any]] = ()) -> type:
    """Make the frozen dataclass of an event or job that each service has under its own name."""
    title = "".join(word.title() for word in service.split("_")) + name
    return make_dataclass(
        title,
        fields,
        bases=(base,) if base else (),
        frozen=True,
        slots=True,
        kw_only=True,
        namespace={"__module__": __name__},
    )


@cache
def part_done_of(service: str) -> type[PartDone]:
    """Return the event by which a service tells that its part is done."""
    return event(f"{service}.privacy_part_done", subject="request_id", service=service)(
        class_of(service, "PrivacyPartDone", PartDone)
    )


for _service in services():
    part_done_of(_service)


_BEGIN = """
INSERT INTO hub.erasures (request_id, user_id, org_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (request_id) DO NOTHING
"""
_FIND = "SELECT request_id, user_id, org_id FROM hub.erasures WHERE request_id = $1"
_ERASED = "SELECT DISTINCT user_id FROM hub.erasures WHERE user_id = ANY($1::uuid[]) AND org_id IS NULL LIMIT $2"
_COUNT = """
INSERT INTO hub.erased_rows (request_id, service, count) VALUES ($1, $2, $3)
ON CONFLICT (request_id, service) DO UPDATE SET count = erased_rows.count + excluded.count
"""
_COUNTED = "SELECT count FROM hub.erased_rows WHERE request_id = $1 AND service = $2"


async def begin(tx: Transaction, request: Erasing, *, round: int, version: int) -> None:
    """Have every service do its part, in the transaction that says so. Each round has a number above the last."""
    await tx.run(_BEGIN, request.request_id, request.user_id, request.org_id, tx.now)
    told = ErasureRequested(request_id=request.request_id, user_id=request.user_id, org_id=request.org_id, round=round)
    emit(tx, told, version=version)


async def erased(db: Connection, people: set[UUID]) -> set[UUID]:
    """Return who of these has left the platform: nothing is to be recorded about them any more."""
    return {row["user_id"] for row in await db.rows(_ERASED, list(people), len(people))}


def register_erasures(names: Iterable[str]) -> None:
    """Let these services hear requests and do their parts; repeating it changes nothing."""
    for name in names:
        if has_room(name, "privacy"):
            _register(name)


@cache
def _register(service: str) -> None:
    fields = (("request_id", UUID), ("round", int))
    args_of = job(f"{service}.erase", attempts=20, timeout_s=120, service=service)(
        class_of(service, "Erase", fields=fields)
    )

    async def on_erasure_requested(tx: Transaction, _: Envelope, event: ErasureRequested) -> None:
        args = args_of(request_id=event.request_id, round=event.round)
        enqueue(tx, args, dedupe=f"{service}.erase:{event.request_id}:{event.round}")

    async def erase(run: JobRun, args: Any) -> None:
        await _perform(run, service, args.request_id, args.round, args_of)

    on(ErasureRequested, service=service)(on_erasure_requested)
    perform(args_of)(erase)


async def _perform(run: JobRun, service: str, request_id: UUID, round: int, args_of: Callable[..., object]) -> None:
    async with read() as db:
        request = await db.maybe(Erasing, _FIND, request_id)
    if request is None:
        raise GiveUp(f"there is no erasure {request_id}")
    try:
        kept = await erase_part(run, service, request)
    except Exception as error:
        if run.is_final(error) and round > 0:
            async with write(run.principal) as tx:
                await _tell(tx, service, request, round, {}, failed=True)
        raise
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        if round == 0:
            return
        await _tell(tx, service, request, round, kept)
        # Who left the platform never comes back under this id; who was let go by an organization may.
        for later in AGAIN_AFTER if request.org_id is None else ():
            again = f"{service}.erase:{request_id}:after {later.days} days"
            enqueue(tx, args_of(request_id=request_id, round=0), at=tx.now + later, dedupe=again)


async def erase_part(run: JobRun, service: str, request: Erasing) -> dict[str, int]:
    """Erase what a service keeps about the person, and return how many rows stay on which ground."""
    hook: Callable[[JobRun, Erasing], Awaitable[None]] | None = getattr(room(service, "privacy"), "erase", None)
    if hook is not None:
        await hook(run, request)
        await run.extend()
    about = (request.user_id,) if request.org_id is None else (request.user_id, request.org_id)
    kept: dict[str, int] = {}
    for each in statements_of(service, for_organization=request.org_id is not None):
        while each.erase is not None and await _erase_lot(run, service, request, each.erase, about):
            await run.extend()
        if each.count_kept is not None and each.entry.ground is not None:
            async with read() as db:
                rows: int = await db.value(each.count_kept, *about)
            if rows:
                kept[each.entry.ground] = kept.get(each.entry.ground, 0) + rows
    if service == OWNER and request.org_id is None:
        for sql in _TRACES:
            while await _erase_lot(run, service, request, sql, about):
                await run.extend()
    return kept


async def _erase_lot(run: JobRun, service: str, request: Erasing, sql: str, about: tuple[UUID, ...]) -> int:
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        rows = await tx.run(sql, *about)
        if rows:
            await tx.run(_COUNT, request.request_id, service, rows)
    return rows


async def _tell(
    tx: Transaction, service: str, request: Erasing, round: int, kept: dict[str, int], *, failed: bool = False
) -> None:
    told = part_done_of(service)(
        request_id=request.request_id,
        user_id=request.user_id,
        org_id=request.org_id,
        round=round,
        outcome="failed" if failed else "kept" if kept else "done",
        rows_erased=await tx.value(_COUNTED, request.request_id, service) or 0,
        rows_kept=sum(kept.values()),
        rows_exported=0,
        grounds=sorted(kept),
    )
    emit(tx, told, version=round)


@cache
def statements_of(service: str, *, for_organization: bool) -> tuple[Statements, ...]:
    """Return what is executed for a service, in the order of its declarations."""
    entries = (*personal_data(service), *(KERNEL_DATA if service == OWNER else ()))
    made = (statements(entry, for_organization=for_organization) for entry in entries)
    return tuple(each for each in made if each is not None)


KERNEL_DATA = (
    PersonalData(
        table="hub.operations",
        person="owner_id",
        columns=("owner_id", "org_id", "kind", "state", "result_url", "problem", "created_at", "finished_at"),
        purpose="shows a person how far their long-running work is",
        kept="30 days after it finished",
        erasure="delete",
        keep_where="finished_at IS NULL",
        ground="work that is under way; it is deleted 30 days after it finished",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="hub.bulk_rows",
        person="user_id",
        columns=("user_id", "key", "state", "id", "problem", "before", "after"),
        purpose="tells an organization what became of each row of a table that it sent, and takes rows back",
        kept="30 days after the work finished",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="hub.erasures",
        person="user_id",
        columns=("user_id", "org_id", "created_at"),
        purpose="keeps an erasure in force against late events and restored backups",
        kept="for good: the id alone",
        erasure="keep",
        ground="the id alone, so that the erasure stays in force (GDPR, article 5(2))",
        organization="org_id",
        merge="move",
    ),
)
"""What the kernel's own tables hold about people."""

# Finished jobs stay for a day, keys of requests too; what waits is not touched. No index finds these, and none is worth it.
_TRACES = (
    """DELETE FROM hub.jobs WHERE id = ANY(ARRAY(
           SELECT id FROM hub.jobs
           WHERE state IN ('succeeded', 'cancelled') AND strpos(jobs::text, $1::uuid::text) > 0 LIMIT 1000 FOR UPDATE))""",
    """DELETE FROM hub.idempotency_keys WHERE key_hash = ANY(ARRAY(
           SELECT key_hash FROM hub.idempotency_keys WHERE result_id = $1 LIMIT 1000 FOR UPDATE))""",
)
