"""Offers of media: files as things that others use, and the permissions on them."""

from api.media.media import rules
from api.media.media.contract import REASONS, PurgeAsset, RemoveUnused
from cluster.data.uses import ThingKind
from cluster.people.access import Permission

_EDITORS = ("self", "org_owner", "org_admin", "instructor")

OFFERS = (
    ThingKind(
        name="asset",
        title="file",
        purge=PurgeAsset,
        unused=RemoveUnused,
        idle_for=rules.UNUSED_FOR,
        faults={"pending": "the file is still being checked: wait until it is ready", **REASONS},
    ),
    Permission("asset:upload", "Go on with an upload of one's own", ("self",)),
    Permission("asset:read", "See files and their state", (*_EDITORS, "assistant")),
    Permission("asset:download", "Download the original of a file", _EDITORS),
    Permission("asset:hold", "Place a legal hold on a file, and release it", ("org_owner", "org_admin")),
    Permission("asset:delete", "Delete a file that nothing uses, and bring it back", _EDITORS),
)
