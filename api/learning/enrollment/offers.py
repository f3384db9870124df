"""What enrollment contributes: permissions, the upload of rosters, the relation `learner`."""

from api.media.media.contract import UploadPurpose
from cluster.events import Snapshots
from cluster.people.access import LearnerSource, Permission
from cluster.people.calls import Answers

_STAFF = ("instructor", "org_owner", "org_admin")

OFFERS = (
    Answers(Snapshots),
    Answers(LearnerSource),
    UploadPurpose(
        name="roster",
        max_bytes=32 * 1024 * 1024,
        content_types=("text/csv", "text/plain"),
        permission="enrollment:manage",
        targets=("run", "course", "org"),
    ),
    Permission("enrollment:create", "Enrol oneself", ("signed_in",)),
    Permission("enrollment:read", "See an enrolment", ("self", "assistant", *_STAFF)),
    Permission("enrollment:cancel", "Leave a course, or take somebody out of it", ("self", *_STAFF)),
    Permission("enrollment:manage", "Enrol many people, and take them out", _STAFF),
    Permission("enrollment:suspend", "Suspend and resume an enrolment", _STAFF),
)
