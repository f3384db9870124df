ALTER TABLE organization.members ADD COLUMN removed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN organization.members.removed IS 'who left was removed, or left while suspended';
