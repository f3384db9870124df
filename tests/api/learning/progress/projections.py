"""What progress copies of the state of others; see `tests.platform.projections`."""

COPIED = {
    "learners": "SELECT enrollment_id, course_id, run_id, user_id, learns FROM progress.learners WHERE org_id = $1",
    "runs": "SELECT run_id, course_id FROM progress.runs WHERE org_id = $1",
}
FORGET = (
    "DELETE FROM progress.learners WHERE org_id = $1",
    "DELETE FROM progress.runs WHERE org_id = $1",
)
