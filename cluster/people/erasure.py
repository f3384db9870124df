"""Erasures: each service erases by what its `privacy.py` declares, and tells what it erased and kept.

`begin` tells `privacy.erasure_requested`. The kernel hears it for every service with a `privacy.py`, in a durable job, and answers
`<service>.privacy_part_done`. A service whose rows cannot simply be deleted has `async def erase(run: JobRun, request: Erasing)` in
its `privacy.py`: it runs first, leaves what must be left (memberships, seats, files), and may be repeated. What it deletes it
counts with `count`, in the transaction that deletes it.

Events that were under way may bring rows back, so a request goes in rounds: whoever began it tells a further one when all have
answered, and each service looks again by itself, as round 0, a day and 15 days after a person left the platform.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, make_dataclass, replace
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
from cluster.people.traces import AT_LAST, AT_ONCE, Traced

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
    addresses: list[str] = field(default_factory=list[str])
    """The person's verified addresses, in lower case; none any more when the erasure is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDone:
    """What one service did about a request; each service tells it under its own name. What is erased is that of all rounds."""

    request_id: UUID
    user_id: UserId
    org_id: OrgId | None
    round: int
    outcome: Outcome
    rows_erased: int
    rows_kept: int
    rows_exported: int
    grounds: list[str]
    files_erased: int = 0
    """Files of the person whose bytes are deleted."""
    files_exported: int = 0


@cache
def services() -> tuple[str, ...]:
    """Return the services that have a part in every request."""
    return tuple(sorted(name for name in table() if has_room(name, "privacy")))


def class_of(
    service: str, name: str, base: type | None = None, fields: Iterable[tuple[str, Any] | tuple[str, Any, Any]] = ()
) -> type:
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


_PREPARE = """
INSERT INTO hub.erasures (request_id, user_id, org_id, addresses, created_at)
VALUES ($request_id, $user_id, $org_id, $addresses, $now)
ON CONFLICT (request_id) DO UPDATE SET addresses = erasures.addresses || excluded.addresses
"""
_FIND = "SELECT request_id, user_id, org_id, addresses FROM hub.erasures WHERE request_id = $request_id"
_END = "UPDATE hub.erasures SET addresses = '{}' WHERE request_id = $request_id"
_ERASED = "SELECT DISTINCT user_id FROM hub.erasures WHERE user_id = ANY($1::uuid[]) AND org_id IS NULL LIMIT $2"
_COUNT = """
INSERT INTO hub.erased_rows (request_id, service, count, files) VALUES ($request_id, $service, $rows, $files)
ON CONFLICT (request_id, service)
DO UPDATE SET count = erased_rows.count + excluded.count, files = erased_rows.files + excluded.files
"""
_COUNTED = """
SELECT coalesce(sum(count), 0)::bigint AS rows, coalesce(sum(files), 0)::bigint AS files
FROM hub.erased_rows WHERE request_id = $request_id AND service = $service
"""


async def prepare(tx: Transaction, request: Erasing) -> None:
    """Note an erasure that cannot be cancelled any more, with addresses that nobody knows once the account is gone."""
    await tx.run(_PREPARE, request)


async def begin(tx: Transaction, request: Erasing, *, round: int, version: int) -> None:
    """Have every service do its part, in the transaction that says so. Each round has a number above the last."""
    await prepare(tx, request)
    told = ErasureRequested(request_id=request.request_id, user_id=request.user_id, org_id=request.org_id, round=round)
    emit(tx, told, version=version)


async def end(tx: Transaction, request_id: UUID) -> None:
    """Forget the addresses of an erasure that is done."""
    await tx.run(_END, request_id=request_id)


