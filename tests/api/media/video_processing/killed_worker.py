"""A worker process that a test kills: it runs the jobs of video_processing that are due, one piece at a time."""

import asyncio

from api.media.video_processing.contract import Transcode
from api.media.video_processing.transcode import coordinator
from api.media.video_processing.transcode.pieces import LocalExecutor
from cluster.host import close_process, open_process
from cluster.jobs import JobRun, perform
from cluster.jobs.run import run_due_jobs
from tests.api.media.video_processing.conftest import PIECES


@perform(Transcode)
async def transcode(run: JobRun, args: Transcode) -> None:
    await coordinator.transcode(run, args.video_id, LocalExecutor(cut=PIECES, max_concurrent=1))


async def main() -> None:
    await open_process(("media", "video_processing"), name="killed", connections=4)
    await run_due_jobs(("video_processing",))
    await close_process()


if __name__ == "__main__":
    asyncio.run(main())
