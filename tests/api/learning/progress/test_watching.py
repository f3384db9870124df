"""Heartbeats: believed within reason, gathered in Redis, never lost once PostgreSQL has them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import Flush
from api.learning.progress.watching import cache, logic, store
from api.media.video_streaming.contract import PlaybackNotFound
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import postgres, read, write
from cluster.jobs.run import run_due_jobs
from cluster.signals import redis
from tests.api.learning.progress.conftest import (
    Cinema,
    Viewer,
    counted,
    forget_redis,
    mark,
    progress_of,
    state_of,
    watch,
)
from tests.api.media.video_streaming.conftest import new_cinema, new_film
from tests.harness import Hub, done, problem


async def _beat(viewer: Viewer, playback: dict[str, Any], *watched: tuple[float, float], position_s: float = 0) -> Any:
    body = {"playback_id": playback["id"], "position_s": position_s, "watched": watched}
    return done(await viewer.person.post("/v1/heartbeats", body), 202)


async def _stored(viewer: Viewer) -> list[tuple[tuple[int, int], ...]]:
    async with read() as db:
        return [each.ranges for each in await store.list_watched(db, EnrollmentId(UUID(viewer.enrollment_id)))]


async def _write_all(hub: Hub, viewer: Viewer) -> None:
    """Write what is gathered, as if ten seconds had passed."""
    shard = cache.shard_of(EnrollmentId(UUID(viewer.enrollment_id)))
    await _make_due(viewer)
    await hub.due_now(Flush.dedupe(shard))
    await run_due_jobs(("progress",))


async def _make_due(viewer: Viewer) -> None:
    client: Any = redis.redis()
    enrollment_id = EnrollmentId(UUID(viewer.enrollment_id))
    key = redis.key("watched", cache.shard_of(enrollment_id), "due")
    await client.zadd(key, {enrollment_id.bytes: 1}, xx=True)


@pytest.fixture
async def redis_away(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Lead this service to a port where nobody listens."""
    nowhere: Any = cast(Any, RedisCluster).from_url(
        "redis://127.0.0.1:1", socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0)
    )
    monkeypatch.setattr(cache.redis, "redis", lambda: nowhere)
    monkeypatch.setattr(cache, "_paused_until", 0.0)
    yield
    await nowhere.aclose()
    monkeypatch.setattr(cache, "_paused_until", 0.0)


async def test_a_film_of_ten_seconds_is_not_finished_in_three_and_then_it_is(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    told = await _beat(viewer, playback, (0, 10), position_s=10)
    assert told["watched_ratio"] < 0.3
    for after_s in (1, 2, 3):
        await watch(viewer, playback, after_s, (0, 10), position_s=10)
    assert counted(await progress_of(viewer)) == (0, 2, 0)
    await watch(viewer, playback, 4.5, (0, 10), position_s=10)
    # At once, no flush had to come.
    progress = await progress_of(viewer)
    assert counted(progress) == (1, 2, 50)
    assert [block["state"] for block in progress["blocks"]] == ["completed", "open"]
    await mark(viewer, cinema.text)
    await hub.settle()
    assert await state_of(viewer) == "completed"


async def test_the_position_is_there_at_once_and_after_redis_has_forgotten(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    assert (await progress_of(viewer))["resume"] is None
    playback = await cinema.watch(viewer.person)
    await watch(viewer, playback, 3, (0, 3), position_s=3)
    await watch(viewer, playback, 5, (3, 5), position_s=5.25)
    progress = await progress_of(viewer)
    assert progress["resume"] == {"block_id": cinema.film, "position_s": 5.25}
    assert progress["blocks"][0]["state"] == "started"
    assert 0.45 < progress["blocks"][0]["watched_ratio"] < 0.55
    assert await _stored(viewer) == [], "gathered, not written"
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 5_000),)]
    await forget_redis()
    assert (await progress_of(viewer))["resume"] == {"block_id": cinema.film, "position_s": 5.25}
    await watch(viewer, playback, 9, (5, 9.5), position_s=9.5)
    assert counted(await progress_of(viewer)) == (1, 2, 50)


async def test_many_heartbeats_cost_one_write(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    await watch(viewer, playback, 1, (0, 1))
    with hub.statements() as counter:
        for second in range(2, 7):
            await watch(viewer, playback, second, (second - 1, second))
    assert counter.sql == [], "between two writes heartbeats cost PostgreSQL nothing"
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 6_000),)]
    with hub.statements() as counter:
        await _write_all(hub, viewer)
    assert not any("progress.watched" in sql for sql in counter.sql), "nothing is written twice"


async def test_twins_and_racing_heartbeats_unite(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    beats = [watch(viewer, playback, 8, (second, second + 1)) for second in (0, 2, 4, 6)]
    twins = [watch(viewer, playback, 8, (0, 1)) for _ in range(3)]
    await asyncio.gather(*beats, *twins)
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 1_000), (2_000, 3_000), (4_000, 5_000), (6_000, 7_000))]


