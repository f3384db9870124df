-- One row per scope in which something was chosen: an organization, or the platform, which has no organization.
CREATE TABLE organization.settings (
    scope_id uuid PRIMARY KEY,
    org_id uuid REFERENCES organization.organizations (id),
    chosen jsonb NOT NULL DEFAULT '{}',
    locked text[] NOT NULL DEFAULT '{}',
    version int NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE organization.settings IS 'org: values that were chosen for settings, by the name of the setting';
COMMENT ON COLUMN organization.settings.scope_id IS 'the organization; 00000000-0000-0000-0000-000000000000: the platform';
