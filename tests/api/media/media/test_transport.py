"""Uploads over real connections: clients that leave, replicas that are killed, a file store that is slow or away."""

import asyncio
import random
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
import uvicorn
from tusclient.client import TusClient

from api.media.media.upload import logic, parts
from cluster.base.problems import Unavailable
from cluster.base.settings import REPOSITORY
from cluster.servers.home import free_port
from tests.cluster.data.proxy import Proxy, between

from .conftest import Teacher, app_of, film, settle
from .test_engine import content_of
from .test_protocol import TUS, append, creation

MIB = 1024 * 1024


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[str]:
    """Serve an application on a free port of this machine."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def begin_request(address: str, where: str, offset: int, length: int) -> asyncio.StreamWriter:
    """Send the head of a PATCH and leave its body to the caller."""
    parts_of = urlsplit(address)
    _, writer = await asyncio.open_connection(parts_of.hostname, parts_of.port)
    lines = [f"PATCH {where} HTTP/1.1", "Host: media.test", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in append(offset).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return writer


async def offset_of(http: httpx.AsyncClient, where: str) -> int:
    return int((await http.head(where, headers=TUS)).headers["Upload-Offset"])


async def settled_offset(http: httpx.AsyncClient, where: str, above: int) -> int:
    """Wait until the server has noticed that the client left."""
    async with asyncio.timeout(20):
        while (offset := await offset_of(http, where)) <= above:  # noqa: ASYNC110 (only HEAD can tell)
            await asyncio.sleep(0.02)
    return offset


async def test_what_arrived_before_a_broken_connection_is_kept(teacher: Teacher) -> None:
    content = film(parts.PART_BYTES + 300_001)
    async with served(app_of(teacher.principal)) as address, httpx.AsyncClient(base_url=address) as http:
        where = (await http.post("/v1/uploads", headers=creation(teacher, len(content)))).headers["Location"]
        writer = await begin_request(address, where, 0, len(content))
        writer.write(content[: parts.PART_BYTES + 5_001])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        offset = await settled_offset(http, where, parts.PART_BYTES)
        assert offset == parts.PART_BYTES + 5_001
        answer = await http.patch(where, headers=append(offset), content=content[offset:])
        assert answer.status_code == 204
    await settle()
    assert await content_of(teacher, (await only_asset(teacher))) == content


async def only_asset(teacher: Teacher) -> Any:
    listed = (await teacher.http.get(f"/v1/assets?target=course:{teacher.course_id}")).json()["items"]
    assert len(listed) == 1
    return UUID(listed[0]["id"])


@asynccontextmanager
async def replica(teacher: Teacher) -> AsyncGenerator[tuple[str, asyncio.subprocess.Process]]:
    """Run a web server of its own process."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.media.media.server", str(port), str(teacher.principal.id)),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as http:
            while True:
                try:
                    await http.options(f"{address}/v1/uploads")
                    break
                except httpx.TransportError:
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
        yield address, process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_a_killed_replica_loses_nothing_that_counted(teacher: Teacher) -> None:
    content = film(5 * parts.PART_BYTES)
    where = (await teacher.http.post("/v1/uploads", headers=creation(teacher, len(content)))).headers["Location"]
    async with replica(teacher) as (address, process):
        writer = await begin_request(address, where, 0, len(content))
        writer.write(content[: 3 * parts.PART_BYTES + 17])
        await writer.drain()
        seen = await settled_offset(teacher.http, where, parts.PART_BYTES - 1)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        writer.close()
    offset = await offset_of(teacher.http, where)
    assert seen <= offset <= 3 * parts.PART_BYTES
    answer = await teacher.http.patch(where, headers=append(offset), content=content[offset:])
    assert answer.status_code == 204, answer.text
    await settle()
    assert await content_of(teacher, await only_asset(teacher)) == content


async def test_an_ordinary_tus_client_gets_a_film_through(teacher: Teacher, tmp_path: Path) -> None:
    content = film(3 * MIB + 11)
    path = tmp_path / "Ein Film.mp4"
    path.write_bytes(content)
    fields = {"filename": path.name, "filetype": "video/mp4", "purpose": "course-media"}
    fields["target"] = f"course:{teacher.course_id}"

    def upload(address: str) -> None:
        client = TusClient(f"{address}/v1/uploads")
        first = client.uploader(
            str(path), chunk_size=MIB, metadata=fields, metadata_encoding="utf-8", upload_checksum=True
        )
        first.upload(stop_at=MIB)
        again = client.uploader(str(path), chunk_size=MIB + 77, url=first.url)
        assert again.offset == MIB
        again.upload()

    async with served(app_of(teacher.principal)) as address:
        await asyncio.to_thread(upload, address)
    await settle()
    asset_id = await only_asset(teacher)
    assert await content_of(teacher, asset_id) == content
    assert (await teacher.http.get(f"/v1/assets/{asset_id}")).json()["filename"] == "Ein Film.mp4"


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    async with between(monkeypatch) as found:
        yield found


async def test_a_slow_file_store_slows_the_client_and_holds_two_parts(teacher: Teacher, proxy: Proxy) -> None:
    size = 10 * parts.PART_BYTES
    asset_id = await teacher.begin(size)
    content = film(size)
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for start in range(0, size, 64 * 1024):
            yield content[start : start + 64 * 1024]
            taken = start + 64 * 1024

    await teacher.offset(asset_id)
    before = proxy.stored
    proxy.flows.clear()
    request = asyncio.create_task(
        logic.receive(teacher.principal, asset_id, offset=0, body=body(), declared_bytes=size)
    )
    unchanged, last = 0, -1
    async with asyncio.timeout(30):
        while unchanged < 10:
            await asyncio.sleep(0.02)
            unchanged, last = (unchanged + 1, last) if taken == last and taken else (0, taken)
    assert proxy.stored == before
    assert taken <= 2 * parts.PART_BYTES
    proxy.flows.set()
    assert (await request).offset_bytes == size
    await settle()
    assert await content_of(teacher, asset_id) == content


async def test_without_the_file_store_uploads_wait_and_go_on_afterwards(teacher: Teacher, proxy: Proxy) -> None:
    size = 4 * parts.PART_BYTES
    content = film(size)
    asset_id = await teacher.begin(size)
    await teacher.send(asset_id, content[: parts.PART_BYTES])
    where = f"/v1/uploads/{asset_id}"
    proxy.refuses = True
    proxy.cut()
    answer = await teacher.http.patch(where, headers=append(parts.PART_BYTES), content=content[parts.PART_BYTES :])
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert await offset_of(teacher.http, where) == parts.PART_BYTES
    with pytest.raises(Unavailable):
        await teacher.send(asset_id, content[parts.PART_BYTES :], parts.PART_BYTES)
    proxy.refuses = False
    await teacher.send(asset_id, content[parts.PART_BYTES :], parts.PART_BYTES)
    await settle()
    assert await content_of(teacher, asset_id) == content


async def test_a_store_that_breaks_off_at_random_gives_the_same_file(teacher: Teacher, proxy: Proxy) -> None:
    size = 3 * parts.PART_BYTES + 99
    content = film(size)
    asset_id = await teacher.begin(size)

    async def trouble() -> None:
        for _ in range(12):
            await asyncio.sleep(random.uniform(0.005, 0.1))
            proxy.cut()

    making = asyncio.create_task(trouble())
    while (offset := await teacher.offset(asset_id)) < size:
        try:
            await teacher.send(asset_id, content[offset:], offset)
        except Unavailable:
            continue
    await making
    await settle()
    assert await content_of(teacher, asset_id) == content
