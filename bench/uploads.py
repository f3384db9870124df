"""How fast a film goes through tus into the file store, against boto3 alone into the same one, and what memory that takes.

Client and server share this machine; the client is a thread that only copies a file to a socket.
"""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import boto3
import psutil
import uvicorn

from api.media.media import checking, rules, store
from api.media.media.contract import AssetId
from api.media.media.routes import router
from api.media.media.upload import store as uploads
from bench.figures import Figure, hand_over, progress, quick, typical
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.settings import settings
from cluster.data import objects, postgres, read, write
from cluster.data.migrations import KERNEL, migrations
from cluster.http import build_app

_SIZE_BYTES = int(os.environ.get("HUB_BENCH_UPLOAD_BYTES", "20_000_000" if quick() else "1_000_000_000"))
"""The setting is for machines with little disk."""
_TURNS = 2
_GOAL_RATIO = 0.5
_GOAL_MEMORY_MIB = 64
_MB = 1_000_000


async def run(size_bytes: int = _SIZE_BYTES) -> list[Figure]:
    """Measure on a database of its own; leave nothing behind."""
    person = Principal(kind="person", id=UserId(new_id()))
    boto3_s: list[float] = []
    tus_s: list[float] = []
    check_s: list[float] = []
    grown_mib: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        await asyncio.to_thread(_write_film, path, size_bytes)
        async with _database(), _server(person) as port:
            for turn in range(_TURNS):
                progress(f"turn {turn + 1} of {_TURNS}")
                boto3_s.append(await asyncio.to_thread(_by_boto3, path))
                asset_id = await _begin(person, size_bytes)
                before = _memory_mib()
                begun = time.perf_counter()
                sending = asyncio.create_task(asyncio.to_thread(_by_tus, path, port, asset_id))
                peak = before
                while not sending.done():
                    await asyncio.sleep(0.05)
                    peak = max(peak, _memory_mib())
                await sending
                tus_s.append(time.perf_counter() - begun)
                grown_mib.append(peak - before)
                begun = time.perf_counter()
                await checking.check(platform("media"), asset_id, beat=_nothing, last=True)
                check_s.append(time.perf_counter() - begun)
                await _remove(asset_id)

    def rate(took_s: list[float]) -> float:
        return size_bytes / _MB / typical(took_s)

    return [
        Figure(
            name="tus into the file store, against boto3",
            value=rate(tus_s),
            unit="MB/s",
            peer=rate(boto3_s),
            goal=_GOAL_RATIO,
        ),
        Figure(name="memory for one upload", value=max(grown_mib), unit="MiB", goal=_GOAL_MEMORY_MIB, better="less"),
        Figure(name="checking and joining", value=rate(check_s), unit="MB/s"),
    ]


async def _remove(asset_id: AssetId) -> None:
    """See that the asset is ready, and delete what it holds in the file store."""
    async with read() as db:
        ready = await store.list_assets_by_id(db, [asset_id])
    assert ready[0].state == "ready", ready[0]
    bucket = objects.bucket("media")
    await bucket.delete([stored.key async for stored in bucket.list(f"{asset_id}/")])


async def _nothing() -> None: ...


def _memory_mib() -> float:
    return psutil.Process().memory_info().rss / 1024 / 1024


def _write_film(path: Path, size_bytes: int) -> None:
    block = os.urandom(1024 * 1024)
    with path.open("wb") as film:
        film.write(b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")
        while (missing := size_bytes - film.tell()) > 0:
            film.write(block[:missing])


def _by_boto3(path: Path) -> float:
    where = settings()
    client: Any = boto3.client(
        "s3",
        endpoint_url=where.s3_endpoint,
        aws_access_key_id=where.s3_access_key,
        aws_secret_access_key=where.s3_secret_key,
        region_name=where.s3_region,
        config=objects.config(),
    )
    name = objects.bucket("media").name
    if name not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=name)
    key = f"{new_id()}/bench"
    begun = time.perf_counter()
    client.upload_file(str(path), name, key)
    took_s = time.perf_counter() - begun
    client.delete_object(Bucket=name, Key=key)
    return took_s


def _by_tus(path: Path, port: int, asset_id: AssetId) -> None:
    lines = [
        f"PATCH /v1/uploads/{asset_id} HTTP/1.1",
        "Host: bench",
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {path.stat().st_size}",
    ]
    with socket.create_connection(("127.0.0.1", port)) as connection, path.open("rb") as film:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.sendfile(film)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 204"), answer


async def _begin(person: Principal, size_bytes: int) -> AssetId:
    asset_id = AssetId(new_id())
    async with write(person) as tx:
        await store.insert_asset(
            tx,
            store.NewAsset(
                id=asset_id,
                org_id=None,
                course_id=None,
                run_id=None,
                owner_id=person.person(),
                holder_id=person.person(),
                purpose="bench",
                filename="film.mp4",
                declared_type="video/mp4",
                size_bytes=size_bytes,
                state="uploading",
            ),
        )
        await uploads.insert_upload(tx, asset_id, tx.now + rules.UNFINISHED_FOR)
    return asset_id


@asynccontextmanager
async def _database() -> AsyncGenerator[None]:
    name = f"{settings().stack}_bench_uploads"
    admin = await asyncpg.connect(settings().postgres_url)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}"')
        await postgres.connect(
            urlunsplit(urlsplit(settings().postgres_url)._replace(path=f"/{name}")), size=4, application="bench uploads"
        )
        async with read() as db:
            await db.raw.execute("CREATE SCHEMA hub; CREATE SCHEMA media")
            for migration in migrations():
                if migration.service in (KERNEL, "media"):
                    await db.raw.execute(migration.sql)
        yield
    finally:
        await objects.close()
        await postgres.disconnect()
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


@asynccontextmanager
async def _server(person: Principal) -> AsyncGenerator[int]:
    """Serve the routes of media as if the edge had authenticated `person`."""
    media = build_app([router])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {}).update(principal=person, become_stream=lambda: None)
        await media(scope, receive, send)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


if __name__ == "__main__":
    hand_over(asyncio.run(run()))
