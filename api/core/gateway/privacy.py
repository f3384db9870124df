"""What gateway keeps about people: how much they asked, and what somebody may write into these texts."""

from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="gateway.usage",
        person="subject_id",
        columns=("subject_id", "hour", "route", "calls", "units"),
        purpose="shows people and operators how much was asked, and what limits should be",
        kept="30 days",
        erasure="delete",
        merge="delete",
    ),
)
FREE_TEXT = (
    FreeText(table="gateway.rate_plans", columns=("limits",), holds="numbers and names of routes"),
    FreeText(table="gateway.cors_origins", columns=("origin",), holds="addresses of websites of organizations"),
)
