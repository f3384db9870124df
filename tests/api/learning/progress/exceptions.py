"""What progress does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    other_status={
        "progress_complete 200": "a completion has no id of its own: it is (enrolment, block)",
        "progress_heartbeat 202": "a report, not a resource",
        "progress_enter_many 202": "takes long: an operation",
    },
    streamed={"progress_export_scores": "a CSV file"},
    no_idempotency_key={
        "progress_heartbeat": "uniting ranges is idempotent",
    },
)
