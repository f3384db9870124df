"""The platform on a real socket, further replicas of it, films to walk with, and a course with people in it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from api.media.video_processing.film.sample import Recipe, make_film
from cluster.base.settings import REPOSITORY
from cluster.servers.home import free_port
from tests.harness import Hub, Person, School, done
from tests.main_path.test_main_path import Learning, Lesson, sign_up, teach

REAL_FILM = REPOSITORY / "../shared/data/big_buck_bunny_480p_30s.mp4"


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[str]:
    """Serve an application on a free port of this machine; yield its address."""
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


@pytest.fixture(scope="session")
async def address(hub: Hub) -> AsyncIterator[str]:
    """Where the platform answers players that know nothing of tests."""
    async with served(hub.host) as found:
        yield found


@asynccontextmanager
async def replica(**settings: str) -> AsyncGenerator[str]:
    """Run another replica, with other settings than ours; yield its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.main_path.replica", str(port)),
        cwd=REPOSITORY,
        env=os.environ | settings,
        stdin=asyncio.subprocess.DEVNULL,
    )
    found = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(90), httpx.AsyncClient(base_url=found, trust_env=False) as http:
            while not await _answers(http):
                assert process.returncode is None
                await asyncio.sleep(0.1)
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def at(address: str, person: Person) -> httpx.AsyncClient:
    """Return somebody's client of another replica."""
    headers = {"Authorization": person.client.headers["authorization"]}
    return httpx.AsyncClient(base_url=address, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="session")
async def upright_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short film that stands upright, at 17 pictures per second."""
    path = tmp_path_factory.mktemp("films") / "upright.mp4"
    await make_film(path, Recipe(width=202, height=358, rate="17", duration_s=4))
    return path


@pytest.fixture(params=["upright", "real"])
def film(request: pytest.FixtureRequest, upright_film: Path) -> Path:
    if request.param == "upright":
        return upright_film
    if not REAL_FILM.exists():
        pytest.skip(f"{REAL_FILM.name} is not in shared/data beside the repository")
    return REAL_FILM.resolve()


@dataclass(frozen=True, slots=True)
class Classroom:
    """A published course with a film in it, two who learn it, and somebody from another school."""

    lesson: Lesson
    one: Learning
    other: Learning
    elsewhere: School


@pytest.fixture(scope="session")
async def classroom(hub: Hub, address: str, upright_film: Path) -> Classroom:
    lesson = await teach(hub, address, upright_film)
    await hub.settle()
    one, other = [await _learner(hub, lesson) for _ in range(2)]
    await hub.settle()
    return Classroom(lesson, one, other, await hub.school("elsewhere"))


async def _learner(hub: Hub, lesson: Lesson) -> Learning:
    person, _ = await sign_up(hub, "learner")
    enrolled = done(await person.post("/v1/enrollments", {"run_id": lesson.run_id}), 201)
    return Learning(person, enrolled["id"])
