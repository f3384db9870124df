-- An erasure finds the invitations to a person's addresses.
CREATE INDEX invitations_addresses ON organization.invitations (lower(email)) WHERE email IS NOT NULL;
