"""Films are deleted when nothing uses them, with their uploads, and come back for 30 days."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from api.media.video_processing import logic, store
from api.media.video_processing.transcode.pieces import Piece
from cluster.base.ids import new_id
from cluster.data.objects import bucket
from cluster.data.postgres import pool
from cluster.jobs.run import run_due_jobs
from cluster.jobs.things import sweep
from tests.api.learning.course.conftest import add_block
from tests.api.media.video_processing.conftest import Counting, FilmMaker, Teacher, video_id_of, work
from tests.harness import Hub, done, problem

pytestmark = pytest.mark.usefixtures("executor")


async def ready(teacher: Teacher, content: bytes) -> dict[str, Any]:
    video = await teacher.new_video(content)
    await work()
    return await teacher.video(video["id"])


async def used_bytes(teacher: Teacher) -> int:
    return await pool().fetchval("SELECT used_bytes FROM media.quotas WHERE holder_id = $1", teacher.school.org_id)


async def objects_of(name: str, id: str) -> int:
    return len([stored.key async for stored in bucket(name).list(f"{id}/")])


async def let_time_pass(days: int, *ids: str) -> None:
    await pool().execute(
        "UPDATE hub.things SET purge_at = purge_at - $1::interval WHERE id = ANY($2::uuid[])",
        *(timedelta(days=days), [UUID(id) for id in ids]),
    )


async def add_film(teacher: Teacher, video_id: str) -> str:
    """Put a film into the course's outline and return its block."""
    module = await add_block(teacher.person, teacher.course_id, None, "module")
    lesson = await add_block(teacher.person, teacher.course_id, module, "lesson")
    return await add_block(teacher.person, teacher.course_id, lesson, "video", body={"video_id": video_id})


async def test_a_published_film_survives_its_deletion(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    video = await ready(teacher, await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    block = await add_film(teacher, video["id"])
    drafted = problem(await teacher.person.delete(path), 409, "thing-in-use")
    done(await teacher.person.post(f"/v1/courses/{teacher.course_id}/publish"))
    assert (await teacher.person.delete(f"/v1/blocks/{block}")).status_code == 204

    refused = problem(await teacher.person.delete(path), 409, "thing-in-use")
    listed = done(await teacher.person.get(f"{path}/uses"))

    assert ([use["id"] for use in drafted["used_by"]], drafted["others"]) == ([block], 0)
    assert [(use["kind"], use["course_id"]) for use in refused["used_by"]] == [("outline", teacher.course_id)]
    assert listed == {"items": refused["used_by"], "others": 0}
    assert (await teacher.video(video["id"]))["state"] == "ready"
    await hub.settle()


async def test_a_deleted_film_frees_its_room_and_can_be_restored(teacher: Teacher, film: FilmMaker) -> None:
    content = await film(duration_s=2)
    video = await ready(teacher, content)
    path, upload = f"/v1/videos/{video['id']}", f"/v1/assets/{video['asset_id']}"
    assert (await teacher.person.delete(path)).status_code == 204
    await run_due_jobs(("media",))
    for gone in (path, upload, f"{path}/poster", f"{path}/uses"):
        problem(await teacher.person.get(gone), 404)
    assert await used_bytes(teacher) == 0

    restored = done(await teacher.person.post(f"{path}/restore"))

    assert (restored["state"], restored["duration_s"]) == ("ready", video["duration_s"])
    assert done(await teacher.person.get(upload))["in_use"]
    assert await used_bytes(teacher) == len(content)
    assert (await teacher.person.get(f"{path}/poster")).status_code == 200


async def test_deleting_stops_a_running_transcode(teacher: Teacher, executor: Counting, film: FilmMaker) -> None:
    video = await teacher.new_video(await film(duration_s=4))
    path = f"/v1/videos/{video['id']}"

    async def delete(_: Piece) -> None:
        if executor.began.total() == 1:
            assert (await teacher.person.delete(path)).status_code == 204

    executor.one_at_a_time, executor.before = True, delete
    await work()
    assert executor.began.total() < 5
    executor.before = None

    restored = done(await teacher.person.post(f"{path}/restore"))
    done(await teacher.person.post(f"{path}/retry"))
    await work()

    assert restored["state"] == "cancelled"
    assert (await teacher.video(video["id"]))["state"] == "ready"


async def test_restoring_rejects_a_film_whose_upload_has_another(teacher: Teacher, film: FilmMaker) -> None:
    video = await ready(teacher, await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    assert (await teacher.person.delete(path)).status_code == 204
    another = done(await teacher.person.post("/v1/videos", {"asset_id": video["asset_id"]}), 201)

    problem(await teacher.person.post(f"{path}/restore"), 409, "upload-has-film")

    assert another["id"] != video["id"]
    problem(await teacher.person.get(path), 404, "video-not-found")
    done(await teacher.person.post(f"/v1/videos/{another['id']}/cancel"))


async def test_the_purge_deletes_a_film_and_resumes_after_a_crash(
    teacher: Teacher, film: FilmMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = await ready(teacher, await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    assert (await teacher.person.delete(path)).status_code == 204
    await run_due_jobs(("media",))
    await let_time_pass(30, video["id"], video["asset_id"])

    async def killed(*_: object) -> None:
        raise ConnectionResetError("killed between the objects and the rows")

    async def beat() -> None: ...

    with monkeypatch.context() as patched:
        patched.setattr(store, "delete_purged", killed)
        with pytest.raises(ConnectionResetError):
            await logic.purge(video_id_of(video), beat=beat)
    assert await objects_of(logic.BUCKET, video["id"]) == 0
    problem(await teacher.person.post(f"{path}/restore"), 404)
    assert await sweep() == 2
    await run_due_jobs(("media", "video_processing"))

    left = await pool().fetchval(
        """SELECT (SELECT count(*) FROM video_processing.videos WHERE id = $1)
                + (SELECT count(*) FROM video_processing.streams WHERE video_id = $1)
                + (SELECT count(*) FROM media.assets WHERE id = $2)
                + (SELECT count(*) FROM hub.things WHERE id = ANY(ARRAY[$1, $2]))""",
        *(UUID(video["id"]), UUID(video["asset_id"])),
    )
    assert (left, await objects_of("media", video["asset_id"])) == (0, 0)


async def test_a_film_that_was_not_committed_keeps_no_upload(
    teacher: Teacher, film: FilmMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await teacher.upload(await film(duration_s=2))

    async def killed(*_: object) -> None:
        raise ConnectionResetError("killed before the commit")

    with monkeypatch.context() as patched:
        patched.setattr(logic, "changed", killed)
        assert (await teacher.person.post("/v1/videos", {"asset_id": asset_id})).status_code >= 500

    assert done(await teacher.person.get(f"/v1/assets/{asset_id}"))["in_use"] is False


async def test_deleting_is_for_editors_and_done_once(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    video = await ready(teacher, await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    assistant = await hub.person("assistant")
    done(await teacher.person.put(f"/v1/courses/{teacher.course_id}/staff/{assistant.id}", {"role": "assistant"}))
    await hub.settle()
    await hub.broadcasts_arrived()
    problem(await assistant.delete(path), 403)
    key = {"Idempotency-Key": str(new_id())}

    answers = [await teacher.person.delete(path, headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    problem(await assistant.post(f"{path}/restore"), 403)
    problem(await teacher.person.delete(path), 404, "video-not-found")
    assert [event.type for event in await hub.events("video.deleted")] == ["video.deleted"]
    await hub.settle()
