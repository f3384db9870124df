"""What enrollment does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    other_status={
        "enrollment_enrol_many 202": "takes long: an operation",
    },
    status_too={
        "enrollment_enrol 200": "enrolled already",
    },
    no_uuid={
        "EnrolRow.external_id": "what the organization calls its member",
    },
    unnoticed={
        "calls": "answers other services",
    },
)
