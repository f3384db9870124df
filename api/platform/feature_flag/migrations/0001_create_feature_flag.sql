-- Every change of a flag takes the next number under this row's lock: whoever sees a number has seen all before it.
CREATE TABLE feature_flag.heads (
    id   smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    seq  bigint NOT NULL
);
COMMENT ON TABLE feature_flag.heads IS 'platform: counts the changes of all flags';
INSERT INTO feature_flag.heads (seq) VALUES (0);

CREATE TABLE feature_flag.flags (
    id            uuid PRIMARY KEY,
    org_id        uuid,
    key           text NOT NULL,
    declared_by   text,
    title         text NOT NULL,
    owner         text NOT NULL,
    public        boolean NOT NULL,
    state         text NOT NULL CHECK (state IN ('draft', 'live', 'killed', 'archived')),
    definition    jsonb NOT NULL,
    experiments   jsonb NOT NULL DEFAULT '[]',
    expires_at    timestamptz,
    last_used_at  timestamptz,
    seq           bigint NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id, key)
);
COMMENT ON TABLE feature_flag.flags IS 'org: flags of the platform (without an organization) and of organizations';
CREATE UNIQUE INDEX flags_by_change ON feature_flag.flags (seq);
CREATE INDEX flags_of_owner ON feature_flag.flags (coalesce(org_id, '00000000-0000-0000-0000-000000000000'), key);
CREATE INDEX flags_of_organization ON feature_flag.flags (org_id, id DESC);

CREATE TABLE feature_flag.flag_versions (
    flag_id     uuid NOT NULL REFERENCES feature_flag.flags (id),
    version     bigint NOT NULL,
    org_id      uuid,
    state       text NOT NULL CHECK (state IN ('draft', 'live', 'killed', 'archived')),
    definition  jsonb NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (flag_id, version)
);
COMMENT ON TABLE feature_flag.flag_versions IS 'org: what each version of a flag decided';
