"""Personal data that course keeps: who teaches, and who published what."""

from cluster.people.privacy import ERASED, FreeText, PersonalData

_GROUND = "the organization's records of its own teaching (GDPR, article 6(1)(f))"
_UNDER_WAY = "the rerun is under way; it is deleted 30 days after it started"

PERSONAL_DATA = (
    PersonalData(
        table="course.staff",
        person="user_id",
        columns=("user_id", "course_id", "org_id", "role", "added_at"),
        purpose="shows who teaches a course",
        kept="while they are on its staff",
        erasure="delete",
        organization="org_id",
        merge="move_unless_present",
    ),
    PersonalData(
        table="course.courses",
        person="created_by",
        columns=("created_by", "id", "org_id", "created_at"),
        purpose="tells an organization who created its course",
        kept="as long as the course",
        erasure="keep",
        ground=_GROUND,
        organization="org_id",
        let_go="clear",
        clear_to={"created_by": ERASED},
        merge="move",
    ),
    PersonalData(
        table="course.runs",
        person="written_by",
        columns=("written_by", "id", "course_id", "org_id"),
        purpose="tells whom to give the reasons of a moderator's decision about a title, and who may appeal",
        kept="as long as the run",
        erasure="clear",
        clear_to={"written_by": ERASED},
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="course.revisions",
        person="published_by",
        columns=("published_by", "course_id", "org_id", "revision", "note", "published_at"),
        purpose="tells an organization who published what",
        kept="as long as the course",
        erasure="keep",
        ground=_GROUND,
        organization="org_id",
        let_go="clear",
        clear_to={"published_by": None},
        merge="move",
    ),
    PersonalData(
        table="course.reruns",
        person="started_by",
        columns=("started_by", "org_id", "created_at"),
        purpose="acts in the name of who started a rerun",
        kept="30 days",
        erasure="delete",
        keep_where="state IN ('copying', 'creating')",
        ground=_UNDER_WAY,
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="course.reruns",
        person="acting_for",
        columns=("acting_for", "org_id", "created_at"),
        purpose="acts in the name of who was impersonated when a rerun started",
        kept="30 days",
        erasure="delete",
        keep_where="state IN ('copying', 'creating')",
        ground=_UNDER_WAY,
        organization="org_id",
        merge="move",
    ),
)
FREE_TEXT = (
    FreeText(
        table="course.courses",
        columns=("title", "summary", "categories", "tags", "publish_error"),
        holds="how an organization describes its course",
    ),
    FreeText(
        table="course.catalog",
        columns=("title", "summary", "categories", "tags"),
        holds="how an organization describes its course",
    ),
    FreeText(table="course.categories", columns=("title",), holds="names of subjects"),
    FreeText(table="course.revisions", columns=("details",), holds="how an organization describes its course"),
    FreeText(table="course.runs", columns=("title",), holds="what an organization calls a run"),
    FreeText(table="course.reruns", columns=("title",), holds="what an organization calls its course"),
)
