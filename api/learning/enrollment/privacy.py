"""Personal data that enrollment keeps: who learns where."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="enrollment.enrollments",
        person="user_id",
        columns=("user_id", "state", "suspended_at", "completed_at", "created_at"),
        purpose="lets a learner in, and tells the organization who learned what",
        kept="until the person or the organization erases it",
        erasure="keep",
        ground="the organization's record of completed training, where it declares one; else deleted",
    ),
)
