"""The platform on a real socket, and films to walk with."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api.media.video_processing.film.sample import Recipe, make_film
from cluster.settings import REPOSITORY
from tests.harness import Hub

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
