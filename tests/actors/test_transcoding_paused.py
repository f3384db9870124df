"""Operators pause the processing of films: what waits stays, uncounted, and goes on afterwards."""

from api.media.video_processing.contract import Transcode, VideoId
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.data import read, write
from cluster.jobs import enqueue
from tests.api.platform.feature_flag.conftest import declared, operator
from tests.harness import Hub, Person, done

__all__ = ["operator"]


async def test_a_paused_film_waits_and_goes_on_afterwards(hub: Hub, operator: Person) -> None:
    flag = await declared(operator, "video_processing.transcoding")
    done(await operator.post(f"/v1/flags/{flag['id']}/kill"))
    video_id = VideoId(new_id())
    async with write(platform("video_processing")) as tx:
        job_id = enqueue(tx, Transcode(video_id=video_id), dedupe=str(video_id))

    async def state() -> tuple[str, int]:
        async with read() as db:
            [row] = await db.rows("SELECT state, attempts FROM hub.jobs WHERE id = $1", job_id)
        return row["state"], row["attempts"]

    await hub.settle()
    paused = await state()
    done(await operator.post(f"/v1/flags/{flag['id']}/launch"))
    await hub.due_now(str(video_id))
    await hub.settle()

    assert paused == ("queued", 0)
    assert (await state())[0] != "queued"
