"""Personal data that course keeps: who teaches, and who published what."""

from cluster.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="course.staff",
        person="user_id",
        columns=("user_id", "role"),
        purpose="shows who teaches a course",
        kept="while they are on its staff",
        erasure="delete",
    ),
    PersonalData(
        table="course.courses",
        person="created_by",
        columns=("created_by",),
        purpose="tells an organization who created its course",
        kept="as long as the course",
        erasure="keep",
        ground="the organization's records of its own teaching (GDPR, article 6(1)(f))",
    ),
    PersonalData(
        table="course.revisions",
        person="published_by",
        columns=("published_by",),
        purpose="tells an organization who published what",
        kept="as long as the course",
        erasure="keep",
        ground="the organization's records of its own teaching (GDPR, article 6(1)(f))",
    ),
    PersonalData(
        table="course.reruns",
        person="started_by",
        columns=("started_by",),
        purpose="acts in the name of who started a rerun",
        kept="30 days after its end",
        erasure="delete",
    ),
)
