"""How to ask each operation of audit for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import listing

listing("audit_list_entries", "owner", organization_id="org_id")
