"""What a killed file store forgets and what it keeps: why nothing acknowledged waits in a multipart upload."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.base import settings
from cluster.base.problems import Unavailable
from cluster.data import objects, s3
from cluster.servers.home import Home
from cluster.servers.s3 import S3


class Store:
    """An S3 server of this test's own."""

    def __init__(self, home: Home) -> None:
        self.server = S3(home)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        await self.server.prepare()
        launch = self.server.launch()
        self._process = await asyncio.create_subprocess_exec(
            *launch.argv,
            cwd=launch.cwd,
            env=dict(launch.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            while True:
                try:
                    await self.server.ready()
                    return
                except Exception:
                    await asyncio.sleep(0.05)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def store_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Store]:
    store = Store(Home(path, volatile=True))
    await store.start()
    await objects.close()
    pointed = replace(
        settings.settings(),
        s3_endpoint=store.server.endpoint,
        s3_access_key=store.server.access_key,
        s3_secret_key=store.server.secret_key,
    )
    try:
        with monkeypatch.context() as patched:
            patched.setattr(s3, "settings", lambda: pointed)
            yield store
            await objects.close()
    finally:
        await store.kill()


async def test_a_killed_store_keeps_objects_and_a_stream_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = objects.bucket("restarts")
    kills = 0

    async with store_of_its_own(tmp_path, monkeypatch) as store:
        await bucket.put("acknowledged", b"before")

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal kills
            for _ in range(3):
                yield bytes(objects.PART_BYTES)
                if not kills:
                    kills += 1
                    await store.kill()
                    await store.start()

        with pytest.raises(Unavailable):
            await bucket.write_stream("film", chunks())
        assert await bucket.head("film") is None
        assert await bucket.read("acknowledged") == b"before"
        assert await bucket.write_stream("film", chunks()) == 3 * objects.PART_BYTES
        found = await bucket.head("film")
        assert found is not None
        assert found.size_bytes == 3 * objects.PART_BYTES


async def test_a_store_killed_during_a_write_shows_the_old_object_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = objects.bucket("restarts")
    old, new = b"old" * 1000, bytes(4 * objects.PART_BYTES)
    async with store_of_its_own(tmp_path, monkeypatch) as store:
        await bucket.put("thing", old)
        for wait_s in (0.0, 0.01, 0.03, 0.1):
            writing = asyncio.create_task(bucket.put("thing", new))
            await asyncio.sleep(wait_s)
            await store.kill()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await store.start()
            assert await bucket.read("thing") in (old, new)
            await bucket.put("thing", old)
