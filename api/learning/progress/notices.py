"""What learners are told of their scores."""

from typing import Any
from uuid import UUID

from api.learning.progress.contract import ScoreReleased
from api.learning.progress.score import store
from cluster.data import read
from cluster.people.notices import Notice, NoticeText, Reader
from cluster.people.wording import worded

NOTICES = (
    Notice(
        name="score.released",
        title="One of your scores is available",
        event=ScoreReleased,
        category="learning",
        # Many scores of a run at once are one group of a digest.
        topic="run_id",
    ),
)


async def texts(notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
    """Return the words while the learner may see a score of that line item, and none when it is withdrawn or hidden."""
    async with read() as db:
        told = await store.find_told(db, UUID(event["result_id"]))
    if told is None:
        return []
    its_learner = [each for each in readers if each.user_id == told.user_id]
    return worded(
        "progress",
        notice,
        its_learner,
        url=f"/runs/{told.run_id}/scores",
        org_id=told.org_id,
        course_id=told.course_id,
        label=told.label,
    )
