"""What moderation does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    streamed={"moderation_export_statements": "a CSV file"},
    unnoticed={"screening.logic": "asks about the caller alone", "exposure.logic": "asks about the caller alone"},
    no_idempotency_key={"moderation_try_rule": "stores nothing"},
)
