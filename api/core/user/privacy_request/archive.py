"""The archive of an export: one ZIP with a page, the data of all services as JSON, and the person's files.

It goes from S3 into S3: `index.html`, `data/<service>.json`, `files/<service>/<number>-<name>`. Neither memory nor disk holds it.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson

from api.core.user.contract import PrivacyRequestId
from api.core.user.privacy_request import logic, page, store
from api.core.user.privacy_request.store import Request
from api.core.user.privacy_request.zipped import Entry, zipped
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import write
from cluster.data.objects import Bucket, ObjectMissing
from cluster.jobs import JobRun
from cluster.people.export import ExportedFile, ExportedRow, ExportedTable, exports, key_of, part

_EXTEND_EVERY_S = 5.0
_KEPT_FOR = logic.DOWNLOAD_PERIOD + timedelta(days=1)


async def pack(run: JobRun, request_id: PrivacyRequestId) -> None:
    """Pack the parts of an export into one archive, and finish the request. What an earlier start wrote is replaced."""
    request = await logic.get_request(run.principal, request_id)
    if request.state != "running":
        return
    made_at = datetime.now(UTC)
    content = _beating(run, zipped(_entries(request, made_at), made_at))
    await exports().write_stream(_key(request_id), content, content_type="application/zip")
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        locked = await store.lock_request(tx, request_id)
        if locked is not None and locked.state == "running":
            await logic.finish(tx, replace(locked, archive_until=tx.now + logic.DOWNLOAD_PERIOD))
    await exports().delete([key_of(request_id, each.service) for each in request.parts])


def _key(request_id: PrivacyRequestId) -> str:
    return f"{request_id}.zip"


async def _beating(run: JobRun, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Pass the chunks on, and keep the job alive meanwhile."""
    extended_at = time.monotonic()
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk
            if time.monotonic() - extended_at > _EXTEND_EVERY_S:
                await run.extend()
                extended_at = time.monotonic()


async def _entries(request: Request, made_at: datetime) -> AsyncGenerator[Entry]:
    missing: set[str] = set()
    for each in request.parts:
        async with aclosing(part(request.id, each.service)) as lines:
            async for line in lines:
                # Files come before tables.
                if not isinstance(line, ExportedFile):
                    break
                content = await _opened(line)
                if content is None:
                    missing.add(line.path)
                else:
                    yield Entry(line.path, content, compressed=False)
    for each in request.parts:
        yield Entry(f"data/{each.service}.json", _json(request.id, each.service))
    yield Entry("index.html", _encoded(_page(request, made_at, missing)))


async def _opened(file: ExportedFile) -> AsyncGenerator[bytes] | None:
    """Begin to read a file; None when it was deleted meanwhile."""
    content = Bucket(file.bucket).get(file.key)
    try:
        first = await anext(content, b"")
    except ObjectMissing:
        return None

    async def all_of_it() -> AsyncGenerator[bytes]:
        async with aclosing(content):
            yield first
            async for chunk in content:
                yield chunk

    return all_of_it()


async def _json(request_id: PrivacyRequestId, service: str) -> AsyncGenerator[bytes]:
    """Stream `{"files": [{name, path}], "tables": [{table, purpose, kept, about, rows}]}`."""
    yield b'{"files":['
    between, closing = b"", b'],"tables":['
    async with aclosing(part(request_id, service)) as lines:
        async for line in lines:
            match line:
                case ExportedFile():
                    yield between + orjson.dumps({"name": line.name, "path": line.path})
                    between = b",\n"
                case ExportedTable():
                    described = {"table": line.table, "purpose": line.purpose, "kept": line.kept, "about": line.about}
                    yield closing + orjson.dumps(described)[:-1] + b',"rows":['
                    between, closing = b"", b"]},\n"
                case ExportedRow():
                    yield between + orjson.dumps(line.values)
                    between = b",\n"
    yield b'],"tables":[]}' if closing == b'],"tables":[' else b"]}]}"


async def _page(request: Request, made_at: datetime, missing: set[str]) -> AsyncGenerator[str]:
    whose = f"This is what is kept about the person {request.user_id}"
    if request.org_id is not None:
        whose += f" by the organization {request.org_id}"
    services = [each.service for each in request.parts]
    yield page.opening(services, subject=f"{whose}.", made_at=made_at.isoformat(timespec="seconds"))
    for service in services:
        async with aclosing(part(request.id, service)) as lines:
            async for text in page.section(service, lines, missing):
                yield text
    yield page.CLOSING


async def _encoded(texts: AsyncIterable[str]) -> AsyncGenerator[bytes]:
    async for text in texts:
        yield text.encode()


async def delete_of(actor: Principal, user_id: UserId) -> None:
    """End the exports about somebody who leaves, and delete their archives and parts."""
    for request_id in await logic.end_exports(actor, user_id):
        parts = [stored.key async for stored in exports().list(f"{request_id}/")]
        await exports().delete([_key(request_id), *parts])


async def delete_old(now: datetime | None = None) -> int:
    """Delete old archives, and the parts of exports that broke off; return the number of objects."""
    before = (now or datetime.now(UTC)) - _KEPT_FOR
    old = [stored.key async for stored in exports().list() if stored.modified_at < before]
    await exports().delete(old)
    await exports().abort_stale_multiparts(before)
    return len(old)
