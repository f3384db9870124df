"""What may go wrong while a film is processed: people who change their minds, and processes that die."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.media.video_processing import logic
from api.media.video_processing.film.faults import EncodingFailed
from api.media.video_processing.rules import take_prefix
from api.media.video_processing.transcode.pieces import Piece
from cluster.base.settings import REPOSITORY
from cluster.data import read
from cluster.data.objects import bucket
from tests.api.media.video_processing.conftest import (
    Counting,
    FilmMaker,
    Teacher,
    expire_lease,
    tasks_of,
    video_id_of,
    work,
)
from tests.harness import Hub, done
from tests.processes import encoders

LONG: dict[str, Any] = {"duration_s": 4}
PIECES_OF_LONG = {0, 1, 2, 3, 4}
"""The sound, and four chunks of a second."""


def left_in(scratch: Path) -> list[Path]:
    return list(scratch.glob("*/*"))


async def objects_of(video: dict[str, Any], take: int = 1) -> list[str]:
    return [each.key async for each in bucket(logic.BUCKET).list(take_prefix(video_id_of(video), take))]


async def test_cancelling_ends_every_process_and_removes_every_file(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(**LONG))
    path = f"/v1/videos/{video['id']}"

    async def cancel(piece: Piece) -> None:
        if executor.ended.total():
            done(await teacher.person.post(f"{path}/cancel"))

    executor.before = cancel
    await work()
    assert (await teacher.video(video["id"]))["state"] == "cancelled"
    assert executor.ended.total() < len(PIECES_OF_LONG)
    assert encoders() == []
    assert await tasks_of(video["id"]) == {}
    assert await objects_of(video) != []
    await hub.due_now(take_prefix(video_id_of(video), 1))
    await work()
    assert await objects_of(video) == []
    assert done(await teacher.person.post(f"{path}/cancel"))["state"] == "cancelled"


async def test_a_cancelled_film_can_be_processed_after_all(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    done(await teacher.person.post(f"{path}/cancel"))
    await work()
    assert executor.began.total() == 0
    restarted = done(await teacher.person.post(f"{path}/retry"))
    assert (restarted["state"], restarted["progress"]) == ("queued", 0)
    await hub.due_now(take_prefix(video_id_of(video), 1))
    await work()
    assert (await teacher.video(video["id"]))["state"] == "ready"
    assert await objects_of(video, take=1) == []
    assert await objects_of(video, take=2) != []


async def test_a_piece_that_fails_is_repeated_and_no_other(
    teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    # Large pictures take long enough to be met at work.
    video = await teacher.new_video(await film(**LONG, width=1280, height=720))

    async def kill_its_encoder(piece: Piece) -> None:
        if piece.number == 2 and executor.began[2] == 1:
            asyncio.get_running_loop().call_soon(kill_when_it_runs)

    def kill_when_it_runs() -> None:
        marked = [each for each in encoders() if any("start_pts" in word for word in each.cmdline())]
        if executor.ended[2]:
            return
        if len(marked) == 0 or executor.began.total() - executor.ended.total() != 1:
            asyncio.get_running_loop().call_later(0.01, kill_when_it_runs)
            return
        os.kill(marked[0].pid, signal.SIGKILL)

    # One at a time, so that the only encoder is the piece's.
    executor.one_at_a_time = True
    executor.before = kill_its_encoder
    await work()
    assert (await teacher.video(video["id"]))["state"] == "ready"
    assert dict(executor.began) == dict.fromkeys(PIECES_OF_LONG, 1) | {2: 2}


async def test_a_coordinator_killed_half_way_is_followed_by_one_that_finishes(
    teacher: Teacher, executor: Counting, film: FilmMaker, scratch: Path
) -> None:
    video = await teacher.new_video(await film(**LONG))
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.api.media.video_processing.killed_worker", cwd=REPOSITORY
    )
    try:
        while not any(state == "done" for state, _ in (await tasks_of(video["id"])).values()):
            assert worker.returncode is None
            await asyncio.sleep(0.02)
    finally:
        worker.kill()
        await worker.wait()
    before = await tasks_of(video["id"])
    finished = {number for number, (state, _) in before.items() if state == "done"}
    assert finished < PIECES_OF_LONG
    assert left_in(scratch) != []
    await expire_lease()
    await work()
    ready = await teacher.video(video["id"])
    assert (ready["state"], ready["error"]) == ("ready", None)
    assert set(executor.began) == PIECES_OF_LONG - finished
    assert set(executor.began.values()) == {1}


async def test_what_fails_for_no_fault_of_the_film_may_be_tried_again(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=2))

    async def fail(piece: Piece) -> None:
        if piece.chunk is not None:
            raise EncodingFailed("encoder-failed", "/secret/path: no luck")

    executor.before = fail
    await work()
    failed = await teacher.video(video["id"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "processing-failed")
    assert failed["error"]["retryable"]
    assert "secret" not in failed["error"]["detail"]
    assert max(executor.began.values()) == 3
    executor.before = None
    done(await teacher.person.post(f"/v1/videos/{video['id']}/retry"))
    await work()
    ready = await teacher.video(video["id"])
    assert (ready["state"], ready["error"]) == ("ready", None)


async def test_a_full_disk_waits_for_the_next_attempt(teacher: Teacher, executor: Counting, film: FilmMaker) -> None:
    video = await teacher.new_video(await film(duration_s=2))

    async def fill_the_disk(piece: Piece) -> None:
        if executor.began.total() == 1:
            raise OSError(28, "No space left on device")

    executor.before = fill_the_disk
    await work()
    assert (await teacher.video(video["id"]))["state"] == "queued"
    await expire_lease()
    await work()
    assert (await teacher.video(video["id"]))["state"] == "ready"


async def test_whoever_was_replaced_writes_nothing_more(teacher: Teacher, executor: Counting, film: FilmMaker) -> None:
    video = await teacher.new_video(await film(**LONG))
    second: list[asyncio.Task[None]] = []

    async def be_replaced(piece: Piece) -> None:
        if executor.began.total() == 1:
            # As when the lease ran out while this process stood still.
            await expire_lease()
            second.append(asyncio.create_task(work()))
            await asyncio.sleep(30)

    executor.before = be_replaced
    await work()
    await second[0]
    assert (await teacher.video(video["id"]))["state"] == "ready"
    assert set(executor.ended) == PIECES_OF_LONG


async def test_a_film_that_nobody_works_on_is_found_and_in_the_end_failed(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=2))
    states: list[str] = []
    for _ in range(3):
        async with read() as db:
            await db.run("DELETE FROM hub.jobs WHERE kind = 'video_processing.transcode'")
            await db.run(
                "UPDATE video_processing.videos SET state = 'processing', seen_alive_at = now() - interval '1 hour' "
                "WHERE id = $1",
                video_id_of(video),
            )
        assert await logic.rescue(datetime.now(UTC)) == 1
        assert await logic.rescue(datetime.now(UTC)) == 0
        states.append((await teacher.video(video["id"]))["state"])
    assert states == ["queued", "queued", "failed"]
    done(await teacher.person.post(f"/v1/videos/{video['id']}/retry"))
    await work()
    assert (await teacher.video(video["id"]))["state"] == "ready"
