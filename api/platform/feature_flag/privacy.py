"""Personal data that feature_flag keeps: which variant of an experiment a person was given, and what was counted of them."""

from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="feature_flag.exposures",
        person="user_id",
        columns=("user_id", "variant", "exposed_at"),
        purpose="tells which variant of something new a person was given, to see whether it helps",
        kept="until 90 days after the experiment was decided",
        erasure="delete",
        organization="org_id",
        merge="delete",
    ),
    PersonalData(
        table="feature_flag.measurements",
        person="user_id",
        columns=("user_id", "metric", "value", "measured_at"),
        purpose="compares variants by what people did",
        kept="until 90 days after the experiment was decided",
        erasure="delete",
        organization="org_id",
        merge="delete",
    ),
)
FREE_TEXT = (
    FreeText(
        table="feature_flag.flags",
        columns=("title", "owner", "definition", "experiments", "declared_by"),
        holds="what a flag is about, whose it is and what it decides",
    ),
    FreeText(table="feature_flag.flag_versions", columns=("definition",), holds="what a flag decided"),
    FreeText(
        table="feature_flag.experiments",
        columns=("title", "layer", "arms", "metrics", "guardrails", "decision"),
        holds="what an experiment asks",
    ),
)
