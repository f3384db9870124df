"""What feature_flag does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

_OFREP = "OFREP 0.3 says how it is asked and answered"

EXCEPTIONS = Exceptions(
    public={
        "feature_flag_evaluate_flag": "pages of guests have flags too; what is not public is not found",
        "feature_flag_evaluate_flags": "pages of guests have flags too; what is not public is left out",
        "feature_flag_follow_flags": "its address is the permission, and tells nothing but that something changed",
    },
    outside_v1={
        "feature_flag_evaluate_flag": _OFREP,
        "feature_flag_evaluate_flags": _OFREP,
        "feature_flag_follow_flags": _OFREP,
    },
    streamed={"feature_flag_follow_flags": "server-sent events"},
    no_idempotency_key={
        "feature_flag_evaluate_flag": "changes nothing",
        "feature_flag_evaluate_flags": "changes nothing",
        "feature_flag_explain_flag": "changes nothing",
        "feature_flag_size_experiment": "changes nothing",
    },
    unnoticed={"report.logic": "asks what those may do who are told; callers are permitted by flag.logic"},
    no_id_filter={"feature_flag_list_versions": "versions have numbers"},
)
