"""What content copies of the state of others, and old news of its own; see `tests.platform.projections`."""

from dataclasses import replace

from api.learning.content.contract import OutlineChanged
from tests.platform.projections import OldNews

COPIED = {
    "courses": """SELECT course_id, org_id, revision, frozen_id, visibility, archived, language
        FROM content.courses WHERE org_id = $1""",
    "runs": """SELECT run_id, course_id, org_id, starts_at, ends_at, pinned_revision, pinned_frozen_id
        FROM content.runs WHERE org_id = $1""",
}
FORGET = (
    "DELETE FROM content.courses WHERE org_id = $1",
    "DELETE FROM content.runs WHERE org_id = $1",
)
OLD_NEWS: OldNews = {OutlineChanged: lambda now: replace(now, outline_version=0)}
