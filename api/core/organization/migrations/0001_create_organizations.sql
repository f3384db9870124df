CREATE TABLE organization.organizations (
    id uuid PRIMARY KEY,
    slug text NOT NULL,
    name text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    created_by uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE organization.organizations IS 'org: tenants';
CREATE UNIQUE INDEX organizations_slug ON organization.organizations (slug);

CREATE TABLE organization.members (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organization.organizations (id),
    user_id uuid NOT NULL,
    display_name text,
    external_id text,
    email text,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'left')),
    version int NOT NULL DEFAULT 1,
    joined_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    left_at timestamptz
);
COMMENT ON TABLE organization.members IS 'org: one row per person and organization, ever';
CREATE UNIQUE INDEX members_person ON organization.members (org_id, user_id);
CREATE UNIQUE INDEX members_external_id ON organization.members (org_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX members_page ON organization.members (org_id, id);
CREATE INDEX members_of_user ON organization.members (user_id, org_id) WHERE state = 'active';

CREATE TABLE organization.invitations (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organization.organizations (id),
    token_sha256 bytea NOT NULL UNIQUE,
    email text,
    roles text[] NOT NULL,
    max_uses int NOT NULL CHECK (max_uses > 0),
    uses int NOT NULL DEFAULT 0 CHECK (uses <= max_uses),
    created_by uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON TABLE organization.invitations IS 'org: links that make members; only a hash of the token is kept';
CREATE INDEX invitations_page ON organization.invitations (org_id, id);
CREATE INDEX invitations_of_inviter ON organization.invitations (org_id, created_by) WHERE revoked_at IS NULL;

CREATE TABLE organization.invitation_uses (
    invitation_id uuid NOT NULL REFERENCES organization.invitations (id),
    user_id uuid NOT NULL,
    org_id uuid NOT NULL,
    accepted_at timestamptz NOT NULL,
    PRIMARY KEY (invitation_id, user_id)
);
COMMENT ON TABLE organization.invitation_uses IS 'org: who accepted which invitation';
