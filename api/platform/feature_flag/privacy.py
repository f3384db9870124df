"""Personal data that feature_flag keeps: who answers for flags, and of experiments who was given what, and what was counted."""

from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="feature_flag.flags",
        person="owner_id",
        columns=("owner_id",),
        purpose="says who answers for a flag",
        kept="until somebody else does",
        erasure="clear",
        clear_to={"owner_id": None},
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="feature_flag.platform_staff",
        person="user_id",
        columns=("user_id",),
        purpose="says who may administrate the platform, to be told of its flags",
        kept="as long as the account",
        erasure="delete",
        merge="move_unless_present",
    ),
    PersonalData(
        table="feature_flag.kill_reports",
        person="user_id",
        columns=("user_id", "flag_id", "reported_at"),
        purpose="says who is told that a flag was killed",
        kept="90 days",
        erasure="delete",
        organization="org_id",
        merge="delete",
    ),
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
