"""Offers of user: permissions about profiles and privacy requests."""

from cluster.people.access import Permission

OFFERS = (
    Permission("user:read", "See a person's profile", roles=("self", "platform_admin")),
    Permission("user:edit", "Change a person's profile", roles=("self",)),
    Permission("privacy_request:read", "See a privacy request", roles=("self", "org_owner", "platform_admin")),
    Permission("privacy_request:create", "Ask to erase or export personal data", roles=("self", "org_owner")),
    Permission("privacy_request:manage", "Confirm or cancel a privacy request", roles=("self", "org_owner")),
    Permission("user:list", "Search people", roles=("platform_admin",)),
)
