"""Offers of media: files as things that others use, the permissions on them, and how much room they may take."""

from typing import Annotated

from pydantic import Field

from api.media.media import rules
from api.media.media.contract import REASONS, PurgeAsset, RemoveUnused
from cluster.data.uses import ThingKind
from cluster.people.access import Permission
from cluster.people.org_settings import Setting

_EDITORS = ("self", "org_owner", "org_admin", "instructor")

STORAGE_BYTES = Setting(
    name="media.storage_bytes",
    title="How much room the files of an organization may take",
    type=Annotated[int, Field(ge=0, le=2**60)],
    default=2**40,
    permission="storage:limit",
    lockable=False,
)

OFFERS = (
    STORAGE_BYTES,
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
    Permission("storage:limit", "Limit the room that an organization's files take", ("platform_admin",)),
    Permission("asset:delete", "Delete a file that nothing uses, and bring it back", _EDITORS),
)
