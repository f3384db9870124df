"""What enrollment contributes: permissions, the upload of rosters, the relation `learner`."""

from api.learning.enrollment.contract import EnrollmentCancelled, EnrollmentCompleted, EnrollmentCreated
from api.media.media.contract import UploadPurpose
from api.platform.feature_flag.contract import Metric
from cluster.events import Snapshots
from cluster.people.access import LearnerSource, Permission
from cluster.people.calls import Answers
from cluster.people.notices import AudienceSource

_STAFF = ("instructor", "org_owner", "org_admin")

OFFERS = (
    Metric(name="enrollment.enrolled", title="Enrolments", event=EnrollmentCreated),
    Metric(
        name="enrollment.completion_rate",
        title="Completions per enrolment",
        event=EnrollmentCompleted,
        over=EnrollmentCreated,
    ),
    Metric(
        name="enrollment.drop_out_rate",
        title="People who leave, per enrolment",
        event=EnrollmentCancelled,
        over=EnrollmentCreated,
        better="less",
    ),
    Answers(Snapshots),
    Answers(LearnerSource),
    Answers(AudienceSource),
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
