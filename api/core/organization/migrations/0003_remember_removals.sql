ALTER TABLE organization.members ADD COLUMN removed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN organization.members.removed IS 'who left was removed, or left while suspended';
CREATE INDEX organizations_founded ON organization.organizations (created_by, created_at);
