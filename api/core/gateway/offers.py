"""What gateway contributes: who may see an operation."""

from cluster.people.access import Permission

OFFERS = (
    Permission("operation:read", "See how long work goes on", ("self", "org_owner", "org_admin")),
    Permission("operation:undo", "Take back what long work did", ("self", "org_owner", "org_admin")),
    Permission("operation:cancel", "Stop long work", ("self", "org_owner", "org_admin")),
)
