"""What progress contributes: who may see and report it, and what learners are told of."""

from api.learning.progress.notices import NOTICES
from api.media.media.contract import UploadPurpose
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.notices import NoticeSource

_TEACHERS = ("instructor", "org_owner", "org_admin")
_STAFF = (*_TEACHERS, "assistant")

OFFERS = (
    Answers(NoticeSource),
    *NOTICES,
    Permission(
        "progress:read", "See how far a learner is", ("self", "instructor", "assistant", "org_owner", "org_admin")
    ),
    UploadPurpose(
        name="scores",
        max_bytes=32 * 1024 * 1024,
        content_types=("text/csv", "text/plain"),
        permission="score:write",
        targets=("run", "course", "org"),
    ),
    Permission("line_item:read", "See the grade book of a run", _STAFF),
    Permission("line_item:edit", "Choose what is graded in a run, and release scores", _TEACHERS),
    Permission("score:read", "See a learner's scores", ("self", *_STAFF)),
    Permission("score:write", "Enter, correct, excuse and withdraw scores", _STAFF),
    Permission("completion:create", "Say that one has done a block", ("self",)),
    Permission("heartbeat:create", "Report what one watches", ("self",)),
)
