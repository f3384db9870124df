"""What user contributes: permissions."""

from cluster.people.access import Permission

OFFERS = (
    Permission("user:read", "See a person's profile", roles=("self", "platform_admin")),
    Permission("user:edit", "Change a person's profile", roles=("self",)),
    Permission("user:list", "Search people", roles=("platform_admin",)),
)