async def count(tx: Transaction, request: Erasing, *, rows: int, files: int = 0) -> None:
    """Count what this transaction of a service erases, for the report."""
    if rows or files:
        service = tx.principal.service
        await tx.run(_COUNT, request_id=request.request_id, service=service, rows=rows, files=files)


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
    fields = (("request_id", UUID), ("round", int), ("last", bool, field(default=False)))
    args_of = job(f"{service}.erase", attempts=20, timeout_s=120, service=service)(
        class_of(service, "Erase", fields=fields)
    )

    async def on_erasure_requested(tx: Transaction, _: Envelope, event: ErasureRequested) -> None:
        args = args_of(request_id=event.request_id, round=event.round)
        enqueue(tx, args, dedupe=f"{service}.erase:{event.request_id}:{event.round}")

    async def erase(run: JobRun, args: Any) -> None:
        await _perform(run, service, args, args_of)

    on(ErasureRequested, service=service)(on_erasure_requested)
    perform(args_of)(erase)


async def _perform(run: JobRun, service: str, args: Any, args_of: Callable[..., object]) -> None:
    async with read() as db:
        request = await db.maybe(Erasing, _FIND, request_id=args.request_id)
    if request is None:
        raise GiveUp(f"there is no erasure {args.request_id}")
    if args.round == 0:
        # Since the person left, somebody else may have come to own an address.
        request = replace(request, addresses=[])
    try:
        kept = await erase_part(run, service, request, last=args.last)
    except Exception as error:
        if run.is_final(error) and args.round > 0:
            async with write(run.principal) as tx:
                await _tell(tx, service, request, args.round, {}, failed=True)
        raise
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        if args.round == 0:
            return
        await _tell(tx, service, request, args.round, kept)
        # Who left the platform never comes back under this id; who was let go by an organization may.
        for later in AGAIN_AFTER if request.org_id is None else ():
            look = args_of(request_id=request.request_id, round=0, last=later == AGAIN_AFTER[-1])
            dedupe = f"{service}.erase:{request.request_id}:after {later.days} days"
            enqueue(tx, look, at=tx.now + later, dedupe=dedupe)


async def erase_part(run: JobRun, service: str, request: Erasing, *, last: bool = False) -> dict[str, int]:
    """Erase what a service keeps about the person, and return how many rows stay on which ground."""
    hook: Callable[[JobRun, Erasing], Awaitable[None]] | None = getattr(room(service, "privacy"), "erase", None)
    if hook is not None:
        await hook(run, request)
        await run.extend()
    about = (request.user_id,) if request.org_id is None else (request.user_id, request.org_id)
    kept: dict[str, int] = {}
    for each in statements_of(service, for_organization=request.org_id is not None):
        while each.erase is not None and await _erase_lot(run, request, each.erase, *about):
            await run.extend()
        if each.count_kept is not None and each.entry.ground is not None:
            async with read() as db:
                rows: int = await db.value(each.count_kept, *about)
            if rows:
                kept[each.entry.ground] = kept.get(each.entry.ground, 0) + rows
    if service == OWNER and request.org_id is None:
        traced = Traced(request.user_id, [str(request.user_id), *request.addresses])
        for sql in (*AT_ONCE, *(AT_LAST if last else ())):
            while await _erase_lot(run, request, sql, traced):
                await run.extend()
    return kept


async def _erase_lot(run: JobRun, request: Erasing, sql: str, *values: object) -> int:
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        rows = await tx.run(sql, *values)
        await count(tx, request, rows=rows)
    return rows


async def _tell(
    tx: Transaction, service: str, request: Erasing, round: int, kept: dict[str, int], *, failed: bool = False
) -> None:
    (counted,) = await tx.rows(_COUNTED, request_id=request.request_id, service=service)
    told = part_done_of(service)(
        request_id=request.request_id,
        user_id=request.user_id,
        org_id=request.org_id,
        round=round,
        outcome="failed" if failed else "kept" if kept else "done",
        rows_erased=counted["rows"],
        files_erased=counted["files"],
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
        columns=("user_id", "org_id", "addresses", "created_at"),
        purpose="keeps an erasure in force against late events and restored backups",
        kept="for good: the id alone; addresses until the erasure is done",
        erasure="keep",
        ground="the id alone, so that the erasure stays in force (GDPR, article 5(2))",
        organization="org_id",
        merge="move",
    ),
)
"""What the kernel's own tables hold about people."""
