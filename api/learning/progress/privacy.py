"""Personal data that progress keeps: completions, watched ranges and scores."""

from api.learning.progress.watching import logic as watching
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="progress.completions",
        person="user_id",
        columns=("user_id", "org_id", "course_id", "run_id", "block_id", "block_version", "completed_at"),
        purpose="shows the learner and their teachers what is done",
        kept="until the person or the organization erases it",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="progress.watched",
        person="user_id",
        columns=(
            *("user_id", "org_id", "course_id", "run_id", "block_id", "video_id", "ranges", "position_ms", "heard_at"),
        ),
        purpose="lets the learner go on where they stopped, and tells when a film is done",
        kept="until the person or the organization erases it",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="progress.learners",
        person="user_id",
        columns=("user_id", "org_id", "course_id", "run_id", "learns", "completed_at", "completed_revision"),
        purpose="ties progress to the learner, and keeps when they finished",
        kept="until the person or the organization erases it",
        erasure="delete",
        keep_where="completed_at IS NOT NULL",
        ground="the organization's record of completed training (GDPR, article 6(1)(f)), until it lets them go itself",
        organization="org_id",
        let_go="delete",
        merge="move",
    ),
    PersonalData(
        table="progress.scores",
        person="user_id",
        columns=(
            *(
                "user_id",
                "org_id",
                "course_id",
                "run_id",
                "line_item_id",
                "cause",
                "activity_progress",
                "grading_progress",
            ),
            *("score_given", "score_maximum", "comment", "scored_at", "recorded_at"),
        ),
        purpose="shows the learner and their teachers every score, who gave it and why",
        kept="until the person or the organization erases it, and 30 days after its line item was deleted",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="progress.scores",
        person="posted_by",
        columns=("posted_by", "line_item_id", "cause", "recorded_at"),
        purpose="tells who gave a score",
        kept="as long as the score",
        erasure="clear",
        clear_to={"posted_by": None},
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="progress.results",
        person="user_id",
        columns=("user_id", "org_id", "course_id", "run_id", "line_item_id", "state", "score_given", "score_maximum"),
        purpose="keeps which score counts",
        kept="as long as the scores that it is made of",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="progress.totals",
        person="user_id",
        columns=("user_id", "org_id", "course_id", "run_id", "category_id", "percent", "released_percent"),
        purpose="shows the learner and their teachers what the scores make",
        kept="as long as the scores that it is made of",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
)

FREE_TEXT = (
    FreeText(table="progress.line_items", columns=("label",), holds="what a graded thing is called"),
    FreeText(table="progress.categories", columns=("name",), holds="what a category of graded things is called"),
)


async def erase(_: JobRun, request: Erasing) -> None:
    """Forget what was watched lately, before the rows go that lead there."""
    await watching.forget(request.user_id, request.org_id)
