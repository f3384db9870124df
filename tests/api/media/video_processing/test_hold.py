"""Legal holds of films: they stop the purge, and only owners and administrators of the organization place them."""

from uuid import UUID

import pytest

from api.media.video_processing import logic
from cluster.data.postgres import pool
from cluster.jobs.run import run_due_jobs
from cluster.jobs.things import sweep
from tests.api.media.video_processing.conftest import FilmMaker, Teacher, video_id_of
from tests.api.media.video_processing.test_deletion import let_time_pass, objects_of, ready
from tests.harness import Hub, done, problem

pytestmark = pytest.mark.usefixtures("executor")

REASON = {"reason": "complaint 17"}


async def test_a_held_film_is_purged_only_after_its_release(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    async def beat() -> None: ...

    video = await ready(teacher, await film(duration_s=2))
    path, hold = f"/v1/videos/{video['id']}", f"/v1/videos/{video['id']}/hold"

    placed = done(await teacher.person.put(hold, REASON))
    changed = done(await teacher.person.put(hold, {"reason": "lawsuit 3"}))

    assert placed == REASON | {"held_at": placed["held_at"]}
    assert changed == {"reason": "lawsuit 3", "held_at": placed["held_at"]}
    assert (await teacher.person.delete(path)).status_code == 204
    await run_due_jobs(("media",))
    await let_time_pass(31, video["id"])
    objects = await objects_of(logic.BUCKET, video["id"])
    swept_while_held = await sweep()
    await logic.purge(video_id_of(video), beat=beat)
    assert (swept_while_held, await objects_of(logic.BUCKET, video["id"])) == (0, objects)
    assert objects > 0
    assert done(await teacher.person.get(hold)) == changed

    assert (await teacher.person.delete(hold)).status_code == 204
    assert (await teacher.person.delete(hold)).status_code == 204

    problem(await teacher.person.get(hold), 404, "video-not-held")
    problem(await teacher.person.put(hold, REASON), 404, "video-not-found")
    assert await sweep() == 1
    await run_due_jobs(("video_processing",))
    assert await objects_of(logic.BUCKET, video["id"]) == 0
    events = [each for each in await hub.events("video.held", "video.released") if each.subject == video["id"]]
    payload = {"video_id": video["id"], "org_id": str(teacher.school.org_id), "course_id": teacher.course_id}
    assert [(each.type, each.payload) for each in events] == [
        ("video.held", payload),
        ("video.held", payload),
        ("video.released", payload),
    ]
    await hub.settle()


async def test_hold_rejects_instructors_and_tells_them_nothing(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    video = await ready(teacher, await film(duration_s=2))
    hold = f"/v1/videos/{video['id']}/hold"
    instructor = await hub.person("instructor")
    done(await teacher.person.put(f"/v1/courses/{teacher.course_id}/staff/{instructor.id}", {"role": "instructor"}))
    await hub.settle()
    await hub.broadcasts_arrived()
    done(await teacher.person.put(hold, REASON))

    refused = problem(await instructor.put(hold, REASON), 403)
    problem(await instructor.get(hold), 403)
    problem(await instructor.delete(hold), 403)

    assert refused["permission"] == "video:hold"
    assert "held" not in str(done(await instructor.get(f"/v1/videos/{video['id']}")))
    assert await pool().fetchval("SELECT held FROM hub.things WHERE id = $1", UUID(video["id"]))
    await hub.settle()
