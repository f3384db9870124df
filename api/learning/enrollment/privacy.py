"""Personal data that enrollment keeps: who learns where."""

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
)
