CREATE TABLE gateway.door (
    id       smallint PRIMARY KEY CHECK (id = 1),
    version  bigint NOT NULL
);
COMMENT ON TABLE gateway.door IS 'platform: counts the changes of what every process obeys at the door';
INSERT INTO gateway.door (id, version) VALUES (1, 0);

CREATE TABLE gateway.rate_plans (
    id            uuid PRIMARY KEY,
    slug          text NOT NULL,
    number        integer NOT NULL,
    state         text NOT NULL CHECK (state IN ('draft', 'active', 'retired')),
    limits        jsonb NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    activated_at  timestamptz,
    retired_at    timestamptz,
    UNIQUE (slug, number)
);
COMMENT ON TABLE gateway.rate_plans IS 'platform: how much callers may ask, in versions';
CREATE UNIQUE INDEX rate_plans_active ON gateway.rate_plans (slug) WHERE state = 'active';

CREATE TABLE gateway.rate_overrides (
    id          uuid PRIMARY KEY,
    plan_slug   text NOT NULL,
    org_id      uuid,
    key_id      uuid,
    reason      text NOT NULL,
    ends_at     timestamptz,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    CHECK ((org_id IS NULL) <> (key_id IS NULL))
);
COMMENT ON TABLE gateway.rate_overrides IS 'platform: which organizations and keys have another plan, until when';
CREATE INDEX rate_overrides_org ON gateway.rate_overrides (org_id, id DESC);
CREATE INDEX rate_overrides_key ON gateway.rate_overrides (key_id, id DESC);
CREATE INDEX rate_overrides_ends ON gateway.rate_overrides ((coalesce(ends_at, 'infinity'::timestamptz)));
CREATE INDEX rate_overrides_plan ON gateway.rate_overrides (plan_slug);

CREATE TABLE gateway.maintenance_windows (
    id          uuid PRIMARY KEY,
    scope       text NOT NULL CHECK (scope IN ('platform', 'service', 'organization')),
    service     text,
    org_id      uuid,
    mode        text NOT NULL CHECK (mode IN ('read_only', 'closed')),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    reason      text NOT NULL,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    CHECK (ends_at >= starts_at),
    CHECK ((scope = 'service') = (service IS NOT NULL)),
    CHECK ((scope = 'organization') = (org_id IS NOT NULL))
);
COMMENT ON TABLE gateway.maintenance_windows IS 'platform: when what is read only or closed';
CREATE INDEX maintenance_windows_ends ON gateway.maintenance_windows (ends_at);

CREATE TABLE gateway.cors_origins (
    id           uuid PRIMARY KEY,
    org_id       uuid NOT NULL,
    origin       text NOT NULL,
    credentials  boolean NOT NULL DEFAULT false,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    UNIQUE (org_id, origin)
);
COMMENT ON TABLE gateway.cors_origins IS 'org: whose pages may ask from a browser';
CREATE INDEX cors_origins_origin ON gateway.cors_origins (origin, credentials);
