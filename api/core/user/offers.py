"""Offers of user: permissions about profiles and privacy requests, and profiles to be moderated."""

from api.core.user.contract import PersonDocumentChanged
from api.core.user.rules import AVATAR_PURPOSE, MODERATED_KIND
from api.media.media.contract import UploadPurpose
from api.platform.moderation.contract import Moderated, ModeratedKind
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.documents import DocumentSource, SearchDocument
from cluster.people.flags import Flag

SIGN_UP: Flag[bool] = Flag(
    name="user.sign_up", title="People may make new accounts", default="on", owner="accounts", public=True
)

OFFERS = (
    SIGN_UP,
    Answers(DocumentSource),
    Answers(Moderated),
    ModeratedKind(name=MODERATED_KIND, title="Profile", actions=("remove",), blind=True),
    SearchDocument(
        kind="person",
        title="Person",
        permissions=("member:read",),
        events={PersonDocumentChanged: "member_id"},
    ),
    UploadPurpose(
        name=AVATAR_PURPOSE,
        max_bytes=5 * 1000**2,
        content_types=("image/png", "image/jpeg", "image/webp"),
        permission="user:edit",
        targets=("user",),
        seen_with="user:read",
    ),
    Permission("user:read", "See a person's profile", roles=("self", "platform_admin")),
    Permission("user:edit", "Change a person's profile", roles=("self",)),
    Permission("privacy_request:read", "See a privacy request", roles=("self", "org_owner", "platform_admin")),
    Permission("privacy_request:create", "Ask to erase or export personal data", roles=("self", "org_owner")),
    Permission("privacy_request:manage", "Confirm or cancel a privacy request", roles=("self", "org_owner")),
    Permission("user:list", "Search people", roles=("platform_admin",)),
)
