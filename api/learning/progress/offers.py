"""What progress contributes: who may see and report it."""

from cluster.people.access import Permission

OFFERS = (
    Permission(
        "progress:read", "See how far a learner is", ("self", "instructor", "assistant", "org_owner", "org_admin")
    ),
    Permission("completion:create", "Say that one has done a block", ("self",)),
    Permission("heartbeat:create", "Report what one watches", ("self",)),
)
