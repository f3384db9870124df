"""Personal data that progress keeps: what somebody learned."""

from cluster.people.privacy import PersonalData

_GROUND = "the organization's record of completed training, where it declares one; else deleted"

PERSONAL_DATA = (
    PersonalData(
        table="progress.learners",
        person="user_id",
        columns=("user_id", "learns", "completed_at", "completed_revision"),
        purpose="ties progress to the learner, and keeps when they finished",
        kept="until the person or the organization erases it",
        erasure="keep",
        ground=_GROUND,
    ),
    PersonalData(
        table="progress.completions",
        person="user_id",
        columns=("user_id", "block_id", "block_version", "completed_at"),
        purpose="shows the learner and their teachers what is done",
        kept="until the person or the organization erases it",
        erasure="keep",
        ground=_GROUND,
    ),
    PersonalData(
        table="progress.watched",
        person="user_id",
        columns=("user_id", "block_id", "video_id", "ranges", "position_ms", "heard_at"),
        purpose="lets the learner go on where they stopped, and tells when a film is done",
        kept="until the person or the organization erases it",
        erasure="delete",
    ),
)