async def test_a_heartbeat_during_a_write_is_not_taken_for_written(
    hub: Hub, cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    await watch(viewer, playback, 2, (0, 2))
    written = store.upsert_watched

    async def write_while_they_watch(tx: Any, films: Any) -> Any:
        totals = await written(tx, films)
        monkeypatch.setattr(store, "upsert_watched", written)
        # Another replica hears it, outside of this transaction.
        task = asyncio.get_running_loop().create_task(_outside(watch(viewer, playback, 4, (2, 4))))
        await task
        return totals

    async def _outside(beat: Any) -> None:
        token = postgres._holds_connection.set(False)  # pyright: ignore[reportPrivateUsage]
        try:
            await beat
        finally:
            postgres._holds_connection.reset(token)  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(store, "upsert_watched", write_while_they_watch)
    await logic.flush_learners(PLATFORM, [EnrollmentId(UUID(viewer.enrollment_id))])
    assert await _stored(viewer) == [((0, 2_000),)]
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 4_000),)]


async def test_a_write_that_died_before_it_was_noted_is_repeated_without_effect(
    hub: Hub, cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    await watch(viewer, playback, 2, (0, 2))

    async def dies(*_: Any) -> None:
        raise cache.CacheUnavailable("killed")

    with monkeypatch.context() as killed:
        killed.setattr(cache, "mark_written", dies)
        with contextlib.suppress(cache.CacheUnavailable):
            await logic.flush_learners(PLATFORM, [EnrollmentId(UUID(viewer.enrollment_id))])
    assert await _stored(viewer) == [((0, 2_000),)]
    await watch(viewer, playback, 4, (2, 4))
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 4_000),)]


async def test_writing_waits_for_redis_without_an_attempt(
    hub: Hub, cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await cinema.learner()
    await watch(viewer, await cinema.watch(viewer.person), 2, (0, 2))
    dedupe = Flush.dedupe(cache.shard_of(EnrollmentId(UUID(viewer.enrollment_id))))

    async def away(*_: Any) -> None:
        raise cache.CacheUnavailable("Redis did not answer a moment ago")

    with monkeypatch.context() as gone:
        gone.setattr(cache, "list_due", away)
        await hub.due_now(dedupe)
        await run_due_jobs(("progress",))

    async with read() as db:
        sql = "SELECT state, attempts, put_back FROM hub.jobs WHERE dedupe = $1 AND state IN ('queued', 'dead')"
        assert [tuple(row) for row in await db.rows(sql, dedupe)] == [("queued", 0, 1)]
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 2_000),)]


async def test_a_plan_that_was_lost_is_made_again_by_the_sweep(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    await watch(viewer, playback, 2, (0, 2))
    shard = cache.shard_of(EnrollmentId(UUID(viewer.enrollment_id)))
    async with read() as db:
        await db.run("DELETE FROM hub.jobs WHERE kind = 'progress.flush'")
    await logic.plan_lost(PLATFORM, datetime.now(UTC))
    async with read() as db:
        planned = await db.value(
            "SELECT count(*) FROM hub.jobs WHERE kind = 'progress.flush' AND dedupe = $1 AND state = 'queued'",
            Flush.dedupe(shard),
        )
    assert planned == 1
    await _write_all(hub, viewer)
    assert await _stored(viewer) == [((0, 2_000),)]


async def test_without_redis_heartbeats_go_straight_to_postgresql(hub: Hub, cinema: Cinema, redis_away: None) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    await asyncio.gather(*(watch(viewer, playback, 2, (0, 10)) for _ in range(4)))
    assert await _stored(viewer) == [((0, 5_500),)], "twins share one clock"
    assert (await progress_of(viewer))["resume"] == {"block_id": cinema.film, "position_s": 0}
    await watch(viewer, playback, 4, (0, 10), position_s=10)
    assert counted(await progress_of(viewer)) == (1, 2, 50)


async def test_ranges_of_several_playbacks_add_up_and_share_the_clock(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playbacks = [await cinema.watch(viewer.person) for _ in range(5)]
    began = datetime.fromisoformat(playbacks[-1]["created_at"])
    heard = None
    for playback in playbacks:
        after_s = (began - datetime.fromisoformat(playback["created_at"])).total_seconds() + 1
        heard = await watch(viewer, playback, after_s, (0, 10))
    assert heard is not None
    elapsed_s = (began - datetime.fromisoformat(playbacks[0]["created_at"])).total_seconds() + 1
    assert sum(end - start for start, end in heard.ranges) <= 2500 * elapsed_s + 500
    await watch(viewer, playbacks[1], 10, (0, 6))
    await watch(viewer, playbacks[2], 20, (6, 10))
    assert counted(await progress_of(viewer)) == (1, 2, 50)


async def test_only_the_person_of_the_playback_reports_on_it(hub: Hub, cinema: Cinema) -> None:
    viewer, other = await cinema.learner(), await cinema.learner()
    playback = await cinema.watch(viewer.person)
    body = {"playback_id": playback["id"], "position_s": 1, "watched": [[0, 1]]}
    for person in (other.person, cinema.owner):
        problem(await person.post("/v1/heartbeats", body), 404, "playback-not-found")
    problem(await hub.guest.post("/v1/heartbeats", body), 401)
    problem(await viewer.person.post("/v1/heartbeats", body | {"playback_id": str(new_id())}), 404)


async def test_of_a_preview_nothing_is_kept(hub: Hub, cinema: Cinema) -> None:
    playback = done(await cinema.owner.post("/v1/playbacks", {"video_id": cinema.video_id}), 201)
    body = {"playback_id": playback["id"], "position_s": 1, "watched": [[0, 1]]}
    assert done(await cinema.owner.post("/v1/heartbeats", body), 202)["watched_ratio"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"watched": [[2, 1]]},
        {"watched": [[-1, 1]]},
        {"watched": [[0, 1, 2]]},
        {"watched": [[0, "x"]]},
        {"watched": [[0, 1e9]]},
        {"watched": [[0, 1]] * 201},
        {"watched": [[0, None]]},
        {"position_s": -1},
        {"position_s": 1e300},
        {"playback_id": "x"},
        {"speed": 2},
    ],
)
async def test_what_cannot_be_is_refused(cinema: Cinema, wrong: dict[str, Any]) -> None:
    body = {"playback_id": str(new_id()), "position_s": 1, "watched": [[0, 1]]} | wrong
    problem(await cinema.owner.post("/v1/heartbeats", body), 422)


