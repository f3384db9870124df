-- Whoever could name any course as their own organization's could make themselves its staff: places say whose each one is.
CREATE TABLE rbac.places (
    scope text NOT NULL CHECK (scope IN ('unit', 'course', 'run')),
    scope_id uuid NOT NULL,
    org_id uuid NOT NULL,
    PRIMARY KEY (scope, scope_id)
);
COMMENT ON TABLE rbac.places IS 'org: which organization a unit, course or run belongs to, as its owner said';

CREATE TABLE rbac.roles (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    name text NOT NULL,
    title text NOT NULL,
    permissions text[] NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
COMMENT ON TABLE rbac.roles IS 'org: roles that an organization made for itself; built-in ones are offers in the code';
CREATE UNIQUE INDEX roles_name ON rbac.roles (org_id, name) WHERE deleted_at IS NULL;

CREATE TABLE rbac.grants (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    role text NOT NULL,
    role_id uuid REFERENCES rbac.roles (id),
    scope text NOT NULL CHECK (scope IN ('platform', 'organization', 'unit', 'course', 'run')),
    scope_id uuid CHECK ((scope = 'platform') = (scope_id IS NULL)),
    org_id uuid CHECK ((scope = 'platform') = (org_id IS NULL)),
    expires_at timestamptz CHECK (expires_at IS NULL OR role <> 'org_owner'),
    granted_by uuid,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK (scope <> 'organization' OR scope_id = org_id)
);
COMMENT ON TABLE rbac.grants IS 'org: who has which role where; ended ones stay as history';
COMMENT ON COLUMN rbac.grants.role_id IS 'the custom role; NULL: the built-in role named by role';
-- Finds all that a person holds, and keeps one from holding the same twice.
CREATE UNIQUE INDEX grants_of_user ON rbac.grants (user_id, scope, scope_id, role, role_id) NULLS NOT DISTINCT
    WHERE ended_at IS NULL;
CREATE INDEX grants_of_organization ON rbac.grants (org_id, id) WHERE ended_at IS NULL;
CREATE INDEX grants_of_role ON rbac.grants (role_id) WHERE ended_at IS NULL AND role_id IS NOT NULL;
CREATE INDEX grants_expiring ON rbac.grants (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX grants_owners ON rbac.grants (org_id, id) WHERE ended_at IS NULL AND role = 'org_owner';

CREATE TABLE rbac.suspensions (
    org_id uuid NOT NULL,
    user_id uuid,
    created_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id, user_id)
);
COMMENT ON TABLE rbac.suspensions IS 'org: whose grants rest: one member, or with user_id NULL everybody of the organization';
