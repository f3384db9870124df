"""What email contributes: permissions."""

from api.engagement.email.contract import LetterTemplate
from cluster.people.access import Permission

_STAFF = ("org_owner", "org_admin", "platform_admin")

OFFERS = (
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
