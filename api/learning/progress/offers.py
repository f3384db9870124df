"""What progress contributes: who may see and report it."""

from cluster.people.access import Permission

_TEACHERS = ("instructor", "org_owner", "org_admin")
_STAFF = (*_TEACHERS, "assistant")

OFFERS = (
    Permission(
        "progress:read", "See how far a learner is", ("self", "instructor", "assistant", "org_owner", "org_admin")
    ),
    Permission("line_item:read", "See the grade book of a run", _STAFF),
    Permission("line_item:edit", "Choose what is graded in a run, and release scores", _TEACHERS),
    Permission("completion:create", "Say that one has done a block", ("self",)),
    Permission("heartbeat:create", "Report what one watches", ("self",)),
)