async def test_numbers_that_are_none_are_refused(cinema: Cinema) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        text = f'{{"playback_id": "{new_id()}", "position_s": {number}, "watched": [[0, {number}]]}}'
        answer = await cinema.owner.client.post(
            "/v1/heartbeats", content=text, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422), number


async def test_redis_that_goes_away_in_the_middle_costs_nobody_their_completion(
    hub: Hub, cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    await watch(viewer, playback, 3, (0, 5))
    await _write_all(hub, viewer)

    async def away(*_: Any) -> None:
        raise cache.CacheUnavailable("gone")

    monkeypatch.setattr(cache, "list_unwritten", away)
    await watch(viewer, playback, 9, (5, 10))
    assert counted(await progress_of(viewer)) == (1, 2, 50)


async def test_another_film_in_the_block_is_watched_anew(hub: Hub, film_content: bytes) -> None:
    cinema = await new_cinema(hub, film_content)
    viewer = await cinema.learner()
    await watch(viewer, await cinema.watch(viewer.person), 5, (0, 8), position_s=8)
    second = await new_film(cinema.teacher, film_content)
    path = f"/v1/blocks/{cinema.film}"
    etag = (await cinema.owner.get(path)).headers["etag"]
    done(await cinema.owner.patch(path, {"body": {"video_id": second}}, headers={"If-Match": etag}))
    await cinema.publish()
    playback = await cinema.watch(viewer.person)
    # Later than all that was heard of the first film, however soon this playback followed.
    await watch(viewer, playback, 6, (7, 10), position_s=10)
    assert counted(await progress_of(viewer)) == (0, 2, 0)
    assert (await progress_of(viewer))["resume"] == {"block_id": cinema.film, "position_s": 10}
    await watch(viewer, playback, 12, (0, 7), position_s=7)
    assert counted(await progress_of(viewer)) == (1, 2, 50)


async def test_who_left_finishes_nothing_until_they_are_back(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    await mark(viewer, cinema.text)
    playback = await cinema.watch(viewer.person)
    done(await viewer.person.post(f"/v1/enrollments/{viewer.enrollment_id}/cancel"))
    await hub.settle()
    await hub.broadcasts_arrived()
    with pytest.raises(PlaybackNotFound):
        await watch(viewer, playback, 9, (0, 10))
    assert counted(await progress_of(viewer)) == (1, 2, 50)
    done(await viewer.person.post("/v1/enrollments", {"run_id": cinema.run_id}))
    await watch(viewer, playback, 9, (0, 10))
    await hub.settle()
    assert await state_of(viewer) == "completed"


async def test_what_is_watched_is_found_by_index() -> None:
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL enable_seqscan = off")
        key = {"enrollment_id": new_id(), "block_id": new_id(), "video_id": new_id()}
        found = await tx.rows("EXPLAIN " + store.FIND_WATCHED, **key)
        listed = await tx.rows("EXPLAIN " + store.LIST_WATCHED, enrollment_id=new_id())

    for rows in (found, listed):
        assert "watched_pkey" in "\n".join(row[0] for row in rows)
