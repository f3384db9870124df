"""Personal data that course keeps: who teaches, and who published what."""

from cluster.people.privacy import PersonalData

_GROUND = "the organization's records of its own teaching (GDPR, article 6(1)(f))"

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
        ground=_GROUND,
    ),
    PersonalData(
        table="course.revisions",
        person="published_by",
        columns=("published_by",),
        purpose="tells an organization who published what",
        kept="as long as the course",
        erasure="keep",
        ground=_GROUND,
    ),
    PersonalData(
        table="course.reruns",
        person="started_by",
        columns=("started_by", "acting_for"),
        purpose="acts in the name of who started a rerun",
        kept="30 days",
        erasure="delete",
    ),
)
