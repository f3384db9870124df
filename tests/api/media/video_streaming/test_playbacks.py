"""Who is let in to a film, and for how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.contract import BlockId
from api.media.video_processing.contract import Video, VideoCalls, VideoId
from api.media.video_streaming import logic, rules, store
from api.media.video_streaming.contract import PlaybackId, VideoStreamingCalls
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.base.problems import NotFound
from cluster.data import read, write
from cluster.people import org_settings
from cluster.people.calls import client
from tests.api.learning.course.conftest import add_block, new_course
from tests.api.media.video_streaming.conftest import DURATION_S, Cinema
from tests.harness import Hub, done, problem
from tests.org_settings import change, in_process, settings_of


async def test_a_learner_starts_a_playback_that_other_services_can_look_up(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    await hub.settle()
    answer = await viewer.person.post("/v1/playbacks", {"block_id": cinema.film, "run_id": cinema.run_id})
    playback = done(answer, 201)
    assert answer.headers["cache-control"] == "no-store"
    assert playback["playback_url"].startswith("/v1/playbacks/-/")
    assert done(await viewer.person.get(answer.headers["location"])) == playback
    lifetime = datetime.fromisoformat(playback["expires_at"]) - datetime.fromisoformat(playback["created_at"])
    assert lifetime == timedelta(hours=4)

    found = await client(VideoStreamingCalls).find_playback(PlaybackId(UUID(playback["id"])))
    assert found is not None
    assert (found.user_id, str(found.enrollment_id)) == (viewer.person.id, viewer.enrollment_id)
    assert (str(found.block_id), found.min_ratio) == (cinema.film, 0.9)
    assert abs(found.duration_s - DURATION_S) < 0.2
    [started] = await hub.events("playback.started")
    assert (started.subject, started.payload["block_id"]) == (playback["id"], cinema.film)
    await hub.settle()


async def test_who_is_not_enrolled_is_refused_and_what_is_unknown_is_not_found(hub: Hub, cinema: Cinema) -> None:
    stranger = await hub.person("stranger")
    new = {"block_id": cinema.film, "run_id": cinema.run_id}
    problem(await stranger.post("/v1/playbacks", new), 403)
    problem(await hub.guest.post("/v1/playbacks", new), 401)
    problem(await stranger.post("/v1/playbacks", new | {"run_id": str(new_id())}), 404)
    viewer = await cinema.learner()
    problem(await viewer.person.post("/v1/playbacks", new | {"block_id": str(new_id())}), 404, "block-not-found")
    problem(await viewer.person.post("/v1/playbacks", new | {"block_id": cinema.text}), 409, "block-has-no-film")
    for wrong in ({}, {"block_id": cinema.film}, new | {"video_id": cinema.video_id}):
        problem(await viewer.person.post("/v1/playbacks", wrong), 422)


async def test_a_token_starts_what_it_is_for_and_nothing_in_another_organization(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    run_id, film = UUID(cinema.run_id), BlockId(UUID(cinema.film))
    learner = Principal(kind="person", id=viewer.person.id)
    now = datetime.now(UTC)
    for token in (replace(learner, bound_org=OrgId(new_id())), replace(learner, scopes=frozenset({"course:read"}))):
        with pytest.raises(NotFound):
            await logic.play_block(token, run_id, film, now)
    here = replace(learner, bound_org=OrgId(cinema.teacher.school.org_id), scopes=frozenset({"playback:start"}))
    assert (await logic.play_block(here, run_id, film, now)).user_id == viewer.person.id
    await hub.settle()


async def test_whoever_left_starts_no_playback_from_that_moment_on(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    done(await viewer.person.post(f"/v1/enrollments/{viewer.enrollment_id}/cancel"))
    # No broadcast has arrived, no cache has run out: the owner of the relation is asked.
    new = {"block_id": cinema.film, "run_id": cinema.run_id}
    problem(await viewer.person.post("/v1/playbacks", new), 403)


async def test_who_edits_the_film_previews_it_and_nobody_else(hub: Hub, cinema: Cinema) -> None:
    playback = done(await cinema.owner.post("/v1/playbacks", {"video_id": cinema.video_id}), 201)
    assert (playback["block_id"], playback["run_id"]) == (None, None)
    found = await client(VideoStreamingCalls).find_playback(PlaybackId(UUID(playback["id"])))
    assert found is not None
    assert found.enrollment_id is None
    viewer = await cinema.learner()
    for person in (viewer.person, await hub.person("stranger")):
        problem(await person.post("/v1/playbacks", {"video_id": cinema.video_id}), 404, "film-not-found")
    problem(await cinema.owner.post("/v1/playbacks", {"video_id": str(new_id())}), 404, "film-not-found")


async def test_a_teacher_who_is_not_enrolled_watches_without_progress(cinema: Cinema) -> None:
    playback = await cinema.watch(cinema.owner)
    found = await client(VideoStreamingCalls).find_playback(PlaybackId(UUID(playback["id"])))
    assert found is not None
    assert (found.enrollment_id, str(found.run_id)) == (None, cinema.run_id)


async def test_a_playback_is_its_persons_own(hub: Hub, cinema: Cinema) -> None:
    viewer, other = await cinema.learner(), await cinema.learner()
    playback = await cinema.watch(viewer.person)
    for person in (other.person, cinema.owner):
        problem(await person.get(f"/v1/playbacks/{playback['id']}"), 404, "playback-not-found")


async def test_everybody_lists_their_own_playbacks_newest_first(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playbacks = [await cinema.watch(viewer.person) for _ in range(3)]
    page = done(await viewer.person.get("/v1/playbacks?limit=2"))
    rest = done(await viewer.person.get("/v1/playbacks", params={"limit": 2, "cursor": page["next_cursor"]}))
    assert page["items"] + rest["items"] == playbacks[::-1]
    assert rest["next_cursor"] is None
    wanted = {"id": f"{playbacks[1]['id']},{new_id()}"}
    assert done(await viewer.person.get("/v1/playbacks", params=wanted))["items"] == [playbacks[1]]
    assert done(await cinema.owner.get("/v1/playbacks", params=wanted))["items"] == []
    problem(await hub.guest.get("/v1/playbacks"), 401)


async def test_the_same_idempotency_key_answers_the_same_playback(cinema: Cinema) -> None:
    viewer = await cinema.learner()
    new = {"block_id": cinema.film, "run_id": cinema.run_id}
    key = {"Idempotency-Key": new_id().hex}
    first = done(await viewer.person.post("/v1/playbacks", new, headers=key), 201)
    again = await viewer.person.post("/v1/playbacks", new, headers=key)
    assert (done(again, 201), again.headers["idempotent-replayed"]) == (first, "true")


@pytest.mark.parametrize("state", ["queued", "processing", "failed", "cancelled"])
async def test_a_film_that_is_not_ready_is_not_played(cinema: Cinema, state: str) -> None:
    content = await cinema.teacher.upload(b"\x00\x00\x00\x20ftypisom" + new_id().bytes * 100)
    video = done(await cinema.owner.post("/v1/videos", {"asset_id": content}), 201)
    async with read() as db:
        await db.run(
            "UPDATE video_processing.videos SET state = $2, error_code = $3 WHERE id = $1",
            UUID(video["id"]),
            state,
            "broken" if state == "failed" else None,
        )
        await db.run(
            "UPDATE hub.jobs SET state = 'cancelled' WHERE kind = 'video_processing.transcode' AND state = 'queued'"
        )
    problem(await cinema.owner.post("/v1/playbacks", {"video_id": video["id"]}), 409, "film-not-ready")


async def test_playbacks_go_thirty_days_after_they_expired(cinema: Cinema) -> None:
    viewer = await cinema.learner()
    playback = await cinema.watch(viewer.person)
    playback_id = PlaybackId(UUID(playback["id"]))
    end = datetime.fromisoformat(playback["expires_at"])
    await logic.purge_expired(PLATFORM, end + timedelta(days=30), 1000)
    assert await logic.find_playback(playback_id) is not None
    await logic.purge_expired(PLATFORM, end + timedelta(days=30, seconds=1), 1000)
    assert await logic.find_playback(playback_id) is None


async def test_an_address_lives_four_hours_or_twice_the_film() -> None:
    now, four_hours = datetime.now(UTC), timedelta(hours=4)

    assert rules.expiry(now, 60, four_hours) == now + four_hours
    assert rules.expiry(now, 3 * 3600, four_hours) == now + timedelta(hours=6)


async def test_an_address_lives_as_long_as_the_organization_says(hub: Hub, cinema: Cinema) -> None:
    viewer, elsewhere = await cinema.learner(), org_settings.new_cache()

    async def hours_of_one() -> float:
        playback = await cinema.watch(viewer.person)
        lives = datetime.fromisoformat(playback["expires_at"]) - datetime.fromisoformat(playback["created_at"])
        return lives / timedelta(hours=1)

    with in_process(elsewhere):
        before = await hours_of_one()
    course = done(await cinema.owner.get(f"/v1/courses/{cinema.teacher.course_id}"))
    path = settings_of(course["organization_id"])
    done(await change(cinema.owner, path, {"video_streaming.address_hours": 9}))
    await hub.broadcasts_arrived()

    assert (before, await hours_of_one()) == (4, 9)
    with in_process(elsewhere):
        assert await hours_of_one() == 9
    done(await change(cinema.owner, path, {"video_streaming.address_hours": None}))


async def test_starting_takes_few_statements(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    await cinema.watch(viewer.person)
    with hub.statements() as counted:
        await cinema.watch(viewer.person)
    begin, commit = counted.sql.index("BEGIN"), counted.sql.index("COMMIT")
    assert len(counted.sql[begin : commit + 1]) == 4, "BEGIN, the playback, its event, COMMIT"
    assert begin <= 6, counted.sql


async def test_playbacks_are_found_by_index() -> None:
    queries: tuple[tuple[str, dict[str, Any]], ...] = (
        (store.DELETE_EXPIRED, {"before": datetime.now(UTC), "limit": 10}),
        (store.LIST_PLAYBACKS, {"everywhere": False, "own": new_id(), "ids": None, "before": None, "limit": 21}),
        (store.FIND_PLAYBACK, {"playback_id": new_id()}),
    )
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL enable_seqscan = off")
        for sql, args in queries:
            plan = "\n".join(row[0] for row in await tx.rows("EXPLAIN " + sql, **args))
            assert "Index" in plan, plan
            assert "Seq Scan" not in plan, plan


async def test_a_film_of_another_course_cannot_be_brought_in(hub: Hub, cinema: Cinema) -> None:
    video = await client(VideoCalls).find_video(VideoId(UUID(cinema.video_id)))
    assert isinstance(video, Video)
    other = await hub.school()
    course = await new_course(other)
    module = await add_block(other.owner, course["id"], None, "module")
    lesson = await add_block(other.owner, course["id"], module, "lesson")
    refused = {
        "course_id": course["id"],
        "parent_id": lesson,
        "type": "video",
        "title": "Stolen",
        "body": {"video_id": cinema.video_id},
    }
    assert (await other.owner.post("/v1/blocks", refused)).status_code in (404, 422)
    problem(await other.owner.post("/v1/playbacks", {"video_id": cinema.video_id}), 404, "film-not-found")
