from pathlib import Path

import av

from api.media.video_processing.contract import VideoCalls
from api.media.video_processing.logic import BUCKET
from api.media.video_processing.rules import take_prefix
from cluster.base.ids import new_id
from cluster.data.objects import Bucket, bucket
from cluster.people.calls import client
from tests.api.media.video_processing.conftest import Counting, FilmMaker, Teacher, video_id_of, work
from tests.harness import Hub, done, problem


async def test_an_upload_becomes_a_film_that_plays(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker, tmp_path: Path
) -> None:
    content = await film(duration_s=3)
    await hub.settle()
    video = await teacher.new_video(content)
    assert (video["state"], video["progress"], video["renditions"], video["error"]) == ("queued", 0, [], None)
    await work()
    ready = await teacher.video(video["id"])
    assert (ready["state"], ready["progress"], ready["error"]) == ("ready", 1, None)
    assert 2.9 < ready["duration_s"] < 3.2
    assert [(each["width"], each["height"]) for each in ready["renditions"]] == [(320, 180)]
    assert ready["renditions"][0]["codecs"].startswith("avc1.64")

    stream = await client(VideoCalls).find_stream(video_id_of(video))
    assert stream is not None
    assert (stream.duration_s, str(stream.course_id)) == (ready["duration_s"], teacher.course_id)
    stored = {each.key async for each in Bucket(stream.bucket).list(stream.key_prefix)}
    assert {f"{stream.key_prefix}{path}" for path in stream.playlists} <= stored
    for path, text in stream.playlists.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    for key in stored:
        (tmp_path / key.removeprefix(stream.key_prefix)).write_bytes(await Bucket(stream.bucket).read(key))
    with av.open(str(tmp_path / "master.m3u8")) as playing:
        assert sum(1 for _ in playing.decode(video=0)) == 75
    with av.open(str(tmp_path / "audio" / "index.m3u8")) as playing:
        assert sum(frame.samples for frame in playing.decode(audio=0)) > 2.9 * 48_000


async def test_its_events_tell_numbers_and_no_names(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    content = await film(duration_s=3)
    await hub.settle()
    video = await teacher.new_video(content)
    await work()
    created, processed = await hub.events("video.created", "video.processed")
    where = {"video_id": video["id"], "org_id": str(teacher.school.org_id), "course_id": teacher.course_id}
    assert created.payload == where | {"asset_id": video["asset_id"]}
    assert (created.actor.kind, created.actor.id) == ("person", teacher.person.id)
    size = processed.payload.pop("size_bytes")
    duration_s = processed.payload.pop("duration_s")
    assert processed.payload == where | {"take": 1, "heights": [180]}
    assert size > 10_000
    assert 2.9 < duration_s < 3.2
    assert processed.version > created.version
    await hub.settle()


async def test_the_poster_is_for_those_who_may_see_the_film(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=3))
    path = f"/v1/videos/{video['id']}/poster"
    problem(await teacher.person.get(path), 404, "poster-not-found")
    await work()
    assert (await teacher.video(video["id"]))["poster_url"] == path
    poster = await teacher.person.get(path)
    assert (poster.status_code, poster.headers["content-type"]) == (200, "image/jpeg")
    assert poster.content.startswith(b"\xff\xd8")
    again = await teacher.person.get(path, headers={"If-None-Match": poster.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    problem(await (await hub.person()).get(path), 404)


async def test_a_film_in_an_inexact_container_leaves_no_copy(
    teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film("film.ts", duration_s=2), "video/mp2t")
    await work()
    assert (await teacher.video(video["id"]))["state"] == "ready"
    keys = [each.key async for each in bucket(BUCKET).list(take_prefix(video_id_of(video), 1))]
    assert keys
    assert [key for key in keys if key.endswith(".mkv")] == []


async def test_an_upload_has_one_film(teacher: Teacher, film: FilmMaker) -> None:
    asset_id = await teacher.upload(await film(duration_s=2))
    headers = {"Idempotency-Key": str(new_id())}
    first = await teacher.person.post("/v1/videos", {"asset_id": asset_id}, headers=headers)
    replayed = await teacher.person.post("/v1/videos", {"asset_id": asset_id}, headers=headers)
    again = await teacher.person.post("/v1/videos", {"asset_id": asset_id})
    video_id = done(first, 201)["id"]
    assert first.headers["location"] == f"/v1/videos/{video_id}"
    assert done(replayed, 201)["id"] == video_id
    assert replayed.headers["idempotent-replayed"] == "true"
    assert done(again, 200)["id"] == video_id
    assert done(await teacher.person.get(f"/v1/assets/{asset_id}"))["in_use"]
    problem(await teacher.person.delete(f"/v1/assets/{asset_id}"), 409, "thing-in-use")
    done(await teacher.person.post(f"/v1/videos/{video_id}/cancel"))


async def test_list_shows_the_films_of_a_course_newest_first(teacher: Teacher, film: FilmMaker) -> None:
    content = await film(duration_s=2)
    ids = [(await teacher.new_video(content))["id"] for _ in range(3)]
    for query in ({"course_id": teacher.course_id}, {"organization_id": str(teacher.school.org_id)}):
        first = done(await teacher.person.get("/v1/videos", params=query | {"limit": 2}))
        rest = done(await teacher.person.get("/v1/videos", params=query | {"cursor": first["next_cursor"], "limit": 2}))
        assert [video["id"] for video in first["items"] + rest["items"]] == ids[::-1]
        assert rest["next_cursor"] is None
    done(await teacher.person.post(f"/v1/videos/{ids[0]}/cancel"))
    queued = {"course_id": teacher.course_id, "state": "queued"}
    assert [each["id"] for each in done(await teacher.person.get("/v1/videos", params=queued))["items"]] == ids[:0:-1]
    chosen = {"id": ",".join(ids[:2])}
    assert len(done(await teacher.person.get("/v1/videos", params=chosen))["items"]) == 2
    for video_id in ids[1:]:
        done(await teacher.person.post(f"/v1/videos/{video_id}/cancel"))
