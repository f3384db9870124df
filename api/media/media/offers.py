"""What media contributes: what may be done with files."""

from cluster.people.access import Permission

_EDITORS = ("self", "org_owner", "org_admin", "instructor")

OFFERS = (
    Permission("asset:upload", "Go on with an upload of one's own", ("self",)),
    Permission("asset:read", "See files and their state", (*_EDITORS, "assistant")),
    Permission("asset:download", "Download the original of a file", _EDITORS),
    Permission("asset:delete", "Delete a file that nothing uses", _EDITORS),
)
