import asyncio
from contextlib import suppress

from api.media.video_processing.seed import seed
from cluster.jobs.run import run_due_jobs
from cluster.seed import DemoPerson, School
from tests.api.media.video_processing.conftest import Counting, Teacher
from tests.harness import Hub


async def test_the_demo_film_is_made_once_and_is_ready(hub: Hub, teacher: Teacher, executor: Counting) -> None:
    async def keep_working() -> None:
        while True:
            await run_due_jobs(("media", "video_processing"))
            await asyncio.sleep(0.1)

    somebody = DemoPerson("", "", teacher.person.client)
    school = School(somebody, somebody, somebody, made={"course": teacher.course_id})
    worker = asyncio.create_task(keep_working())
    try:
        await seed(school)
        video = await teacher.video(school.made["video"])
        assert (video["state"], video["course_id"]) == ("ready", teacher.course_id)
        assert 11.5 < video["duration_s"] < 12.5
        before = executor.began.total()
        await seed(school)
        assert (school.made["video"], executor.began.total()) == (video["id"], before)
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
