"""What search contributes."""

from typing import Annotated

from pydantic import Field

from cluster.people.access import Permission
from cluster.people.org_settings import Setting

SYNONYMS = Setting(
    name="search.synonyms",
    title="Words that mean the same to the search, a line for each meaning: car, automobile, motor vehicle",
    type=Annotated[list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=500)],
    default=[],
)

OFFERS = (
    SYNONYMS,
    Permission("search:pin", "Put documents on top of what an organization's search finds", ("org_owner", "org_admin")),
    Permission("search:ask", "Ask what is counted for an organization's report of its search", ("member",)),
    Permission("search:report", "See what is asked in an organization's search", ("org_owner", "org_admin")),
    Permission("search:operate", "See the indexes of the search, and build them anew", ("platform_admin",)),
)
