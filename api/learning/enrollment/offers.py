"""What enrollment contributes: who may see and change enrolments."""

from cluster.people.access import Permission

_STAFF = ("instructor", "org_owner", "org_admin")

OFFERS = (
    Permission("enrollment:create", "Enrol oneself", ("signed_in",)),
    Permission("enrollment:read", "See an enrolment", ("self", "assistant", *_STAFF)),
    Permission("enrollment:cancel", "Leave a course, or take somebody out of it", ("self", *_STAFF)),
    Permission("enrollment:suspend", "Suspend and resume an enrolment", _STAFF),
)
