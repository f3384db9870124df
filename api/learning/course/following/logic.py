"""Tell the followers of a working copy that it changed."""

from api.learning.course.contract import CourseId
from api.learning.course.following import store
from api.learning.course.rules import TOPIC
from cluster.data import Transaction
from cluster.signals.rooms import tell


async def tell_followers(tx: Transaction, course_id: CourseId) -> None:
    """Tell them, after a change of its fields or its outline."""
    seq = await store.find_seq(tx, course_id)
    if seq is not None:
        tell(tx, TOPIC, course_id, seq)
