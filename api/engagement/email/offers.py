"""What email contributes: permissions, a letter and a setting."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from api.engagement.email.contract import LetterTemplate
from cluster.people.access import Permission
from cluster.people.org_settings import Setting


def _known(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("use a name of the IANA time zone database, like Europe/Berlin")
    return name


TIME_ZONE = Setting(
    name="email.time_zone",
    title="The time zone in which the days of a sender's warm-up plan begin",
    type=Annotated[str, AfterValidator(_known), Field(max_length=64, description="IANA time zone database")],
    default="UTC",
)
_STAFF = ("org_owner", "org_admin", "platform_admin")

OFFERS = (
    TIME_ZONE,
    LetterTemplate(name="email.held", title="An answer was not passed on", lane="personal", fields=("reason",)),
    Permission("email:read", "See which letters were sent and how they ended", _STAFF),
    Permission("email:cancel", "Stop letters that were not handed over yet", _STAFF),
    Permission("sender:read", "See in whose name letters go, and what DNS lacks for it", _STAFF),
    Permission("sender:edit", "Choose in whose name letters go", _STAFF),
    Permission("letter-template:read", "See the texts of letters", _STAFF),
    Permission("letter-template:edit", "Write the texts of letters", _STAFF),
    Permission("suppression:read", "See which addresses get no letters", _STAFF),
    Permission("suppression:edit", "Stop letters to an address, and lift that", _STAFF),
    Permission("suppression:lift-complaint", "Send letters again to who called one spam", ("platform_admin",)),
)
