"""A kill reaches every process while Valkey is dead, whether a process hosts feature_flag or asks another host."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cluster.base.settings import REPOSITORY
from cluster.servers.home import Home
from cluster.servers.valkey import Valkey
from tests.api.platform.feature_flag.conftest import declared
from tests.api.platform.feature_flag.test_evaluation import url
from tests.harness import Hub, Person, done

__all__ = ["url"]

_HOSTED = (("feature_flag",), ("feature_flag", "course"), ("course",), ("audit",))


@asynccontextmanager
async def valkey_of_its_own(path: Path) -> AsyncGenerator[tuple[Valkey, Process]]:
    server = Valkey(Home(path, volatile=True))
    await server.prepare()
    launch = server.launch()
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *launch.argv, cwd=launch.cwd, env=dict(launch.env), stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    await server.ready()
                    break
                except Exception:
                    await asyncio.sleep(0.05)
        yield server, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def watcher(services: tuple[str, ...], env: dict[str, str]) -> AsyncGenerator[Process]:
    module = "tests.api.platform.feature_flag.watcher"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "user.sign_up", *services), cwd=REPOSITORY, env=env, stdin=PIPE, stdout=PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def said(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


async def test_a_kill_holds_in_every_process_while_valkey_is_dead(
    hub: Hub, operator: Person, url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    flag = await declared(operator, "user.sign_up")
    async with AsyncExitStack() as stack:
        valkey, valkey_process = await stack.enter_async_context(valkey_of_its_own(tmp_path))
        env = os.environ | {"HUB_REDIS_URL": valkey.url, "HUB_SERVICE_URL": url}
        watchers = [await stack.enter_async_context(watcher(services, env)) for services in _HOSTED]
        before = [await said(each) for each in watchers]

        valkey_process.send_signal(signal.SIGKILL)
        await valkey_process.wait()
        done(await operator.post(f"/v1/flags/{flag['id']}/kill"))
        begun = time.monotonic()
        try:
            killed = await asyncio.gather(*(said(each) for each in watchers))
            record_property("kill_held_everywhere_after_s", round(time.monotonic() - begun, 2))
        finally:
            done(await operator.post(f"/v1/flags/{flag['id']}/launch"))
        launched = await asyncio.gather(*(said(each) for each in watchers))

    assert before == ["STATIC on"] * len(_HOSTED)
    assert killed == ["DISABLED off"] * len(_HOSTED)
    assert launched == before
    await hub.settle()
