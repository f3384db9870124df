"""Offers of audit: the permission to read the trail."""

from cluster.people.access import Permission

OFFERS = (Permission("audit:read", "Read the audit trail of an organization", ("org_owner", "org_admin")),)
