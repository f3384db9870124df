"""Platform: what keeps a school honest and running."""

from cluster.base.services import Service

SERVICES = (
    Service(name="feature_flag", areas=("flags", "experiments"), port=3036, rank=0, paths=("/ofrep/",)),
    Service(
        name="moderation",
        areas=(
            "moderation-clauses",
            "moderation-rules",
            "moderation-reports",
            "moderation-cases",
            "moderation-decisions",
            "appeals",
        ),
        port=3023,
        rank=2,
    ),
    Service(name="audit", areas=("audit-entries",), port=3033, rank=99),
)
