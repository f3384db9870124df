"""What gateway keeps about people: nothing, but for what somebody may write into these texts."""

from cluster.people.privacy import FreeText

PERSONAL_DATA = ()
FREE_TEXT = (
    FreeText(table="gateway.rate_plans", columns=("limits",), holds="numbers and names of routes"),
    FreeText(table="gateway.cors_origins", columns=("origin",), holds="addresses of websites of organizations"),
)
