"""Exports: each service writes what it keeps about a person to one JSON object, by what its `privacy.py` declares.

`begin` tells `privacy.export_requested`; the answer is `<service>.privacy_part_done`, as for an erasure. Whoever began it puts the
objects together and deletes them; what nobody fetched is deleted with the request's prefix.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import orjson

from cluster.base.ids import OrgId, UserId
from cluster.base.registry import has_room
from cluster.data import Transaction, read, write
from cluster.data.objects import Bucket, bucket
from cluster.events import Envelope, emit, event, on
from cluster.jobs import JobRun, enqueue, job, perform
from cluster.people.erasure import OWNER, PartDone, class_of, part_done_of, statements_of
from cluster.people.erasure_sql import LOT, Statements


@event("privacy.export_requested", subject="request_id", service=OWNER)
@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequested:
    """Everything about the person is to be exported; with an organization, what that organization keeps about them."""

    request_id: UUID
    user_id: UserId
    org_id: OrgId | None


def exports() -> Bucket:
    return bucket("exports")


def key_of(request_id: UUID, service: str) -> str:
    """Return the key of the object with a service's part."""
    return f"{request_id}/{service}.json"


def begin(tx: Transaction, request: ExportRequested, *, version: int) -> None:
    """Have every service write its part, in the transaction that says so."""
    emit(tx, request, version=version)


def register_exports(names: Iterable[str]) -> None:
    """Let these services hear requests and write their parts; repeating it changes nothing."""
    for name in names:
        if has_room(name, "privacy"):
            _register(name)


@cache
def _register(service: str) -> None:
    fields = (("request_id", UUID), ("user_id", UserId), ("org_id", OrgId | None))
    args_of = job(f"{service}.export", attempts=20, timeout_s=120, service=service)(
        class_of(service, "Export", fields=fields)
    )

    async def on_export_requested(tx: Transaction, _: Envelope, event: ExportRequested) -> None:
        args = args_of(request_id=event.request_id, user_id=event.user_id, org_id=event.org_id)
        enqueue(tx, args, dedupe=f"{service}.export:{event.request_id}")

    async def export(run: JobRun, args: Any) -> None:
        request = ExportRequested(request_id=args.request_id, user_id=args.user_id, org_id=args.org_id)
        try:
            rows = await _write_part(run, service, request)
        except Exception as error:
            if run.is_final(error):
                await _tell(run, service, request, None)
            raise
        await _tell(run, service, request, rows)

    on(ExportRequested, service=service)(on_export_requested)
    perform(args_of)(export)


async def _tell(run: JobRun, service: str, request: ExportRequested, rows: int | None) -> None:
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        told: PartDone = part_done_of(service)(
            request_id=request.request_id,
            user_id=request.user_id,
            org_id=request.org_id,
            round=1,
            outcome="failed" if rows is None else "done",
            rows_erased=0,
            rows_kept=0,
            rows_exported=rows or 0,
            grounds=[],
        )
        emit(tx, told, version=1)


async def _write_part(run: JobRun, service: str, request: ExportRequested) -> int:
    about = (request.user_id,) if request.org_id is None else (request.user_id, request.org_id)
    count = 0

    async def chunks() -> AsyncGenerator[bytes]:
        nonlocal count
        opening = b"["
        for each in statements_of(service, for_organization=request.org_id is not None):
            described = {
                "table": each.entry.table,
                "purpose": each.entry.purpose,
                "kept": each.entry.kept,
                "about": each.entry.person,
            }
            yield opening + orjson.dumps(described)[:-1] + b',"rows":['
            opening, between = b"]},\n", b""
            async for rows in _pages(run, each, about):
                for row in rows:
                    yield between + orjson.dumps(row)
                    between = b",\n"
                count += len(rows)
        yield b"[]" if opening == b"[" else b"]}]"

    await exports().write_stream(key_of(request.request_id, service), chunks(), content_type="application/json")
    return count


async def _pages(run: JobRun, each: Statements, about: tuple[UUID, ...]) -> AsyncGenerator[list[Any]]:
    """Read page by page, in the order of places: a row that is changed meanwhile may be missed or come twice."""
    place = "(0,0)"
    while True:
        async with read() as db:
            page = await db.rows(each.export, *about, place)
        if page:
            yield [row["shown"] for row in page]
            place = page[-1]["place"]
        if len(page) < LOT:
            return
        await run.extend()
