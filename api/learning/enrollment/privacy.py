"""Personal data that enrollment keeps: enrolments, and memberships that are shut out."""

from api.learning.enrollment import logic
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="enrollment.enrollments",
        person="user_id",
        columns=(
            *(
                "user_id",
                "org_id",
                "course_id",
                "run_id",
                "state",
                "suspended_at",
                "completed_at",
                "completed_revision",
            ),
            "created_at",
        ),
        purpose="lets a learner in, and tells the organization who learned what",
        kept="until the person or the organization erases it",
        erasure="delete",
        keep_where="completed_at IS NOT NULL",
        ground="the organization's record of completed training (GDPR, article 6(1)(f)), until it lets them go itself",
        organization="org_id",
        let_go="delete",
        merge="move_unless_present",
    ),
    PersonalData(
        table="enrollment.members",
        person="user_id",
        columns=("user_id", "org_id", "shut_out"),
        purpose="keeps out whom an organization suspended or removed",
        kept="as long as the organization",
        erasure="keep",
        ground="the organization's records of whom it shut out (GDPR, article 6(1)(f))",
        organization="org_id",
        merge="move_unless_present",
    ),
    PersonalData(
        table="enrollment.bans",
        person="user_id",
        columns=("user_id", "org_id", "decision_id", "banned", "reversed", "until_at"),
        purpose="keeps out whom the moderators of an organization banned",
        kept="as long as the account",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
)


async def erase(run: JobRun, request: Erasing) -> None:
    """Leave every run before the rows are deleted, so that seats come back and events tell of it."""
    await logic.leave_all(run.principal, request.user_id, request.org_id)
