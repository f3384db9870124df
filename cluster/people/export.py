"""Exports: each service writes what it keeps about a person to one object, by what its `privacy.py` declares.

`begin` tells `privacy.export_requested`; the answer is `<service>.privacy_part_done`, as for an erasure. Whoever began it puts the
objects together (`part` reads one) and deletes them; what nobody fetched is deleted with the request's prefix.

A service with files that people upload has `async def files(request: ExportRequested) -> AsyncIterator[OwnFile]` in its
`privacy.py`: it yields the files that are the person's own, or with an organization those that the person uploaded to it.
"""

import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from cluster.base.ids import OrgId, UserId
from cluster.base.registry import has_room, room
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


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file of a person: what they call it, and the object with its bytes."""

    name: str
    bucket: str
    key: str


class ExportedFile(msgspec.Struct, frozen=True, tag="file"):
    """A file of a part; `path` is its place in the archive, safe on every system."""

    name: str
    path: str
    bucket: str
    key: str


class ExportedTable(msgspec.Struct, frozen=True, tag="table"):
    """A table of a part: its rows follow."""

    table: str
    purpose: str
    kept: str
    about: str
    columns: list[str]


class ExportedRow(msgspec.Struct, frozen=True, tag="row"):
    values: dict[str, Any]


Line = ExportedFile | ExportedTable | ExportedRow
"""A part is such lines as JSON: first the files, then each table with its rows."""


def exports() -> Bucket:
    return bucket("exports")


def key_of(request_id: UUID, service: str) -> str:
    """Return the key of the object with a service's part."""
    return f"{request_id}/{service}.jsonl"


async def part(request_id: UUID, service: str) -> AsyncGenerator[Line]:
    """Read a service's part, line by line.

    Raises:
        ObjectMissing: it is not written.
    """
    decoder = msgspec.json.Decoder(Line)
    rest = b""
    async with aclosing(exports().get(key_of(request_id, service))) as content:
        async for chunk in content:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield decoder.decode(line)


def path_of(service: str, number: int, name: str) -> str:
    """Return the place of a file in the archive: no folders of its own, nothing that a system refuses, never twice."""
    plain = re.sub(r"[^\w.() -]+", "_", unicodedata.normalize("NFC", name))
    ending = "".join(re.findall(r"\.\w{1,10}$", plain))
    return f"files/{service}/{number}-{plain.removesuffix(ending)[:50]}{ending}".rstrip(". ")


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
            written = await _write_part(run, service, request)
        except Exception as error:
            if run.is_final(error):
                await _tell(run, service, request, None)
            raise
        await _tell(run, service, request, written)

    on(ExportRequested, service=service)(on_export_requested)
    perform(args_of)(export)


@dataclass(slots=True)
class _Written:
    rows: int = 0
    files: int = 0


async def _tell(run: JobRun, service: str, request: ExportRequested, written: _Written | None) -> None:
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        told: PartDone = part_done_of(service)(
            request_id=request.request_id,
            user_id=request.user_id,
            org_id=request.org_id,
            round=1,
            outcome="failed" if written is None else "done",
            rows_erased=0,
            rows_kept=0,
            rows_exported=0 if written is None else written.rows,
            files_exported=0 if written is None else written.files,
            grounds=[],
        )
        emit(tx, told, version=1)


async def _write_part(run: JobRun, service: str, request: ExportRequested) -> _Written:
    written = _Written()

    async def chunks() -> AsyncGenerator[bytes]:
        async for lot in _lots(run, service, request):
            written.files += sum(isinstance(each, ExportedFile) for each in lot)
            written.rows += sum(isinstance(each, ExportedRow) for each in lot)
            yield b"".join(msgspec.json.encode(each) + b"\n" for each in lot)

    key = key_of(request.request_id, service)
    await exports().write_stream(key, chunks(), content_type="application/jsonl")
    return written


async def _lots(run: JobRun, service: str, request: ExportRequested) -> AsyncGenerator[list[Line]]:
    about = (request.user_id,) if request.org_id is None else (request.user_id, request.org_id)
    files: Callable[[ExportRequested], AsyncIterator[OwnFile]] | None = getattr(room(service, "privacy"), "files", None)
    if files is not None:
        number = 0
        async for file in files(request):
            number += 1
            yield [ExportedFile(file.name, path_of(service, number, file.name), file.bucket, file.key)]
            if number % LOT == 0:
                await run.extend()
    for each in statements_of(service, for_organization=request.org_id is not None):
        entry = each.entry
        columns = [name for name in entry.columns if name not in entry.secret]
        yield [ExportedTable(entry.table, entry.purpose, entry.kept, entry.person, columns)]
        async for rows in _pages(run, each, about):
            yield [ExportedRow(row) for row in rows]


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
