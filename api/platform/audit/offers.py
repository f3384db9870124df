"""Offers of audit: the permission to read the trail, and its last days for those who search it."""

from api.platform.audit.contract import FOUND_FOR
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.documents import DocumentSource, SearchDocument

OFFERS = (
    Permission("audit:read", "Read the audit trail of an organization", ("org_owner", "org_admin")),
    Answers(DocumentSource),
    SearchDocument(
        kind="activity",
        title="Entry of the audit trail",
        permissions=("audit:read",),
        # Every event is an entry: an event for each would be one more.
        events={},
        facets=("action", "actor", "service"),
        followed=True,
        kept=FOUND_FOR,
        named_only=True,
    ),
)
