"""Offers of user: permissions about profiles and privacy requests."""

from api.core.user.rules import AVATAR_PURPOSE
from api.media.media.contract import UploadPurpose
from cluster.people.access import Permission

OFFERS = (
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
