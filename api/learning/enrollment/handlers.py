"""What enrollment hears: somebody finished."""

from api.learning.enrollment import logic
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import ProgressCompleted
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(ProgressCompleted)
async def on_progress_completed(tx: Transaction, envelope: Envelope, event: ProgressCompleted) -> None:
    await logic.complete(tx, EnrollmentId(event.enrollment_id), event.revision)
