"""Pieces of films as Ray tasks, on a Ray of two CPUs."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors import transcoding
from actors.transcoding import RayExecutor
from tests.api.media.video_processing.conftest import (
    PIECES,
    Counting,
    FilmMaker,
    Teacher,
    clean,
    executor,
    film,
    scratch,
    tasks_of,
    teacher,
    work,
)
from tests.harness import Hub, done
from tests.processes import those

__all__ = ["clean", "executor", "film", "scratch", "teacher"]

LONG: dict[str, Any] = {"duration_s": 4, "width": 640, "height": 360}
PIECES_OF_LONG = {0, 1, 2, 3, 4}


@pytest.fixture(scope="module")
def cluster(scratch: Path) -> Iterator[None]:
    import ray

    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0")
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    for attempts_left in (2, 1, 0):
        try:
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=80 * 1024 * 1024,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
                log_to_driver=False,
            )
            break
        except Exception:
            # Ray gives its own processes 30 s to start, which a busy machine may not have.
            ray.shutdown()
            if not attempts_left:
                raise
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_ray(cluster: None, executor: Counting) -> Counting:
    executor.inner = RayExecutor(PIECES)
    return executor


def at_work() -> list[psutil.Process]:
    """Return the Ray workers that encode, each with an encoder under it."""
    return those(
        psutil.Process().children(recursive=True),
        lambda each: each.cmdline()[:1] == ["ray::encode"] and bool(each.children(recursive=True)),
    )


async def some_at_work() -> list[psutil.Process]:
    while not (found := at_work()):  # noqa: ASYNC110 (other processes tell no event)
        await asyncio.sleep(0.01)
    return found


async def none_at_work() -> None:
    """Return once nothing encodes: a cancelled task ends its encoder, and then itself."""
    while at_work():  # noqa: ASYNC110 (other processes tell no event)
        await asyncio.sleep(0.05)


def test_the_worker_host_takes_ray_when_there_is_one(cluster: None) -> None:
    assert isinstance(transcoding.executor(), RayExecutor)


async def test_a_killed_worker_repeats_its_piece_and_no_other(
    hub: Hub, teacher: Teacher, on_ray: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(**LONG))
    working = asyncio.create_task(work())
    victim, *_ = await asyncio.wait_for(some_at_work(), 60)
    encoders = victim.children(recursive=True)
    victim.kill()
    await working
    assert (await teacher.video(video["id"]))["state"] == "ready"
    assert set(on_ray.began) == PIECES_OF_LONG
    assert sorted(on_ray.began.values()) == [1, 1, 1, 1, 2]
    assert those(encoders, psutil.Process.is_running) == []


async def test_cancelling_ends_the_tasks_and_their_encoders(
    hub: Hub, teacher: Teacher, on_ray: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(**LONG | {"duration_s": 20}))
    working = asyncio.create_task(work())
    await asyncio.wait_for(some_at_work(), 60)
    done(await teacher.person.post(f"/v1/videos/{video['id']}/cancel"))
    await working
    await asyncio.wait_for(none_at_work(), 60)
    assert (await teacher.video(video["id"]))["state"] == "cancelled"
    assert on_ray.ended.total() < on_ray.began.total()
    assert await tasks_of(video["id"]) == {}


async def test_a_hostile_piece_is_the_films_fault_on_ray_too(
    hub: Hub, teacher: Teacher, on_ray: Counting, film: FilmMaker
) -> None:
    whole = await film(**LONG)
    # The index at the end of the file survives, the pictures between do not.
    third = len(whole) // 3
    video = await teacher.new_video(whole[:third] + bytes(third) + whole[2 * third :])
    await work()
    failed = await teacher.video(video["id"])
    assert (failed["state"], failed["error"]["retryable"]) == ("failed", False), failed
    assert failed["error"]["code"] in ("damaged", "truncated")
