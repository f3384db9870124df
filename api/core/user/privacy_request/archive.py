"""The archive of an export: one ZIP with the parts of all services."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import IO

from api.core.user.contract import PrivacyRequestId
from api.core.user.privacy_request import logic, store
from cluster.base.settings import settings
from cluster.data import write
from cluster.jobs import JobRun
from cluster.people.export import exports, key_of

_CHUNK_BYTES = 256 * 1024
_KEPT_FOR = logic.DOWNLOAD_PERIOD + timedelta(days=1)


async def pack(run: JobRun, request_id: PrivacyRequestId) -> None:
    """Pack the parts of an export into one archive, and finish the request."""
    parts = (await logic.get_request(run.principal, request_id)).parts
    with tempfile.TemporaryFile(dir=settings().scratch or None) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in parts:
                with archive.open(f"{part.service}.json", "w", force_zip64=True) as entry:
                    async with aclosing(exports().get(key_of(request_id, part.service))) as content:
                        async for chunk in content:
                            await asyncio.to_thread(entry.write, chunk)
                await run.extend()
        file.seek(0)
        await exports().write_stream(f"{request_id}.zip", _chunks(file), content_type="application/zip")
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        request = await store.lock_request(tx, request_id)
        if request is not None and request.state == "running":
            await logic.finish(tx, replace(request, archive_until=tx.now + logic.DOWNLOAD_PERIOD))
    await exports().delete([key_of(request_id, part.service) for part in parts])


async def _chunks(file: IO[bytes]) -> AsyncGenerator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


async def delete_old(now: datetime | None = None) -> int:
    """Delete old archives, and the parts of exports that broke off; return the number of objects."""
    before = (now or datetime.now(UTC)) - _KEPT_FOR
    old = [stored.key async for stored in exports().list() if stored.modified_at < before]
    await exports().delete(old)
    return len(old)
