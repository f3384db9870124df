import pytest

from cluster.base.ids import new_id
from tests.api.media.video_processing.conftest import Counting, FilmMaker, Teacher, new_teacher, work
from tests.harness import Hub, done, problem

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


async def test_what_is_no_film_is_refused_by_its_type(teacher: Teacher) -> None:
    wave = b"RIFF\x24\x08\x00\x00WAVEfmt " + bytes(2000)
    sound = await teacher.upload(wave, "audio/wav")
    refused = problem(await teacher.person.post("/v1/videos", {"asset_id": sound}), 422, "file-is-no-film")
    assert refused["reason"] == "no-video"
    assert refused["errors"][0]["pointer"] == "/asset_id"
    playlist = await teacher.upload(PLAYLIST, "video/mp4")
    problem(await teacher.person.post("/v1/videos", {"asset_id": playlist}), 422, "asset-rejected")


async def test_an_upload_must_be_ready(teacher: Teacher, film: FilmMaker) -> None:
    asset_id = await teacher.upload(await film(duration_s=2), check=False)
    problem(await teacher.person.post("/v1/videos", {"asset_id": asset_id}), 409, "asset-not-ready")
    problem(await teacher.person.post("/v1/videos", {"asset_id": str(new_id())}), 404, "asset-not-found")
    problem(await teacher.person.post("/v1/videos", {"asset_id": asset_id, "colour": "red"}), 422)


async def test_who_may_what(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    stranger = (await new_teacher(hub)).person
    learner = await hub.person("learner")
    instructor, assistant = await hub.person("instructor"), await hub.person("assistant")
    for person, role in ((instructor, "instructor"), (assistant, "assistant")):
        done(await teacher.person.put(f"/v1/courses/{teacher.course_id}/staff/{person.id}", {"role": role}))
    await hub.settle()
    await hub.broadcasts_arrived()
    asset_id = await teacher.upload(await film(duration_s=2))
    new = {"asset_id": asset_id}
    for person, status in ((stranger, 404), (learner, 404), (hub.guest, 401), (assistant, 403)):
        problem(await person.post("/v1/videos", new), status)
    video = done(await instructor.post("/v1/videos", new), 201)
    path = f"/v1/videos/{video['id']}"
    for person, status in ((stranger, 404), (learner, 404), (hub.guest, 401)):
        for answer in (
            await person.get(path),
            await person.get(f"{path}/events"),
            await person.get(f"{path}/poster"),
            await person.post(f"{path}/cancel"),
            await person.post(f"{path}/retry"),
        ):
            problem(answer, status)
    for person, count in ((stranger, 0), (learner, 0), (assistant, 1), (instructor, 1)):
        listed = done(await person.get("/v1/videos", params={"course_id": teacher.course_id}))
        assert len(listed["items"]) == count
    problem(await hub.guest.get("/v1/videos"), 401)
    assert done(await assistant.get(path))["state"] == "queued"
    for verb in ("cancel", "retry"):
        problem(await assistant.post(f"{path}/{verb}"), 403, "forbidden")
    assert done(await instructor.post(f"{path}/cancel"))["state"] == "cancelled"


HOSTILE = {
    "half of a film": ("truncated", "damaged", "not-a-film"),
    "noise that begins like a film": ("not-a-film", "truncated", "damaged"),
    "a point": ("too-small",),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
async def test_a_hostile_film_fails_in_words(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker, kind: str
) -> None:
    whole = await film(duration_s=2)
    tiny = await film("tiny.mkv", width=2, height=2, duration_s=1, sound=False, video=("-c:v", "ffv1"))
    content = {
        "half of a film": whole[: len(whole) // 2],
        "noise that begins like a film": whole[:64] + bytes(range(256)) * 64,
        "a point": tiny,
    }[kind]
    await hub.settle()
    video = await teacher.new_video(content)
    await work()
    failed = await teacher.video(video["id"])
    assert failed["state"] == "failed"
    assert failed["error"]["code"] in HOSTILE[kind]
    assert failed["error"]["detail"].startswith(("The film", "This file", "There is"))
    assert failed["error"]["retryable"] is False
    assert executor.began.total() == 0
    assert done(await teacher.person.get(f"/v1/assets/{video['asset_id']}"))["in_use"] is False
    (told,) = await hub.events("video.failed")
    assert told.payload["code"] == failed["error"]["code"]
    problem(await teacher.person.post(f"/v1/videos/{video['id']}/retry"), 409, "video-not-retryable")
    problem(await teacher.person.post(f"/v1/videos/{video['id']}/cancel"), 409, "video-is-finished")
    await hub.settle()
